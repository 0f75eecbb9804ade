package report

import (
	"slices"
)

// Metric is one number of a run that can be judged and compared.
type Metric struct {
	Name           string // as objectives name it
	Title          string
	Unit           Unit
	HigherIsBetter bool
	// PerUnit metrics are costs of one thing, comparable between runs of different sizes.
	PerUnit bool
	// Fault metrics count what should not be at all: one where there was none matters however noisy it is.
	Fault bool

	value func(*Run) (v float64, measured bool)
}

// Metrics lists all metrics in the order of reports.
func Metrics() []Metric { return slices.Clone(metrics) }

// Of is the metric of a run, in the base of its Unit; false when the run did not measure it.
func (m Metric) Of(r *Run) (float64, bool) { return m.value(r) }

func metric(name string) (Metric, bool) {
	i := slices.IndexFunc(metrics, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return metrics[i], true
}

const (
	milli = 1e-3
	micro = 1e-6
)

var metrics = []Metric{
	{Name: "connections-succeeded", Title: "connected", Unit: Share, HigherIsBetter: true, value: func(r *Run) (float64, bool) {
		return float64(r.Connect.Succeeded) / float64(max(r.Connect.Attempted, 1)), r.Connect.Attempted > 0
	}},
	{Name: "connect-time", Title: "time until all were in", Unit: Seconds, value: func(r *Run) (float64, bool) {
		return r.Connect.Seconds, r.Connect.Succeeded > 0 && r.Connect.Failed == 0
	}},
	{Name: "join-p50", Title: "join, p50", Unit: Seconds, value: summary(joinMs, p50, milli)},
	{Name: "join-p99", Title: "join, p99", Unit: Seconds, value: summary(joinMs, p99, milli)},

	{Name: "delivered", Title: "delivered", Unit: Share, HigherIsBetter: true, value: func(r *Run) (float64, bool) {
		return min(float64(r.Deliver.Received)/float64(max(r.Deliver.Expected, 1)), 1), r.Deliver.Expected > 0
	}},
	{Name: "missing", Title: "missing", Unit: Count, Fault: true, value: func(r *Run) (float64, bool) {
		return float64(r.Deliver.Missing), r.Deliver.Expected > 0
	}},
	{Name: "twice", Title: "delivered twice", Unit: Count, Fault: true, value: func(r *Run) (float64, bool) {
		return float64(r.Deliver.Twice), r.Deliver.Expected > 0
	}},
	{Name: "out-of-order", Title: "out of order", Unit: Count, Fault: true, value: func(r *Run) (float64, bool) {
		return float64(r.Deliver.OutOfOrder), r.Deliver.Expected > 0
	}},
	{Name: "publish-failed", Title: "publishing failed", Unit: Count, Fault: true, value: func(r *Run) (float64, bool) {
		return float64(r.Publish.Failed), r.Publish.Sent > 0
	}},
	{Name: "delivery-rate", Title: "deliveries per second", Unit: PerSecond, HigherIsBetter: true, value: func(r *Run) (float64, bool) {
		return r.Deliver.PerSecond, r.Deliver.Expected > 0
	}},

	{Name: "latency-mean", Title: "latency, mean", Unit: Seconds, value: summary(latencyMs, mean, milli)},
	{Name: "latency-p50", Title: "latency, p50", Unit: Seconds, value: summary(latencyMs, p50, milli)},
	{Name: "latency-p95", Title: "latency, p95", Unit: Seconds, value: summary(latencyMs, p95, milli)},
	{Name: "latency-p99", Title: "latency, p99", Unit: Seconds, value: summary(latencyMs, p99, milli)},
	{Name: "latency-p999", Title: "latency, p99.9", Unit: Seconds, value: summary(latencyMs, p999, milli)},
	{Name: "latency-max", Title: "latency, longest", Unit: Seconds, value: summary(latencyMs, longest, milli)},

	{Name: "reconnect-mean", Title: "reconnection, mean", Unit: Seconds, value: summary(backSeconds, mean, 1)},
	{Name: "reconnect-p99", Title: "reconnection, p99", Unit: Seconds, value: summary(backSeconds, p99, 1)},
	{Name: "all-back", Title: "all back after a fault", Unit: Seconds, value: func(r *Run) (float64, bool) {
		return r.Reconnect.AllBackSeconds, r.Reconnect.AllBackSeconds > 0
	}},
	{Name: "not-back", Title: "did not come back", Unit: Count, Fault: true, value: func(r *Run) (float64, bool) {
		return float64(r.Reconnect.Missing), r.reconnected()
	}},
	{Name: "not-recovered", Title: "told of a loss", Unit: Count, Fault: true, value: func(r *Run) (float64, bool) {
		return float64(r.Reconnect.NotRecovered), r.reconnected()
	}},
	{Name: "reconnect-loops", Title: "reconnect loops", Unit: Count, Fault: true, value: func(r *Run) (float64, bool) {
		return float64(r.Reconnect.Loops), r.Connect.Succeeded > 0
	}},

	{Name: "cpu-per-delivery", Title: "CPU per delivery", Unit: Seconds, PerUnit: true, value: cost(func(r *Run) float64 { return r.CPUPerDelivery * micro })},
	{Name: "server-cpu-per-delivery", Title: "CPU per delivery, servers alone", Unit: Seconds, PerUnit: true, value: cost(func(r *Run) float64 { return r.ServerCPUPerDelivery * micro })},
	{Name: "cpu-per-join", Title: "CPU per join", Unit: Seconds, PerUnit: true, value: cost(func(r *Run) float64 { return r.CPUPerJoin * micro })},
	{Name: "rss-per-connection", Title: "memory per connection", Unit: Bytes, PerUnit: true, value: cost(func(r *Run) float64 { return r.RSSPerConnection })},
	{Name: "rss-slope", Title: "growth of memory", Unit: BytesPerHour, value: func(r *Run) (float64, bool) {
		return r.rssSlope(), r.Seconds >= minSlopeSeconds && len(r.Processes) > 0
	}},
	{Name: "bytes-per-delivery", Title: "bytes per delivery", Unit: Bytes, PerUnit: true, value: func(r *Run) (float64, bool) {
		return r.BytesPerDelivery, r.BytesPerDelivery > 0
	}},
}

// minSlopeSeconds is the shortest window in which growth of memory says more than a garbage collection does.
const minSlopeSeconds = 300

func (r *Run) reconnected() bool { return r.Reconnect.Count+r.Reconnect.Missing > 0 || r.Fault != nil }

func (r *Run) rssSlope() float64 {
	sum := 0.0
	for _, p := range r.Processes {
		if p.Role == Server {
			sum += p.RSSSlope
		}
	}
	return sum
}

func joinMs(r *Run) *Summary      { return &r.Connect.JoinMs }
func latencyMs(r *Run) *Summary   { return &r.Deliver.LatencyMs }
func backSeconds(r *Run) *Summary { return &r.Reconnect.Seconds }

func mean(s *Summary) float64    { return s.Mean }
func p50(s *Summary) float64     { return s.P50 }
func p95(s *Summary) float64     { return s.P95 }
func p99(s *Summary) float64     { return s.P99 }
func p999(s *Summary) float64    { return s.P999 }
func longest(s *Summary) float64 { return s.Max }

// summary is one number of a summary, measured when that has any values.
func summary(of func(*Run) *Summary, number func(*Summary) float64, scale float64) func(*Run) (float64, bool) {
	return func(r *Run) (float64, bool) {
		s := of(r)
		return number(s) * scale, s.Count > 0
	}
}

// cost is what processes used; zero is not measured.
func cost(of func(*Run) float64) func(*Run) (float64, bool) {
	return func(r *Run) (float64, bool) { return of(r), len(r.Processes) > 0 && of(r) != 0 }
}

// Range is what several runs measured of one metric.
type Range struct {
	Runs             int // that measured it
	Median, Min, Max float64
}

// RangeOf leaves out runs that did not measure the metric.
func (r *Result) RangeOf(m Metric) Range {
	var values []float64
	for i := range r.Runs {
		if v, ok := m.Of(&r.Runs[i]); ok {
			values = append(values, v)
		}
	}
	return RangeOf(values)
}

// RangeOf is that of numbers in any order; of none it is zero.
func RangeOf(values []float64) Range {
	n := len(values)
	if n == 0 {
		return Range{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return Range{n, (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

func (r Range) width() float64 { return r.Max - r.Min }
