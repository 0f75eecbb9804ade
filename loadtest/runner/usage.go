package runner

import (
	"slices"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner/proc"
)

// usage keeps the books of what the target's processes use. A process that is started again has the same entry: its CPU goes on
// where it was. It is for one goroutine.
type usage struct {
	target  Target
	entries []*entry // in the order in which they were first seen
}

// entry is one process of the report.
type entry struct {
	name, role string
	pid        int                   // the newest
	base       map[int]time.Duration // CPU of each pid before the run
	last       map[int]time.Duration // … as last seen
	rss        uint64                // as last seen

	out    report.Process
	window []point // resident memory in the window
	mark   time.Duration
}

// point is a value at a time, in seconds.
type point struct{ t, value float64 }

func newUsage(t Target) *usage {
	u := &usage{target: t}
	u.look(true)
	for _, e := range u.entries {
		e.base = map[int]time.Duration{e.pid: e.last[e.pid]}
		e.out.RSSBefore = e.rss
	}
	return u
}

// look reads all of them once. exact is the slower way to read memory.
func (u *usage) look(exact bool) {
	for _, e := range u.entries {
		e.rss = 0
	}
	for _, p := range u.target.Processes() {
		cpu, err := proc.CPU(p.PID)
		if err != nil {
			continue // it has just ended
		}
		e := u.entry(p)
		e.pid, e.last[p.PID] = p.PID, cpu
		if rss, err := proc.RSS(p.PID, exact); err == nil {
			e.rss = rss
		}
	}
}

func (u *usage) entry(p Process) *entry {
	i := slices.IndexFunc(u.entries, func(e *entry) bool { return e.name == p.Name })
	if i >= 0 {
		return u.entries[i]
	}
	e := &entry{name: p.Name, role: p.Role, last: map[int]time.Duration{}}
	u.entries = append(u.entries, e)
	return e
}

// used is the CPU since the run began.
func (e *entry) used() time.Duration {
	var sum time.Duration
	for pid, cpu := range e.last {
		sum += cpu - e.base[pid]
	}
	return sum
}

// total is the CPU of all since the run began, and their memory.
func (u *usage) total() (cpu time.Duration, rss uint64) {
	for _, e := range u.entries {
		cpu += e.used()
		rss += e.rss
	}
	return cpu, rss
}

// joined ends the phase of connecting.
func (u *usage) joined() {
	u.look(true)
	for _, e := range u.entries {
		e.out.JoinCPU, e.out.RSSJoined = e.used().Seconds(), e.rss
	}
}

// begin starts the window.
func (u *usage) begin() {
	u.look(true)
	for _, e := range u.entries {
		e.mark, e.window = e.used(), nil
	}
}

// sample adds a point to the window; t is in seconds.
func (u *usage) sample(t float64) {
	for _, e := range u.entries {
		if e.rss > 0 {
			e.window = append(e.window, point{t, float64(e.rss)})
		}
	}
}

// end ends the window.
func (u *usage) end() {
	u.look(true)
	for _, e := range u.entries {
		e.out.CPU, e.out.RSSEnd = (e.used() - e.mark).Seconds(), e.rss
		e.out.RSSSlope = slope(e.window) * 3600
	}
}

// report is one process each.
func (u *usage) report() []report.Process {
	processes := make([]report.Process, 0, len(u.entries))
	for _, e := range u.entries {
		p := e.out
		p.Name, p.PID, p.Role = e.name, e.pid, e.role
		processes = append(processes, p)
	}
	return processes
}

// slope is that of the line with the least squares, per second; 0 for less than three points.
func slope(points []point) float64 {
	if len(points) < 3 {
		return 0
	}
	var meanT, mean float64
	for _, p := range points {
		meanT += p.t / float64(len(points))
		mean += p.value / float64(len(points))
	}
	var above, below float64
	for _, p := range points {
		above += (p.t - meanT) * (p.value - mean)
		below += (p.t - meanT) * (p.t - meanT)
	}
	if below == 0 {
		return 0
	}
	return above / below
}
