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

// main is the only place that ends the process. The first interrupt or SIGTERM asks for an orderly end, the second one
// ends the process at once.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	m := Main{
		Args:   os.Args[1:],
		Env:    os.Environ(),
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
	}
	os.Exit(m.Run(ctx))
}
