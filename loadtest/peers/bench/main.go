// Bench measures Tidings, the floor of loadtest/floor and what one would use instead, side by side: round by round, each with processes
// of its own, so that whatever else happens on the machine happens to all of them. It writes two tables and their plots into
// docs/benchmarks.md and docs/benchmarks, with everything that was measured in docs/benchmarks/peers.json.
//
//	bench [--rounds 4] [--clients 10000] [--quick] [--only NAME,…] [--docs DIR]
//
// It runs in the folder of the repository. A server that cannot be started has a row that says why. Status 1: nothing could be
// measured, or it was interrupted.
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
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
