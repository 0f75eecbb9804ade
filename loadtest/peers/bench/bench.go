package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/rounds"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
)

// bench is one whole measurement.
type bench struct {
	cfg         config
	contestants []*contestant
	loads       map[string]*scenario.Scenario
	display     *rounds.Display

	began   time.Time
	machine report.Machine
	results []*report.Result // without samples; Target.Name is the contestant's
}

func newBench(cfg config, contestants []*contestant, d *rounds.Display) *bench {
	return &bench{cfg: cfg, contestants: contestants, loads: loads(cfg.clients, cfg.quick), display: d}
}

// run goes round by round; the order changes with the round, so that nobody is always behind the same one.
func (b *bench) run(ctx context.Context) error {
	b.began = time.Now()
	for _, c := range b.contestants {
		b.display.Expect(c.steps(), b.cfg.rounds)
	}
	for round := range b.cfg.rounds {
		for i := range b.contestants {
			c := b.contestants[(i+round)%len(b.contestants)]
			for _, step := range c.steps() {
				b.display.Begin(fmt.Sprintf("round %d of %d", round+1, b.cfg.rounds), c.name, step)
				err := b.step(ctx, c, step)
				b.display.End(err)
				if ctx.Err() != nil {
					return errors.New("interrupted: nothing was written")
				}
				if err != nil {
					c.trouble = append(c.trouble, fmt.Sprintf("%s, round %d: %v", step, round+1, err))
				}
			}
		}
	}
	if len(b.results) == 0 {
		return errors.New("nothing could be measured")
	}
	return nil
}

// step measures one thing with processes of its own. Their logs stay when it fails.
func (b *bench) step(ctx context.Context, c *contestant, step string) (err error) {
	folder, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil || ctx.Err() != nil {
			_ = os.RemoveAll(folder)
			return
		}
		b.display.Say("logs are in " + folder)
	}()
	target, err := c.start(ctx, folder)
	if err != nil {
		return err
	}
	defer target.Close()
	c.about = target.Describe()
	result, err := b.measure(ctx, c, target, step)
	if err != nil {
		return err
	}
	if result.Machine.Cores > 0 {
		b.machine = result.Machine
	}
	run := &result.Runs[0]
	if run.Error != "" {
		return errors.New(run.Error)
	}
	// Names tell the contestants apart; what changes from start to start is of no use to anybody.
	result.Target.Name, result.Target.URLs, result.Args = c.name, nil, nil
	run.Samples, run.Deliver.Distribution = nil, nil
	b.results = append(b.results, result)
	return nil
}

func (b *bench) measure(ctx context.Context, c *contestant, target installation, step string) (*report.Result, error) {
	if step != idle {
		return runner.Run(ctx, b.loads[step], target, runner.Options{
			WorkerCommand: b.cfg.worker, Haste: haste, Progress: b.display.Snapshot,
		})
	}
	r := &idleRun{
		target: target, worker: b.cfg.worker, few: b.cfg.clients / 10, all: b.cfg.clients * 3 / 2,
		joining: func(joined int) { b.display.Say(fmt.Sprintf("%d joined", joined)) },
	}
	began := time.Now()
	run, err := r.do(ctx)
	if err != nil {
		return nil, err
	}
	return &report.Result{
		Format: report.Format, Scenario: idle, Target: c.about, Machine: b.machine, Started: began, Runs: []report.Run{run},
	}, nil
}
