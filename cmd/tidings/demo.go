package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/tidingsmesh/tidings/cmd/tidings/demo"
)

type demoCmd struct {
	HTTP       string `default:"127.0.0.1:8080" placeholder:"ADDR" help:"Address of the page. Whoever reaches it gets tokens and ends the demo's processes."`
	NATSListen string `name:"nats-listen" default:"127.0.0.1:4222" placeholder:"ADDR" help:"Address at which the embedded NATS takes the edges and other workers."`
	Data       string `placeholder:"DIR" help:"Folder of the stream and of the edges' logs. Default: one that is removed at the end."`
}

// demoHints is what a newcomer is told once everything runs. Its commands work as they are printed, in a POSIX shell.
const demoHints = `
The demo runs: this process with NATS inside, and two edges as processes of their own. Ctrl-C stops all of it.

  page        %[1]s    two clients on two edges, and buttons that break things
  logs        %[2]s

In a second terminal, be a third client; it moves on when its edge is killed
  export TIDINGS_TOKEN=%[3]s
  %[4]s sub %[5]s %[6]s

In another one, tell the room something, as a worker does
  %[4]s pub %[5]s settlement_updated '{"id":"s1","changes":{"population":1000}}' --nats %[7]s

Any NATS client is a worker: nats pub room.campaign.demo '{"type":"settlement_updated","data":{"id":"s1"}}' -s %[7]s

`

// Run runs the demo until ctx ends.
func (c *demoCmd) Run(ctx context.Context, m *Main, o origins) error {
	if err := c.validate(o); err != nil {
		return err
	}
	page, err := listen(ctx, "http", c.HTTP)
	if err != nil {
		return err
	}
	binary, err := os.Executable()
	if err != nil {
		return errors.Join(fmt.Errorf("this program's file, which the edges run: %w", err), page.Close())
	}
	hard, release := secondSignal(m.Signals)
	defer release()
	err = demo.Run(ctx, hard, demo.Config{
		Program: binary, Env: m.foreign(), Listener: page, NATSListen: c.NATSListen, Data: c.Data,
		Log: newLogger(ServeConfig{}, m.Stderr),
	}, func(r demo.Running) error { return printDemo(m.Stdout, program(), page.Addr(), r) })
	if end := context.Cause(ctx); end != nil && (errors.Is(err, end) || errors.Is(err, context.Canceled)) {
		return nil // it was told to end before it had started, which is an orderly end too
	}
	return err
}

func (c *demoCmd) validate(o origins) error {
	var wrong problems
	check := func(flag string, err error) {
		if err != nil {
			wrong = append(wrong, o.errorf(flag, "%w", err))
		}
	}
	check("http", address(c.HTTP))
	check("nats-listen", address(c.NATSListen))
	check("nats-listen", apart(c.HTTP, c.NATSListen))
	return wrong.asError()
}

// foreign is the environment without settings of ours.
func (m *Main) foreign() []string {
	kept := []string{}
	for _, entry := range m.Env {
		if !strings.HasPrefix(entry, "TIDINGS_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// printDemo tells a newcomer where to look and what to try. program starts this binary again.
func printDemo(out io.Writer, program string, page net.Addr, r demo.Running) error {
	urls := make([]string, len(r.Edges))
	for i, u := range r.Edges {
		urls[i] = "--url " + shellQuote(u)
	}
	_, err := fmt.Fprintf(out, demoHints, "http://"+reachable(page.String())+"/", r.Data, r.Token, shellQuote(program), r.Room,
		strings.Join(urls, " "), shellQuote(reachableNATS(r.NATS)))
	return err
}
