package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
)

// config is what the command line says.
type config struct {
	out                 string
	duration            time.Duration
	tidings, natsServer string
	scenarios           []string
	worker              []string
}

func parse(args []string, usage io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("profile", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&cfg.out, "out", "profiles", "folder for the profiles, one in it for each scenario")
	flags.DurationVar(&cfg.duration, "duration", 15*time.Second, "how long events flow, instead of what a scenario says")
	flags.StringVar(&cfg.tidings, "tidings", filepath.Join("bin", "tidings"), "program of the edge")
	flags.StringVar(&cfg.natsServer, "nats-server", filepath.Join("bin", "nats-server"), "program of NATS")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	if cfg.duration < 2*slice {
		return config{}, fmt.Errorf("--duration %s, want at least %s", cfg.duration, 2*slice)
	}
	if cfg.scenarios = flags.Args(); len(cfg.scenarios) == 0 {
		cfg.scenarios = scenario.Bundled()
	}
	return cfg, nil
}

// run profiles all scenarios, also those after one that fails.
func run(ctx context.Context, executable string, args []string, out io.Writer) error {
	cfg, err := parse(args, out)
	if err != nil {
		return err
	}
	cfg.worker = []string{executable, worker}
	var loads []*scenario.Scenario // before anything is started
	for _, name := range cfg.scenarios {
		s, err := scenario.Load(name)
		if err != nil {
			return err
		}
		loads = append(loads, shorten(s, cfg.duration))
	}
	var failed []error
	for _, s := range loads {
		if ctx.Err() != nil {
			return errors.Join(append(failed, runner.ErrInterrupted)...)
		}
		fmt.Fprintf(out, "%s: %d clients, %s\n", s.Name, s.Clients, s.Description)
		if err := cfg.profile(ctx, s, out); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", s.Name, err))
		}
	}
	return errors.Join(failed...)
}

// shorten makes one short run of it; a fault comes in proportion.
func shorten(s *scenario.Scenario, to time.Duration) *scenario.Scenario {
	if s.Fault != nil && s.Duration > 0 {
		s.Fault.After = time.Duration(float64(s.Fault.After) * float64(to) / float64(s.Duration))
	}
	s.Duration, s.Repeat = to, 1
	s.Warmup = min(s.Warmup, 3*time.Second)
	return s
}

// profile runs one scenario on an installation of its own.
func (cfg config) profile(ctx context.Context, s *scenario.Scenario, out io.Writer) (err error) {
	dir := filepath.Join(cfg.out, s.Name)
	if err := os.RemoveAll(dir); err != nil { // of an earlier time
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a profile is no secret
		return err
	}
	store, err := os.MkdirTemp("", "tidings-profile-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(store)) }()
	t, err := runner.StartTidings(ctx, runner.TidingsConfig{Binary: cfg.tidings, NATSServer: cfg.natsServer, Dir: store})
	if err != nil {
		return err
	}
	defer t.Close()

	c := newCollector(ctx, "http://"+t.Admin()[0], dir)
	result, err := runner.Run(ctx, s, t, runner.Options{WorkerCommand: cfg.worker, Progress: c.progress})
	taken, lost := c.end()
	if err != nil {
		return err
	}
	if text := result.Runs[0].Error; text != "" {
		return errors.New(text)
	}
	if lost != nil {
		return lost
	}
	return errors.Join(
		report.Save(filepath.Join(dir, "run.txt"), func(w io.Writer) error { return result.WriteText(w, nil) }),
		taken.tell(ctx, cfg.tidings, dir, out),
	)
}
