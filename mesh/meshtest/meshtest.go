// Package meshtest runs real NATS servers for tests: one embedded as in
// production, or processes that can be killed, paused and started again. It
// waits for conditions, never for time, and everything it starts ends with the
// test.
package meshtest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
)

// patience bounds every wait of this package. It is far above what any of them
// takes, since machines that run tests may be busy.
const patience = 60 * time.Second

// NATS is an embedded server that listens on a loopback port, as `tidings serve`
// runs it.
type NATS struct {
	URL string // the same after a restart

	server *mesh.Server
	cfg    mesh.ServerConfig
}

// Start runs an embedded server with an empty store until the test ends.
func Start(t testing.TB) *NATS {
	t.Helper()
	n := &NATS{cfg: mesh.ServerConfig{Dir: t.TempDir(), Listen: port.Address(t)}}
	n.start(t)
	t.Cleanup(func() { n.server.Close() })
	n.URL = n.server.ClientURL()
	return n
}

func (n *NATS) start(t testing.TB) {
	t.Helper()
	server, err := mesh.StartServer(within(t), n.cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	n.server = server
}

// Server is the running server, another one after each restart.
func (n *NATS) Server() *mesh.Server { return n.server }

// Stop ends the server. Its store and its address wait for Restart.
func (n *NATS) Stop() { n.server.Close() }

// Restart ends the server, when it still runs, and starts it again on the same
// store and address.
func (n *NATS) Restart(t testing.TB) {
	t.Helper()
	n.server.Close()
	n.start(t)
}

// Conn is a connection over the loopback port that survives restarts and is
// closed when the test ends.
func (n *NATS) Conn(t testing.TB) *nats.Conn {
	t.Helper()
	return Dial(t, mesh.DialConfig{URL: n.URL})
}

// Stream creates the stream of rooms.
func (n *NATS) Stream(t testing.TB, cfg mesh.StreamConfig) mesh.StreamInfo {
	t.Helper()
	return EnsureStream(t, n.Conn(t), cfg)
}

// Dial connects, waits until the connection is up, and closes it when the test
// ends.
func Dial(t testing.TB, cfg mesh.DialConfig) *nats.Conn {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = t.Name()
	}
	nc, err := mesh.Dial(within(t), cfg)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	Eventually(t, nc.IsConnected, "connect to %s", cfg.URL)
	return nc
}

// EnsureStream creates or checks the stream of rooms and waits until it can,
// which takes a cluster a moment.
func EnsureStream(t testing.TB, nc *nats.Conn, cfg mesh.StreamConfig) mesh.StreamInfo {
	t.Helper()
	var (
		info mesh.StreamInfo
		err  error
	)
	Eventually(t, func() bool {
		info, err = mesh.EnsureStream(within(t), nc, cfg, slog.New(slog.DiscardHandler))
		return err == nil
	}, "create stream %s: %v", cfg.Name, &err)
	return info
}

// Eventually waits until condition is true and fails the test when it takes
// too long. Pointers to errors among args are read then.
func Eventually(t testing.TB, condition func() bool, format string, args ...any) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			for i, arg := range args {
				if err, ok := arg.(*error); ok {
					args[i] = *err
				}
			}
			t.Fatalf("not within "+patience.String()+": "+format, args...)
		}
	}
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
