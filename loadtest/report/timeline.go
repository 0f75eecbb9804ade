package report

import (
	"math"
	"strings"
)

// measure is one series of a timeline.
type measure struct {
	class, name string
	of          func(*Sample) float64 // NaN: nothing to show
	worst       bool                  // of several samples put together the highest counts, otherwise their mean
	filled      bool
}

// timeline is what of a run is plotted over time.
type timeline struct {
	title    string
	unit     Unit
	log      bool // where the values span much
	measures []measure
	// needed says whether the run has anything to show.
	needed func(*Run) bool
}

func always(*Run) bool           { return true }
func withProcesses(r *Run) bool  { return len(r.Processes) > 0 }
func withErrors(r *Run) bool     { return r.peak(func(s *Sample) float64 { return s.Errors }) > 0 }
func withDeliveries(r *Run) bool { return r.peak(func(s *Sample) float64 { return s.Received }) > 0 }

func positive(ms float64) float64 { // a second without a delivery has no latency
	if ms <= 0 {
		return math.NaN()
	}
	return ms * milli
}

var timelines = []timeline{
	{title: "Latency", unit: Seconds, log: true, needed: withDeliveries, measures: []measure{
		{class: "s1", name: "p50", of: func(s *Sample) float64 { return positive(s.P50) }},
		{class: "s2", name: "p99", of: func(s *Sample) float64 { return positive(s.P99) }, worst: true},
	}},
	{title: "Deliveries", unit: PerSecond, needed: withDeliveries, measures: []measure{
		{class: "s1", name: "received", of: func(s *Sample) float64 { return s.Received }, filled: true},
	}},
	{title: "Events published", unit: PerSecond, needed: withDeliveries, measures: []measure{
		{class: "s3", name: "published", of: func(s *Sample) float64 { return s.Published }, filled: true},
	}},
	{title: "Clients connected", unit: Count, needed: always, measures: []measure{
		{class: "s1", name: "connected", of: func(s *Sample) float64 { return float64(s.Connected) }, filled: true},
	}},
	{title: "Failed tries to connect or publish", unit: PerSecond, needed: withErrors, measures: []measure{
		{class: "s4", name: "failed", of: func(s *Sample) float64 { return s.Errors }, worst: true, filled: true},
	}},
	{title: "Processors that the target keeps busy", unit: Processors, needed: withProcesses, measures: []measure{
		{class: "s2", name: "busy", of: func(s *Sample) float64 { return s.CPU }, filled: true},
	}},
	{title: "Memory of the target", unit: Bytes, needed: withProcesses, measures: []measure{
		{class: "s3", name: "resident", of: func(s *Sample) float64 { return float64(s.RSS) }, filled: true},
	}},
}

func (r *Run) peak(of func(*Sample) float64) float64 {
	most := 0.0
	for i := range r.Samples {
		if v := of(&r.Samples[i]); v > most { // false for NaN
			most = v
		}
	}
	return most
}

// timelinePlots has the plots of a run over time; none without samples.
func (r *Run) timelinePlots() []*plot {
	if len(r.Samples) == 0 {
		return nil
	}
	x := clock(max(r.Samples[len(r.Samples)-1].T, r.To))
	var all []*plot
	for _, t := range timelines {
		if t.needed(r) {
			all = append(all, t.plot(r, x))
		}
	}
	return all
}

func (t timeline) plot(r *Run, x axis) *plot {
	series := make([][]point, len(t.measures))
	least, most := math.Inf(1), 0.0
	for i, m := range t.measures {
		series[i] = m.points(r.Samples)
		for _, q := range series[i] {
			if q.y > 0 {
				least, most = min(least, q.y), max(most, q.y)
			}
		}
	}
	y, unit := linear(most, t.unit)
	if t.log && most/least > 20 { // false without any value
		y, unit = logarithmic(least, most, t.unit), ""
	}
	p := newPlot(t.title, x, y, "time since the first connection", unit)
	p.window(r)
	names := make([]string, len(t.measures))
	for i, m := range t.measures {
		names[i] = m.name
		if len(t.measures) == 1 {
			m.name = "" // the title says it
		}
		p.draw(m.class, m.name, series[i], m.filled)
	}
	p.Summary = t.title + " over time: " + strings.Join(names, " and ") + ", at most " + t.unit.Text(most)
	p.tellTime(t, series)
	return p
}

