package report

import "fmt"

// Limits past which a number says less about the target than about the harness.
const (
	busyHarness  = 0.9  // share of the window
	thinSchedule = 0.98 // of the planned rate
)

// Cautions are what a reader must know before the numbers of the run: why it ended early, where the harness measured itself, what was not
// measured, and the run's own notes.
func (r *Run) Cautions() []string {
	var all []string
	caution := func(when bool, format string, args ...any) {
		if when {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	caution(r.Error != "", "ended early: %s", r.Error)
	caution(r.HarnessBusy > busyHarness, "the harness was busy %s of the time: latency includes its own; give it more workers or fewer clients", percent(r.HarnessBusy))
	published := r.Publish.PerSecond / max(r.Rate, 1e-9)
	caution(r.Rate > 0 && published < thinSchedule && r.Seconds > 0, "only %s of the planned %s events per second were published", number(r.Publish.PerSecond), number(r.Rate))
	late, latency := r.Publish.LateMs, r.Deliver.LatencyMs
	caution(late.P99 > 10 && late.P99 > latency.P50, "the publisher lagged behind its schedule (p99 %s); latency counts from the schedule and includes that", Seconds.Text(late.P99*milli))
	caution(len(r.Processes) == 0 && r.Error == "", "CPU and memory were not measured: no process of the target was named")
	return append(all, r.Notes...)
}
