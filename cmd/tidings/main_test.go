package main

import (
	"context"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the client process of a load test, which starts its own program again.
func TestMain(m *testing.M) {
	if args := os.Args[1:]; slices.Equal(args, []string{"loadtest", "worker"}) {
		worker := Main{Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
		os.Exit(worker.Run(context.Background())) //nolint:forbidigo // this is the worker's main
	}
	goleak.VerifyTestMain(m)
}
