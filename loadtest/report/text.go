package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WriteText writes a result for a terminal, with the verdict in the last line; nil: nothing was asked for. The error is that of w.
func (r *Result) WriteText(w io.Writer, v *Verdict) error {
	p := bufio.NewWriter(w)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(p, format+"\n", args...) }
	line("%s", r.headline())
	line("%s", r.Target.headline())
	line("")
	r.metricTable().write(p)
	for i := range r.Runs {
		for _, failure := range r.Runs[i].failures() {
			line("  ! run %d: %s", i+1, failure)
		}
	}
	if len(r.Runs) > 0 && len(r.Runs[r.typical()].Processes) > 0 {
		line("")
		r.Runs[r.typical()].processTable().write(p)
	}
	for i := range r.Runs {
		for _, caution := range r.Runs[i].Cautions() {
			line("  ! run %d: %s", i+1, caution)
		}
	}
	if v != nil {
		line("")
		v.write(p)
	}
	return p.Flush()
}

func (r *Result) headline() string {
	parts := []string{r.Scenario}
	if len(r.Runs) > 0 {
		run := &r.Runs[0]
		load := "no events"
		if run.Rate > 0 {
			load = fmt.Sprintf("%s events/s of %s", number(run.Rate), Bytes.Text(float64(run.Size)))
		}
		if run.Burst > 1 {
			load += fmt.Sprintf(" in bursts of %d", run.Burst)
		}
		runs := plural(len(r.Runs), "run")
		if run.Seconds > 0 {
			runs += " of " + Seconds.Text(run.Seconds)
		}
		parts = append(parts, plural(run.Clients, "client")+" in "+plural(run.Rooms, "room"), load, runs)
	}
	return strings.Join(parts, " · ")
}

func (t Target) headline() string {
	parts := []string{strings.TrimSpace(t.Name + " " + t.Version)}
	if len(t.URLs) > 0 {
		parts[0] += " at " + strings.Join(t.URLs, ", ")
	}
	for _, key := range slices.Sorted(maps.Keys(t.Settings)) {
		parts = append(parts, key+" "+t.Settings[key])
	}
	return strings.Join(parts, " · ")
}

// metricTable has a row for each metric that any run measured.
func (r *Result) metricTable() textTable {
	several := len(r.Runs) > 1
	t := textTable{}
	if several {
		t = append(t, []string{"", "median", "least", "most"})
	}
	for _, m := range metrics {
		v := r.RangeOf(m)
		if v.Runs == 0 {
			continue
		}
		row := []string{m.Title, m.Unit.Text(v.Median)}
		if several {
			row = append(row, m.Unit.Text(v.Min), m.Unit.Text(v.Max))
		}
		t = append(t, row)
	}
	return t
}

// failures are lines on what failed, by reason, the most frequent first.
func (r *Run) failures() []string {
	var lines []string
	for _, of := range []struct {
		what    string
		reasons map[string]int
	}{{"connecting", r.Connect.Failures}, {"publishing", r.Publish.Failures}} {
		for _, f := range byCount(of.reasons) {
			lines = append(lines, fmt.Sprintf("%s failed %s: %s", of.what, plural(f.Count, "time"), f.Reason))
		}
	}
	return lines
}

// failure is how often something failed for one reason.
type failure struct {
	Reason string
	Count  int
}

func byCount(reasons map[string]int) []failure {
	var all []failure
	for reason, n := range reasons {
		all = append(all, failure{reason, n})
	}
	slices.SortFunc(all, func(a, b failure) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Reason, b.Reason)) })
	return all
}

// processTable is nil when no process was known.
func (r *Run) processTable() textTable {
	if len(r.Processes) == 0 {
		return nil
	}
	t := textTable{{"process", "role", "pid", "CPU joining", "CPU in window", "memory before", "joined", "end"}}
	for _, p := range r.Processes {
		t = append(t, []string{p.Name, p.Role, strconv.Itoa(p.PID), Seconds.Text(p.JoinCPU), Seconds.Text(p.CPU), memory(p.RSSBefore), memory(p.RSSJoined), memory(p.RSSEnd)})
	}
	return t
}

