package runner

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// pacer wakes one goroutine at exact times. Go's own timers are up to a millisecond late, which is more than the latency that
// is to be measured; a thread of its own in clock_nanosleep(2) is some tens of microseconds late.
type pacer struct{}

// nap bounds a sleep, so that the end of a context is noticed.
const nap = 20 * time.Millisecond

func newPacer() *pacer {
	runtime.LockOSThread()
	// The slack of a thread, 50 µs unless asked otherwise, is there to save power. An error leaves it.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return &pacer{}
}

// until waits for the time and reports false when ctx has ended before.
func (*pacer) until(ctx context.Context, at time.Time) bool {
	for {
		left := time.Until(at)
		if left <= 0 {
			return ctx.Err() == nil
		}
		ts := unix.NsecToTimespec(int64(min(left, nap)))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil) // an interruption is looked at by the loop
		if ctx.Err() != nil {
			return false
		}
	}
}

// stop gives the thread back as it was.
func (*pacer) stop() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // 0 is the usual slack
	runtime.UnlockOSThread()
}
