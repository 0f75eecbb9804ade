// Command tidings is the whole system in one binary: the server (serve), and the tools around it (pub, sub, token, config).
//
// Settings come from flags, TIDINGS_ environment variables and a YAML file; docs/configuration.md lists them all.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// main is the only place that ends the process. The first of the endSignals asks for an orderly end, the second one
// ends the process at once.
func main() {
	signals := endSignals()
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop)
	m := Main{
		Args:    os.Args[1:],
		Env:     os.Environ(),
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Signals: signals,
	}
	os.Exit(m.Run(ctx))
}

// endSignals are those that ask for an orderly end. A hangup comes when the terminal closes; nohup has it ignored, and so
// it stays.
func endSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}
