package main

import (
	"fmt"
	"slices"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

// Columns are what the tables show. Targets that are multiples of the floor are filled in when it was measured.
var ratioColumns = []struct {
	report.Column
	times float64 // of the floor's median; 0: Target holds as it is
}{
	{report.Column{Title: "wide", Scenario: wide, Metric: "server-cpu-per-delivery", Scale: "µs"}, 1.15},
	{report.Column{Title: "narrow", Scenario: narrow, Metric: "server-cpu-per-delivery", Scale: "µs"}, 1.6},
	{report.Column{Title: "burst, wide", Scenario: burstWide, Metric: "server-cpu-per-delivery", Scale: "µs"}, 0.14},
	{report.Column{Title: "burst, narrow", Scenario: burstNarrow, Metric: "server-cpu-per-delivery", Scale: "µs"}, 0.5},
	{report.Column{Title: "memory per idle connection", Scenario: idle, Metric: "rss-per-connection", Scale: "KiB", Target: 1 << 10}, 0},
	{report.Column{Title: "CPU per join", Scenario: idle, Metric: "cpu-per-join", Scale: "µs", Target: 60e-6}, 0},
	{report.Column{Title: "the last one has it", Scenario: single, Metric: "latency-p999", Scale: "ms"}, 0.75},
}

var wholeColumns = []report.Column{
	{Title: "CPU per join", Scenario: idle, Metric: "cpu-per-join", Scale: "µs", Target: 90e-6},
	{Title: "memory per idle connection", Scenario: idle, Metric: "rss-per-connection", Scale: "KiB", Target: 1 << 10},
	{Title: "wide, per delivery", Scenario: wide, Metric: "cpu-per-delivery", Scale: "µs", Target: 10.5e-6},
	{Title: "narrow, per delivery", Scenario: narrow, Metric: "cpu-per-delivery", Scale: "µs", Target: 25e-6},
	{Title: "narrow, p50", Scenario: narrow, Metric: "latency-p50", Scale: "ms", Target: 0.28e-3},
	{Title: "narrow, p99", Scenario: narrow, Metric: "latency-p99", Scale: "ms", Target: 1.2e-3},
	{Title: "all back after kill -9", Scenario: kill, Metric: "all-back", Scale: "s", Target: 0.6},
	{Title: "twice in that kill", Scenario: kill, Metric: "twice", Target: 0},
}

// lostColumn is the deliveries that never came in the kill, whether clients were told or not.
var lostColumn = report.Column{Title: "lost in that kill", Scenario: kill, Metric: "lost", Target: 0}

// ratios is the table of ratios to the floor.
func (b *bench) ratios() (*report.Matrix, error) {
	columns := make([]report.Column, len(ratioColumns))
	for i, c := range ratioColumns {
		columns[i] = c.Column
	}
	m, err := report.NewMatrix(columns, b.of(func(c *contestant) bool { return c.ratios }))
	if err != nil {
		return nil, err
	}
	m.Floor, m.Own = floor, ours
	b.complete(m, func(c *contestant) bool { return c.ratios })
	for i, c := range ratioColumns {
		if c.times == 0 {
			continue
		}
		m.Columns[i].Target = -1
		if values := rowOf(m, floor).Values[c.Key()]; len(values) > 0 {
			m.Columns[i].Target = c.times * report.RangeOf(values).Median
		}
	}
	return m, nil
}

// whole is the table of whole installations.
func (b *bench) whole() (*report.Matrix, error) {
	m, err := report.NewMatrix(slices.Clone(wholeColumns), b.of(func(c *contestant) bool { return c.whole }))
	if err != nil {
		return nil, err
	}
	m.Own = ours
	b.complete(m, func(c *contestant) bool { return c.whole })
	twice := len(m.Columns) - 1
	m.Columns = slices.Insert(m.Columns, twice, lostColumn)
	for _, r := range b.results {
		if row := rowOf(m, r.Target.Name); row != nil && r.Scenario == kill {
			row.Values[lostColumn.Key()] = append(row.Values[lostColumn.Key()], lost(r.Runs[0].Deliver))
		}
	}
	return m, nil
}

// lost is what was expected and never came.
func lost(d report.Deliver) float64 {
	once := d.Received - min(d.Twice, d.Received)
	return float64(max(d.Expected, once) - once)
}

// of are the results of some of the contestants.
func (b *bench) of(which func(*contestant) bool) []*report.Result {
	var some []*report.Result
	for _, c := range b.contestants {
		for _, r := range b.results {
			if which(c) && r.Target.Name == c.name {
				some = append(some, r)
			}
		}
	}
	return some
}

// complete adds rows of those that could not be measured.
func (b *bench) complete(m *report.Matrix, which func(*contestant) bool) {
	for i, c := range b.contestants {
		if which(c) && rowOf(m, c.name) == nil {
			m.Rows = slices.Insert(m.Rows, min(i, len(m.Rows)), report.Row{Name: c.name, Values: map[string][]float64{}})
		}
	}
}

func rowOf(m *report.Matrix, name string) *report.Row {
	for i := range m.Rows {
		if m.Rows[i].Name == name {
			return &m.Rows[i]
		}
	}
	return nil
}

// remarks are what a reader must know of the runs.
func (b *bench) remarks() []string {
	var all []string
	add := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	for _, c := range b.contestants {
		for _, trouble := range c.trouble {
			add("**%s**: %s", c.name, trouble)
		}
	}
	for _, r := range b.results {
		run := &r.Runs[0]
		if d := run.Deliver; r.Scenario != kill && d.Missing+d.Twice+d.OutOfOrder > 0 {
			add("**%s**, %s: %d missing, %d twice, %d out of order of %d.", r.Target.Name, r.Scenario, d.Missing, d.Twice, d.OutOfOrder, d.Expected)
		}
		if run.Connect.Failed > 0 {
			add("**%s**, %s: %d of %d clients did not get in.", r.Target.Name, r.Scenario, run.Connect.Failed, run.Connect.Attempted)
		}
	}
	return all
}
