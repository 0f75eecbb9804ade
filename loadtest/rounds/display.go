// Package rounds is what programs have in common that measure in several rounds and write their tables into the documentation.
package rounds

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/runner"
)

// Display tells what goes on: a line that is written over on a terminal, a line for each step elsewhere. Its methods may be called from
// any goroutine.
type Display struct {
	out      io.Writer
	terminal bool

	mu    sync.Mutex
	left  map[string]int           // steps to come, by name
	took  map[string]time.Duration // how long one of that name took at last
	round string
	who   string
	step  string
	began time.Time
}

// guess is how long a step takes of which none is known.
const guess = 16 * time.Second

// NewDisplay writes to out.
func NewDisplay(out io.Writer) *Display {
	d := &Display{out: out, left: map[string]int{}, took: map[string]time.Duration{}}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		d.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return d
}

// Expect says what will come, once in each round.
func (d *Display) Expect(steps []string, rounds int) {
	for _, step := range steps {
		d.left[step] += rounds
	}
}

// Begin opens a step.
func (d *Display) Begin(round, who, step string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.round, d.who, d.step, d.began = round, who, step, time.Now()
	if d.terminal {
		d.line("starts")
	}
}

// End closes a step.
func (d *Display) End(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left[d.step]--
	d.took[d.step] = time.Since(d.began)
	text := "done"
	if err != nil {
		text = err.Error()
	}
	d.line(fmt.Sprintf("%s in %s", text, d.took[d.step].Round(time.Second/10)))
	_, _ = fmt.Fprintln(d.out)
}

// Say tells what goes on in a step, to a terminal only.
func (d *Display) Say(text string) {
	if !d.terminal {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line(text)
}

// Snapshot is the progress of a run.
func (d *Display) Snapshot(s runner.Snapshot) {
	d.Say(fmt.Sprintf("%s, %d of %d clients, %.0f deliveries/s, p99 %.2f ms", s.Phase, s.Connected, s.Clients, s.ReceivedPerSecond,
		float64(s.P99.Microseconds())/1000))
}

// line writes over the last one on a terminal.
func (d *Display) line(text string) {
	var left time.Duration
	for step, n := range d.left {
		one, known := d.took[step]
		if !known {
			one = guess
		}
		left += time.Duration(n) * one
	}
	start := ""
	if d.terminal {
		start = "\r\x1b[K"
	}
	_, _ = fmt.Fprintf(d.out, "%s%s · about %s left · %s · %s: %s", start, d.round, left.Round(time.Minute), d.who, d.step, text)
}

// Close leaves the line as it is.
func (d *Display) Close() {
	if d.terminal {
		_, _ = fmt.Fprintln(d.out)
	}
}
