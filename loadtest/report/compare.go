package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Judgement is what a comparison says of one metric.
type Judgement string

const (
	Better   Judgement = "better"
	Worse    Judgement = "worse"
	NoChange Judgement = "no change" // beyond the noise
	Unknown  Judgement = "unknown"   // a side has too few runs to show its noise
)

const (
	// minRuns on each side show some noise; with two, their ranges are apart by luck one time in three.
	minRuns = 3
	// manyRuns on each side have ranges apart by luck less than once in a hundred; fewer have to be clearly apart.
	manyRuns = 5
	// minChange of the medians, relative, is worth being told.
	minChange = 0.03
)

// Comparison is what two results of one scenario differ in.
type Comparison struct {
	Scenario    string   `json:"scenario"`
	Before      Target   `json:"before"`
	After       Target   `json:"after"`
	BeforeRuns  int      `json:"before_runs"`
	AfterRuns   int      `json:"after_runs"`
	Notes       []string `json:"notes,omitempty"` // what a reader must know to judge it
	Changes     []Change `json:"changes"`
	OnlyPerUnit bool     `json:"only_per_unit,omitempty"` // the runs have different sizes: costs of one thing only
}

// Change is what became of one metric. Values are in the base of the metric's unit.
type Change struct {
	Metric    Metric    `json:"-"`
	Name      string    `json:"metric"`
	Before    Range     `json:"before"`
	After     Range     `json:"after"`
	Relative  float64   `json:"relative"` // of the medians: 0.1 is a tenth more; infinite never, 0 when there was nothing before
	Judgement Judgement `json:"judgement"`
}

// Compare says what changed beyond the noise, metric by metric.
//
// A metric has changed when its medians differ by more than 3 % and the ranges of both sides are apart: with five runs and more on each
// side at all, with three or four by at least half of the wider range. By luck alone that happens to about one metric in fifty, with
// five runs to one in a hundred. With
// fewer than three runs the noise is unknown and nothing is said; only a fault (an event lost, a client that did not come back) where
// there was none is worse whatever the number of runs.
//
// Different scenarios are refused, and so are runs with events of different sizes or bursts. Where only the number of clients, rooms or
// events differs, costs of one thing are compared: CPU per delivery, memory per connection.
func Compare(before, after *Result) (*Comparison, error) {
	if len(before.Runs) == 0 || len(after.Runs) == 0 {
		return nil, fmt.Errorf("compare: a result without runs")
	}
	if before.Scenario != after.Scenario {
		return nil, fmt.Errorf("compare: the scenarios are %q and %q; measure both with the same", before.Scenario, after.Scenario)
	}
	c := &Comparison{Scenario: before.Scenario, Before: before.Target, After: after.Target, BeforeRuns: len(before.Runs), AfterRuns: len(after.Runs)}
	if err := c.sizes(before, after); err != nil {
		return nil, err
	}
	c.notes(before, after)
	for _, m := range metrics {
		if c.OnlyPerUnit && !m.PerUnit {
			continue
		}
		change := Change{Metric: m, Name: m.Name, Before: before.RangeOf(m), After: after.RangeOf(m)}
		if change.Before.Runs > 0 && change.After.Runs > 0 {
			change.judge()
			c.Changes = append(c.Changes, change)
		}
	}
	if len(c.Changes) == 0 {
		return nil, fmt.Errorf("compare: nothing was measured on both sides")
	}
	return c, nil
}

// Has says whether any metric was judged so.
func (c *Comparison) Has(j Judgement) bool {
	return slices.ContainsFunc(c.Changes, func(change Change) bool { return change.Judgement == j })
}

// sizes refuses what cannot be compared and finds out what can.
func (c *Comparison) sizes(before, after *Result) error {
	a, b := &before.Runs[0], &after.Runs[0]
	for _, d := range []struct {
		what string
		a, b float64
		unit Unit
	}{{"events", float64(a.Size), float64(b.Size), Bytes}, {"bursts", float64(a.Burst), float64(b.Burst), Count}} {
		if d.a != d.b {
			return fmt.Errorf("compare: one side has %s of %s, the other of %s; measure both with the same", d.what, d.unit.Text(d.a), d.unit.Text(d.b))
		}
	}
	var differ []string
	for _, d := range []struct {
		what string
		a, b float64
	}{{"clients", float64(a.Clients), float64(b.Clients)}, {"rooms", float64(a.Rooms), float64(b.Rooms)}, {"events per second", a.Rate, b.Rate}} {
		if d.a != d.b {
			differ = append(differ, fmt.Sprintf("%s and %s %s", number(d.a), number(d.b), d.what))
		}
	}
	if len(differ) > 0 {
		c.OnlyPerUnit = true
		c.Notes = append(c.Notes, "the sides have "+strings.Join(differ, ", ")+": only costs of one thing are compared")
	}
	return nil
}

func (c *Comparison) notes(before, after *Result) {
	note := func(format string, args ...any) { c.Notes = append(c.Notes, fmt.Sprintf(format, args...)) }
	if runs := min(len(before.Runs), len(after.Runs)); runs < minRuns {
		note("%s on a side show no noise: repeat each at least %d times, better %d", plural(runs, "run"), minRuns, manyRuns)
	} else if runs < manyRuns {
		note("with %d runs on a side one metric in fifty changes by luck; %d say more", runs, manyRuns)
	}
	if before.Target.Name != after.Target.Name {
		note("the targets are %s and %s", before.Target.Name, after.Target.Name)
	}
	if a, b := before.Machine, after.Machine; a.CPU != b.CPU || a.Cores != b.Cores || a.Memory != b.Memory {
		note("the machines differ; a change may be theirs")
	}
	for _, side := range []struct {
		name string
		*Result
	}{{"before", before}, {"after", after}} {
		for i := range side.Runs {
			for _, caution := range side.Runs[i].Cautions() {
				note("%s, run %d: %s", side.name, i+1, caution)
			}
		}
	}
}

func (c *Change) judge() {
	b, a := c.Before, c.After
	if b.Median != 0 {
		c.Relative = (a.Median - b.Median) / math.Abs(b.Median)
	}
	c.Judgement = NoChange
	switch {
	case c.Metric.Fault && b.Max == 0 && a.Max > 0:
		c.Judgement = Worse
	case min(b.Runs, a.Runs) < minRuns:
		c.Judgement = Unknown
	case !apart(b, a):
	case (a.Median > b.Median) == c.Metric.HigherIsBetter:
		c.Judgement = Better
	default:
		c.Judgement = Worse
	}
}

// apart is the rule of Compare. A gap of exactly what is needed does not do.
func apart(b, a Range) bool {
	gap := max(a.Min-b.Max, b.Min-a.Max)
	needed := 0.0
	if min(b.Runs, a.Runs) < manyRuns {
		needed = max(b.width(), a.width()) / 2
	}
	return gap > needed && math.Abs(a.Median-b.Median) > minChange*math.Abs(b.Median)
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return count(n) + " " + what
}
