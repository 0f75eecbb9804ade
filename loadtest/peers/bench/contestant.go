package main

import (
	"context"
	"runtime"

	"github.com/tidingsmesh/tidings/loadtest/peers"
	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner"
)

// Names that the tables refer to.
const (
	ours     = "Tidings"
	portable = "Tidings, portable transport"
	floor    = "floor"
)

// contestant is one server that is measured.
type contestant struct {
	name string
	// ratios: it is in the table of ratios to the floor, which has bursts too.
	ratios bool
	// whole: it is in the table of whole installations.
	whole bool
	start func(ctx context.Context, folder string) (installation, error)

	about   report.Target // of the last start
	trouble []string      // what a reader must know: why it could not be measured, or not all of it
}

// installation is a started one.
type installation interface {
	runner.Target
	Close()
}

func everybody(tools *peers.Tools) []*contestant {
	centrifugo := func(backend peers.Backend) func(context.Context, string) (installation, error) {
		return func(ctx context.Context, folder string) (installation, error) {
			return peers.StartCentrifugo(ctx, tools, backend, folder)
		}
	}
	tidings := func(portable bool) func(context.Context, string) (installation, error) {
		return func(ctx context.Context, folder string) (installation, error) {
			return peers.StartTidings(ctx, tools, portable, folder)
		}
	}
	return []*contestant{
		{name: floor, ratios: true, whole: true, start: func(ctx context.Context, folder string) (installation, error) {
			return peers.StartFloor(ctx, tools, folder)
		}},
		{name: ours, ratios: true, whole: true, start: tidings(false)},
		{name: portable, ratios: true, whole: true, start: tidings(true)},
		{name: "Centrifugo, memory", whole: true, start: centrifugo(peers.Memory)},
		{name: "Centrifugo, Redis with history", whole: true, start: centrifugo(peers.Redis)},
		{name: "Centrifugo, NATS", whole: true, start: centrifugo(peers.NATS)},
		{name: "Socket.IO, Redis adapter", whole: true, start: func(ctx context.Context, folder string) (installation, error) {
			return peers.StartSocketIO(ctx, tools, runtime.NumCPU(), folder)
		}},
		{name: "nats-server, WebSocket", whole: true, start: func(ctx context.Context, folder string) (installation, error) {
			return peers.StartNATSServer(ctx, tools, folder)
		}},
	}
}
