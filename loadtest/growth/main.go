// Growth shows how the cost of a delivery changes as an installation grows: with connections, with rooms, with edges, and with rooms
// that are followed at all. It starts installations of its own, each step in every round with new processes, and writes its tables and
// plots into docs/scaling.md and docs/scaling, with the numbers of every round in docs/scaling/growth.jsonl.
//
//	growth [--rounds 3] [--quick] [--docs docs] [--tidings bin/tidings] [--nats-server bin/nats-server]
//
// Status 1: nothing could be measured, or it was interrupted; nothing is written then.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

// worker is the argument with which this program starts itself as a client process.
const worker = "worker"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 2 && os.Args[1] == worker {
		exit(swarm.RunWorker(context.Background(), os.Stdin, os.Stdout))
	}
	executable, err := os.Executable()
	if err != nil {
		exit(err)
	}
	exit(run(ctx, executable, os.Args[1:], os.Stdout, os.Stderr))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
