//go:build !linux

package runner

import (
	"context"
	"time"
)

// pacer wakes one goroutine at exact times, as far as Go's timers can.
type pacer struct{ timer *time.Timer }

func newPacer() *pacer { return &pacer{timer: time.NewTimer(0)} }

// until waits for the time and reports false when ctx has ended before.
func (p *pacer) until(ctx context.Context, at time.Time) bool {
	p.timer.Reset(time.Until(at))
	select {
	case <-p.timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (p *pacer) stop() { p.timer.Stop() }
