// Profile shows where an edge spends its time under each load: it starts nats-server and an edge, puts a scenario of the load harness
// on them, and keeps what the edge's operators' listener says of it meanwhile.
//
//	profile [--out profiles] [--duration 15s] [--tidings bin/tidings] [--nats-server bin/nats-server] [scenario ...]
//
// Without a scenario it takes each bundled one. In the folder of a scenario are connect.cpu.pprof, while the clients come in,
// load.cpu.pprof, while events flow, and heap.pprof, with the clients still there; beside each, what `go tool pprof -top` makes of it,
// and run.txt, what the harness measured. Profiles cost the edge some percent: for figures there are tidings loadtest and make bench-peers.
//
// Status 1: a scenario could not be run or profiled, or it was interrupted.
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
	exit(run(ctx, executable, os.Args[1:], os.Stdout))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
