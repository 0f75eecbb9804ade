package runner

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

const (
	glance = 250 * time.Millisecond // how often progress is told
	second = time.Second            // how often a sample is kept
)

// monitor looks on while a run goes: it keeps samples and tells of progress. Its methods may be called from any goroutine.
type monitor struct {
	stats   func() swarm.Stats
	load    *load
	start   time.Time // zero of the run's axis
	tell    func(Snapshot)
	samples []report.Sample

	mu     sync.Mutex
	usage  *usage
	shown  Snapshot // what stays: run, phase, clients, fault
	since  time.Time
	inside bool // the window
	from   reading

	stop context.CancelFunc
	done sync.WaitGroup
}

// reading is what rates are differences of.
type reading struct {
	at        time.Time
	stats     swarm.Stats
	published uint64
	errors    int
	cpu       time.Duration
}

func newMonitor(stats func() swarm.Stats, l *load, u *usage, tell func(Snapshot), first Snapshot) *monitor {
	m := &monitor{stats: stats, load: l, usage: u, tell: tell, start: time.Now(), shown: first, since: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	m.from = m.read()
	m.done.Go(func() { m.run(ctx) })
	return m
}

// close ends it; the samples are complete then.
func (m *monitor) close() {
	m.stop()
	m.done.Wait()
}

func (m *monitor) run(ctx context.Context) {
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.look()
		case <-ctx.Done():
			return
		}
	}
}

// phase begins the next one; length may be 0.
func (m *monitor) phase(p Phase, length time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown.Phase, m.shown.Length, m.since = p, length, time.Now()
}

// fault says what is broken from now on, "" for nothing. What is about to die is looked at once more.
func (m *monitor) fault(kind string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown.Fault = kind
	m.usage.look(false)
}

// joined, begin and end are those of usage; rates start anew with begin, as the counts of the swarm and the load do.
func (m *monitor) joined() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usage.joined()
}

func (m *monitor) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usage.begin()
	m.inside = true
	m.shown.PublishedPerSecond, m.shown.ReceivedPerSecond, m.shown.P50, m.shown.P99 = 0, 0, 0, 0
	m.from = reading{at: time.Now(), errors: m.from.errors}
	m.from.cpu, _ = m.usage.total()
}

func (m *monitor) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usage.end()
	m.inside = false
}

// at is a time on the run's axis, in seconds.
func (m *monitor) at(t time.Time) float64 { return t.Sub(m.start).Seconds() }

// read takes a reading; the caller has the lock, or is alone.
func (m *monitor) read() reading {
	r := reading{at: time.Now(), stats: m.stats()}
	acked, failed, _ := m.load.counts()
	r.published = acked
	r.errors = int(failed) //nolint:gosec // a count
	for _, n := range r.stats.Failures {
		r.errors += n
	}
	r.cpu, _ = m.usage.total()
	return r
}

// look tells of progress, and keeps a sample once a second.
func (m *monitor) look() {
	m.mu.Lock()
	defer m.mu.Unlock()
	full := time.Since(m.from.at) >= second-glance/2 // the nearest tick
	if full {
		m.usage.look(false)
	}
	now := m.read()
	sample := m.difference(now)
	if full {
		m.from = now
		m.samples = append(m.samples, sample)
		if m.inside {
			m.usage.sample(sample.T)
		}
	}
	if m.tell == nil {
		return
	}
	s := m.shown
	if full || m.shown.Phase == PhaseConnect {
		m.shown.PublishedPerSecond, m.shown.ReceivedPerSecond = sample.Published, sample.Received
		m.shown.P50, m.shown.P99 = milliseconds(sample.P50), milliseconds(sample.P99)
		m.shown.CPU, m.shown.RSS = sample.CPU, sample.RSS
		s = m.shown
	}
	s.Elapsed = time.Since(m.since)
	s.Connected, s.Failed, s.Harness = now.stats.Joined, now.stats.Failed, now.stats.BusyShare
	s.Errors = maps.Clone(now.stats.Failures)
	_, _, failures := m.load.counts()
	for reason, n := range failures {
		s.Errors["publish: "+reason] += n
	}
	m.tell(s)
}

// difference is what happened since the last full second.
func (m *monitor) difference(now reading) report.Sample {
	seconds := now.at.Sub(m.from.at).Seconds()
	s := report.Sample{T: m.at(now.at), Connected: now.stats.Joined}
	_, s.RSS = m.usage.total()
	if seconds <= 0 {
		return s
	}
	// Counts that began anew in between are smaller than before.
	rate := func(now, before uint64) float64 { return float64(now-min(now, before)) / seconds }
	s.Received = rate(now.stats.Received, m.from.stats.Received)
	s.Published = rate(now.published, m.from.published)
	s.Errors = float64(max(0, now.errors-m.from.errors)) / seconds
	s.CPU = (now.cpu - m.from.cpu).Seconds() / seconds
	if h := since(now.stats.Latency, m.from.stats.Latency); h != nil && h.TotalCount() > 0 {
		s.P50, s.P99 = float64(h.ValueAtPercentile(50))/1000, float64(h.ValueAtPercentile(99))/1000
	}
	return s
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
