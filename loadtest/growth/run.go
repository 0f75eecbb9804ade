package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"

	"github.com/tidingsmesh/tidings/loadtest/rounds"
)

// config is what the command line says.
type config struct {
	rounds              int
	quick               bool
	docs                string // folder of scaling.md
	tidings, natsServer string
	worker              []string
}

// run measures and writes. What has been measured when it is interrupted is not written: half a round is not interleaved.
func run(ctx context.Context, executable string, args []string, out, progress io.Writer) error {
	cfg, err := parse(args, progress)
	if err != nil {
		return err
	}
	cfg.worker = []string{executable, worker}
	page, err := rounds.OpenPage(filepath.Join(cfg.docs, "scaling.md"), "growth")
	if err != nil {
		return err
	}
	s := newStudy(cfg, everything(cfg.quick), rounds.NewDisplay(progress))
	defer s.display.Close()
	if err := s.run(ctx); err != nil {
		return err
	}
	return s.publish(page, out)
}

func parse(args []string, usage io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("growth", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.IntVar(&cfg.rounds, "rounds", 3, "passes over all steps")
	flags.BoolVar(&cfg.quick, "quick", false, "a tenth of the clients in short windows: to see that everything runs, not to quote")
	flags.StringVar(&cfg.docs, "docs", "docs", "folder of scaling.md")
	flags.StringVar(&cfg.tidings, "tidings", filepath.Join("bin", "tidings"), "program of the edges")
	flags.StringVar(&cfg.natsServer, "nats-server", filepath.Join("bin", "nats-server"), "program of NATS")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	switch {
	case flags.NArg() > 0:
		return config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case cfg.rounds < 1:
		return config{}, fmt.Errorf("--rounds %d, want at least 1", cfg.rounds)
	}
	return cfg, nil
}

var errNothing = errors.New("nothing could be measured")
