package runner

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

// fault is what a scenario breaks in the middle of the window, while it goes on.
type fault struct {
	run    *run
	what   *scenario.Fault // nil: nothing
	cancel context.CancelFunc
	done   sync.WaitGroup

	// Of its goroutine until wait has returned.
	began time.Time     // zero: it has not happened
	back  time.Duration // until every client was back; 0: not all were
	err   error
}

// startFault lets the scenario's fault happen at its time.
func (r *run) startFault(ctx context.Context) *fault {
	f := &fault{run: r, what: r.scenario.Fault}
	ctx, f.cancel = context.WithCancel(ctx)
	if f.what != nil {
		f.done.Go(func() { f.happen(ctx) })
	}
	return f
}

// wait returns when it is over and clients are back, or will not come.
func (f *fault) wait() error {
	f.done.Wait()
	f.cancel()
	return f.err
}

func (f *fault) happen(ctx context.Context) {
	r := f.run
	timer := time.NewTimer(f.what.After)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	before := r.stats()
	r.monitor.fault(f.what.Kind)
	f.began = time.Now()
	err := f.strike(ctx)
	r.monitor.fault("")
	switch {
	case err != nil:
		f.err = fmt.Errorf("%s: %w", f.what.Kind, err)
	case r.scenario.Reconnect:
		f.awaitReturn(ctx, before)
	}
}

// strike does it, and returns when the target serves again.
func (f *fault) strike(ctx context.Context) error {
	if f.what.Kind == scenario.Disconnect {
		return f.run.swarm.Cut()
	}
	ctx, cancel := context.WithTimeout(ctx, f.what.Down+longestReturn)
	defer cancel()
	return f.run.target.Fault(ctx, f.what.Kind, f.what.Down)
}

// awaitReturn waits until as many clients are in as before, and some of them anew.
func (f *fault) awaitReturn(ctx context.Context, before swarm.Stats) {
	ctx, cancel := context.WithTimeout(ctx, longestReturn)
	defer cancel()
	seen := time.Now().Add(2 * glance) // the swarm's counts are younger than the fault then
	err := poll(ctx, func() bool {
		s := f.run.stats()
		return time.Now().After(seen) && s.Joined >= before.Joined && s.Reconnects > before.Reconnects
	})
	if err == nil {
		f.back = time.Since(f.began)
	}
}

// evaluate writes down what became of it. Where connections end at the moment of the fault, the slowest reconnect tells
// more exactly when the last client was back than counts that are a quarter of a second old.
func (f *fault) evaluate(out *report.Run, s swarm.Stats) {
	if f.began.IsZero() {
		return
	}
	out.Fault = &report.Fault{Kind: f.what.Kind, At: f.run.monitor.at(f.began), DownSeconds: f.what.Down.Seconds()}
	out.Reconnect.AllBackSeconds = f.back.Seconds()
	sudden := f.what.Kind == scenario.Disconnect || f.what.Kind == scenario.Kill
	if slowest := out.Reconnect.Seconds.Max; f.back > 0 && sudden && slowest > 0 {
		out.Reconnect.AllBackSeconds = min(slowest, f.back.Seconds())
	}
	if f.back == 0 && f.err == nil && f.run.scenario.Reconnect {
		f.run.note("%d clients were not back a minute after the %s.", max(0, f.run.joined-s.Joined), f.what.Kind)
	}
}