func memory(n uint64) string { return Bytes.Text(float64(n)) }

// typical is the run whose latency is in the middle: the index of the median p95.
func (r *Result) typical() int {
	order := make([]int, len(r.Runs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(r.Runs[a].Deliver.LatencyMs.P95, r.Runs[b].Deliver.LatencyMs.P95)
	})
	return order[(len(order)-1)/2]
}

func (v *Verdict) write(w io.Writer) {
	t := textTable{{"objective", "", "measured", ""}}
	for _, l := range v.Lines {
		t = append(t, []string{l.Title, l.Objective, l.Text, l.mark()})
	}
	t.write(w)
	for _, reason := range v.Reasons {
		_, _ = fmt.Fprintf(w, "  ! %s\n", reason)
	}
	_, _ = fmt.Fprintf(w, "\n%s\n", v.Headline())
}

func (o Outcome) mark() string {
	switch {
	case !o.Measured:
		return "-"
	case o.Met:
		return "met"
	}
	return "NOT MET"
}

// Headline is the verdict in one sentence.
func (v *Verdict) Headline() string {
	met, judged := 0, 0
	for _, l := range v.Lines {
		if l.Measured {
			judged++
			if l.Met {
				met++
			}
		}
	}
	text := fmt.Sprintf("%d of %s met", met, plural(judged, "objective"))
	if skipped := len(v.Lines) - judged; skipped > 0 {
		text += fmt.Sprintf(", %d not measured", skipped)
	}
	if v.Met {
		return "PASSED: " + text
	}
	return "FAILED: " + text
}

// WriteText writes a comparison for a terminal. The error is that of w.
func (c *Comparison) WriteText(w io.Writer) error {
	p := bufio.NewWriter(w)
	_, _ = fmt.Fprintf(p, "%s · before: %s, %s · after: %s, %s\n\n", c.Scenario,
		strings.TrimSpace(c.Before.Name+" "+c.Before.Version), plural(c.BeforeRuns, "run"),
		strings.TrimSpace(c.After.Name+" "+c.After.Version), plural(c.AfterRuns, "run"))
	t := textTable{{"", "before", "range", "after", "range", "change", ""}}
	for _, change := range c.Changes {
		t = append(t, []string{
			change.Metric.Title, change.Metric.Unit.Text(change.Before.Median), change.Before.text(change.Metric.Unit),
			change.Metric.Unit.Text(change.After.Median), change.After.text(change.Metric.Unit), change.relative(), string(change.Judgement),
		})
	}
	t.write(p)
	for _, note := range c.Notes {
		_, _ = fmt.Fprintf(p, "  ! %s\n", note)
	}
	_, _ = fmt.Fprintf(p, "\n%s\n", c.Headline())
	return p.Flush()
}

// Headline is the comparison in one sentence.
func (c *Comparison) Headline() string {
	by := map[Judgement][]string{}
	for _, change := range c.Changes {
		by[change.Judgement] = append(by[change.Judgement], change.Metric.Title)
	}
	var parts []string
	for _, j := range []Judgement{Worse, Better} {
		if len(by[j]) > 0 {
			parts = append(parts, string(j)+": "+strings.Join(by[j], "; "))
		}
	}
	if len(by[Unknown]) > 0 {
		parts = append(parts, "for lack of runs nothing can be said of "+plural(len(by[Unknown]), "metric"))
	}
	if len(parts) == 0 {
		return "no change beyond the noise"
	}
	return strings.Join(parts, "\n")
}

func (c Change) relative() string {
	switch c.Before.Median {
	case c.After.Median:
		return "±0 %"
	case 0:
		return "from 0"
	}
	return fmt.Sprintf("%+.1f %%", c.Relative*100)
}

// text is the range without the median; one run has none.
func (r Range) text(u Unit) string {
	if r.Runs < 2 {
		return "-"
	}
	low, high := u.Text(r.Min), u.Text(r.Max)
	if low == high {
		return low
	}
	if i := strings.LastIndexByte(low, ' '); i > 0 && strings.HasSuffix(high, low[i:]) {
		low = low[:i]
	}
	return low + " – " + high
}

// duration is for axes and sentences about whole seconds.
func duration(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}
