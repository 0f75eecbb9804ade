package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/rounds"
	"github.com/tidingsmesh/tidings/loadtest/runner"
)

// study is one whole measurement.
type study struct {
	cfg     config
	steps   []step
	display *rounds.Display

	began   time.Time
	machine report.Machine
	target  report.Target // of the last start
	records []record
	remarks []string // what a reader must know
}

// record is what one step of one round measured.
type record struct {
	Step   string  `json:"step"` // its key
	Round  int     `json:"round"`
	Values numbers `json:"values"`
}

// numbers are by name, in seconds, bytes and their inverses. A step has those that it measures.
type numbers map[string]float64

func newStudy(cfg config, steps []step, d *rounds.Display) *study {
	return &study{cfg: cfg, steps: steps, display: d}
}

// run goes round by round; odd rounds go backwards, so that no step is always behind the same one.
func (s *study) run(ctx context.Context) error {
	s.began = time.Now()
	for _, one := range s.steps {
		s.display.Expect([]string{one.key}, s.cfg.rounds)
	}
	for round := range s.cfg.rounds {
		for i := range s.steps {
			if round%2 == 1 {
				i = len(s.steps) - 1 - i
			}
			one := s.steps[i]
			s.display.Begin(fmt.Sprintf("round %d of %d", round+1, s.cfg.rounds), one.label, one.key)
			values, err := s.measure(ctx, one)
			s.display.End(err)
			if ctx.Err() != nil {
				return errors.New("interrupted: nothing was written")
			}
			if err != nil {
				s.remarks = append(s.remarks, fmt.Sprintf("%s, round %d: %v", one.label, round+1, err))
				continue
			}
			s.records = append(s.records, record{one.key, round + 1, values})
		}
	}
	if len(s.records) == 0 {
		return errNothing
	}
	return nil
}

// measure takes one step with processes of its own. Their logs stay when it fails.
func (s *study) measure(ctx context.Context, one step) (values numbers, err error) {
	folder, err := os.MkdirTemp("", "growth-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err == nil || ctx.Err() != nil {
			_ = os.RemoveAll(folder)
			return
		}
		err = fmt.Errorf("%w (logs are in %s)", err, folder)
	}()
	binary, err := filepath.Abs(s.cfg.tidings)
	if err != nil {
		return nil, err
	}
	server, err := filepath.Abs(s.cfg.natsServer)
	if err != nil {
		return nil, err
	}
	target, err := runner.StartTidings(ctx, runner.TidingsConfig{Binary: binary, NATSServer: server, Edges: one.edges, Dir: folder, Flags: one.flags})
	if err != nil {
		return nil, err
	}
	defer target.Close()
	s.target = target.Describe()
	if one.many != nil {
		m := &manyRooms{step: one, target: target, worker: s.cfg.worker, say: s.display.Say}
		return m.measure(ctx)
	}
	return s.load(ctx, one, target)
}

// load runs the step's scenario.
func (s *study) load(ctx context.Context, one step, target *runner.Tidings) (numbers, error) {
	var kernel kernelUse
	result, err := runner.Run(ctx, one.scenario(), target, runner.Options{WorkerCommand: s.cfg.worker, Progress: func(now runner.Snapshot) {
		kernel.look(now.Phase)
		s.display.Snapshot(now)
	}})
	if err != nil {
		return nil, err
	}
	run := &result.Runs[0]
	if run.Error != "" {
		return nil, errors.New(run.Error)
	}
	s.machine = result.Machine
	if d := run.Deliver; d.Missing+d.Twice+d.OutOfOrder > 0 {
		s.remarks = append(s.remarks, fmt.Sprintf("%s: %d missing, %d twice, %d out of order of %d.", one.label, d.Missing, d.Twice, d.OutOfOrder, d.Expected))
	}
	if f := run.Connect.Failed; f > 0 {
		s.remarks = append(s.remarks, fmt.Sprintf("%s: %d of %d clients did not get in.", one.label, f, run.Connect.Attempted))
	}
	const busy = 0.9
	if run.HarnessBusy > busy {
		s.remarks = append(s.remarks, fmt.Sprintf("%s: the harness was busy for %.0f %% of the window.", one.label, run.HarnessBusy*100))
	}
	return numbersOf(one, run, kernel.grown()), nil
}
