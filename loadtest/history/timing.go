package history

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// Spread describes a set of durations. Percentiles are of the nearest rank: each is one that occurred.
type Spread struct {
	Count                    int
	Mean, P50, P95, P99, Max time.Duration
}

// spreadOf sorts took.
func spreadOf(took []time.Duration) Spread {
	if len(took) == 0 {
		return Spread{}
	}
	slices.Sort(took)
	var sum float64
	for _, d := range took {
		sum += float64(d)
	}
	rank := func(p float64) time.Duration {
		return took[max(int(math.Ceil(p*float64(len(took)))), 1)-1]
	}
	return Spread{
		Count: len(took), Mean: time.Duration(sum / float64(len(took))),
		P50: rank(0.50), P95: rank(0.95), P99: rank(0.99), Max: took[len(took)-1],
	}
}

// MarshalJSON gives seconds.
func (s Spread) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"count": s.Count, "mean_s": s.Mean.Seconds(), "p50_s": s.P50.Seconds(), "p95_s": s.P95.Seconds(),
		"p99_s": s.P99.Seconds(), "max_s": s.Max.Seconds(),
	})
}

// brief is a duration with three digits or so.
func brief(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + brief(-d)
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	default:
		return d.Round(time.Second).String()
	}
}

// delay notes how long it took from the publisher to a steady client.
func (c *checker) delay(published, arrived int64) {
	took := max(time.Duration(arrived-published), 0)
	c.delays = append(c.delays, took)
	if c.run.calm(published) && c.run.calm(arrived) {
		c.calm = append(c.calm, took)
	}
}

// heard notes when an event that was acknowledged after healing had reached a steady client, by itself
// or because a later one of its room came.
func (m *member) heard(i int, t int64) {
	c, e := m.checker, &m.room.stored[i]
	if !m.dueSoon(i) {
		return
	}
	c.of(Audible, 1)
	took := time.Duration(t - e.of.acked)
	c.report.Silence = max(c.report.Silence, took)
	if took > within {
		c.fail(Audible, m.violation(e.seq, e.id, t), "reached the client %s after its ack, the bar is %s", brief(took), brief(within))
	}
}

// unheard notes that an event was not followed by any in its room until end.
func (m *member) unheard(i int, end int64) {
	c, e := m.checker, &m.room.stored[i]
	if !m.dueSoon(i) || time.Duration(end-e.of.acked) <= within {
		return
	}
	c.of(Audible, 1)
	c.report.Silence = max(c.report.Silence, time.Duration(end-e.of.acked))
	c.fail(Audible, m.violation(e.seq, e.id, end), "the room was silent from its ack to the client's end, %s later", brief(time.Duration(end-e.of.acked)))
}

// dueSoon reports whether an event has to reach the client while no fault is under way.
func (m *member) dueSoon(i int) bool {
	healed, p := m.checker.run.healed, m.room.stored[i].of
	return healed != 0 && m.client.class == Steady && m.in && p != nil && p.acked >= healed && p.began >= m.since
}

// joining notes a join of a steady client, and how many there were in the minute before.
func (m *member) joining(t int64) {
	if m.client.class != Steady {
		return
	}
	c := m.checker
	c.of(Calm, 1)
	m.joins = append(m.joins, t)
	for t-m.joins[0] >= int64(time.Minute) {
		m.joins = m.joins[1:]
	}
	n := len(m.joins)
	c.report.MostJoins = max(c.report.MostJoins, n)
	if n > maxJoins {
		c.fail(Calm, m.violation(0, "", t), "joins the room for the %dth time in a minute, the bar is %d", n, maxJoins)
	}
}