// window shades what was measured and marks the fault.
func (p *plot) window(r *Run) {
	if r.To > r.From {
		from := p.px(r.From)
		p.Window = &span{from, tenth(p.px(r.To) - from)}
	}
	if f := r.Fault; f != nil {
		p.Mark = &label{At: p.px(f.At), Text: f.Kind}
	}
}

func (p *plot) tellTime(t timeline, series [][]point) {
	places := make([]float64, len(series[0]))
	for i, q := range series[0] {
		places[i] = p.px(q.x)
	}
	p.strips(places, func(i int) string {
		parts := []string{duration(series[0][i].x)}
		for m, s := range series {
			if !math.IsNaN(s[i].y) {
				parts = append(parts, t.measures[m].name+" "+t.unit.Text(s[i].y))
			}
		}
		return strings.Join(parts, "\n")
	}, func(i int) []dot {
		var dots []dot
		for m, s := range series {
			if !math.IsNaN(s[i].y) {
				dots = append(dots, dot{t.measures[m].class, p.py(s[i].y)})
			}
		}
		return dots
	})
}

// points are at most maxPoints, each of as many samples as the others.
func (m measure) points(samples []Sample) []point {
	each := (len(samples) + maxPoints - 1) / maxPoints
	var all []point
	for from := 0; from < len(samples); from += each {
		together := samples[from:min(from+each, len(samples))]
		sum, most, n := 0.0, 0.0, 0.0
		for i := range together {
			if v := m.of(&together[i]); !math.IsNaN(v) {
				sum, most, n = sum+v, max(most, v), n+1
			}
		}
		y := math.NaN()
		switch {
		case n > 0 && m.worst:
			y = most
		case n > 0:
			y = sum / n
		}
		all = append(all, point{together[len(together)-1].T, y})
	}
	return all
}

// distributionPlot has a line for each run; the typical one is in front. Nil without any.
func (r *Result) distributionPlot() *plot {
	typical := r.typical()
	least, most, far := math.Inf(1), 0.0, 0.0
	for i := range r.Runs {
		for _, q := range r.Runs[i].Deliver.Distribution {
			if q.Ms > 0 {
				least, most = min(least, q.Ms*milli), max(most, q.Ms*milli)
			}
			if q.Percentile < 100 {
				far = max(far, nines(q.Percentile))
			}
		}
	}
	if most == 0 {
		return nil
	}
	y, unit := linear(most, Seconds)
	if most/least > 20 {
		y, unit = logarithmic(least, most, Seconds), ""
	}
	p := newPlot("Latency by percentile", percentiles(far), y, "percentile", unit)
	for i := range r.Runs {
		if i != typical {
			p.draw("faint", "", distribution(&r.Runs[i], p), false)
		}
	}
	front := distribution(&r.Runs[typical], p)
	name := "latency"
	if len(r.Runs) > 1 {
		name = "typical run"
	}
	p.draw("s1", name, front, false)
	if len(r.Runs) > 1 {
		p.Legend = append(p.Legend, legend{"faint", "the other runs"})
	}
	all := r.Runs[typical].Deliver.Distribution
	p.Summary = "Latency by percentile; the longest is " + Seconds.Text(most)
	places := make([]float64, len(front))
	for i, q := range front {
		places[i] = p.px(q.x)
	}
	p.strips(places, func(i int) string {
		return percentileText(all[i].Percentile) + " within\n" + Seconds.Text(all[i].Ms*milli)
	}, func(i int) []dot { return []dot{{"s1", p.py(front[i].y)}} })
	return p
}

// distribution ends the line with the longest latency at the right edge.
func distribution(r *Run, p *plot) []point {
	var all []point
	for _, q := range r.Deliver.Distribution {
		x := p.x.to
		if q.Percentile < 100 {
			x = nines(q.Percentile)
		}
		all = append(all, point{x, q.Ms * milli})
	}
	return all
}
