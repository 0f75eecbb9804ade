package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
)

//go:embed page.gohtml
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what the template shows.
type page struct {
	Title, Load, Target string
	Description         string
	Started             string
	Verdict             *Verdict
	Broken              bool // a run ended early
	Cautions            []caution
	Tiles               []tile
	Metrics             []metricRow
	Several             bool // runs
	Runs                []runView
	Facts               []fact
	Command             string
}

// caution is what to know, and of which runs.
type caution struct{ Runs, Text string }

// tile is one key number.
type tile struct {
	Title, Value, Unit, Under string
	Bad                       bool
}

type metricRow struct{ Title, Median, Min, Max string }

// runView is one run's plots and tables.
type runView struct {
	Number    int
	Open      bool // the typical one
	Title     string
	Plots     []*plot
	Failures  []failureTable
	Processes textTable // with its head; nil: none
}

type failureTable struct {
	What string
	Rows []failureRow
}

type failureRow struct{ Reason, Count string }

type fact struct{ Name, Value string }

// WriteHTML writes the result as one page without any request to elsewhere and without scripts. V may be nil: nothing was asked for. The
// error is that of w.
func (r *Result) WriteHTML(w io.Writer, v *Verdict) error {
	return pageTemplate.Execute(w, r.page(v))
}

func (r *Result) page(v *Verdict) page {
	name, load, _ := strings.Cut(r.headline(), " · ")
	p := page{
		Title: name, Load: load, Target: r.Target.headline(), Description: r.Description, Verdict: v,
		Several: len(r.Runs) > 1, Cautions: r.cautions(), Tiles: r.tiles(), Metrics: r.metricRows(), Facts: r.facts(),
		Command: strings.Join(r.Args, " "),
	}
	if !r.Started.IsZero() {
		p.Started = r.Started.UTC().Format("2 January 2006, 15:04 UTC")
	}
	typical := 0
	if len(r.Runs) > 0 {
		typical = r.typical()
	}
	for i := range r.Runs {
		p.Broken = p.Broken || r.Runs[i].Error != ""
		p.Runs = append(p.Runs, r.view(i, i == typical))
	}
	return p
}

func (r *Result) view(i int, typical bool) runView {
	run := &r.Runs[i]
	v := runView{Number: i + 1, Open: typical, Processes: run.processTable(), Plots: run.timelinePlots()}
	v.Title = fmt.Sprintf("Run %d of %d", i+1, len(r.Runs))
	if len(r.Runs) == 1 {
		v.Title = "The run"
	} else if typical {
		v.Title += ", the typical one"
	}
	if typical {
		if p := r.distributionPlot(); p != nil {
			v.Plots = append([]*plot{p}, v.Plots...)
		}
	}
	v.fail("Connecting", run.Connect.Failures)
	v.fail("Publishing", run.Publish.Failures)
	return v
}

func (v *runView) fail(what string, reasons map[string]int) {
	t := failureTable{What: what}
	for _, f := range byCount(reasons) {
		t.Rows = append(t.Rows, failureRow{f.Reason, count(f.Count)})
	}
	if len(t.Rows) > 0 {
		v.Failures = append(v.Failures, t)
	}
}

// cautions says each once, with the runs it belongs to.
func (r *Result) cautions() []caution {
	runs := map[string][]string{}
	var order []string
	for i := range r.Runs {
		for _, text := range r.Runs[i].Cautions() {
			if runs[text] == nil {
				order = append(order, text)
			}
			runs[text] = append(runs[text], fmt.Sprint(i+1))
		}
	}
	var all []caution
	for _, text := range order {
		c := caution{Text: text}
		switch of := runs[text]; {
		case len(of) == len(r.Runs): // needs no number
		case len(of) == 1:
			c.Runs = "run " + of[0]
		default:
			c.Runs = "runs " + strings.Join(of, ", ")
		}
		all = append(all, c)
	}
	return all
}

// keyMetrics are those of the tiles, as far as they were measured.
var keyMetrics = []string{
	"connections-succeeded", "delivered", "latency-p50", "latency-p95", "latency-p99", "all-back", "not-back", "reconnect-mean",
	"cpu-per-delivery", "cpu-per-join", "rss-per-connection", "rss-slope",
}

func (r *Result) tiles() []tile {
	var all []tile
	for _, name := range keyMetrics {
		m, _ := metric(name)
		v := r.RangeOf(m)
		if v.Runs == 0 {
			continue
		}
		t := tile{Title: m.Title}
		t.Value, t.Unit, _ = strings.Cut(m.Unit.Text(v.Median), " ")
		if v.Runs > 1 {
			t.Under = v.text(m.Unit)
		}
		r.qualify(&t, name)
		all = append(all, t)
	}
	return all
}

// qualify says of shares what they are shares of: all of a large number hides the few.
func (r *Result) qualify(t *tile, name string) {
	var failed, missing, twice, told int
	for i := range r.Runs {
		run := &r.Runs[i]
		failed += run.Connect.Failed
		missing += int(run.Deliver.Missing) //nolint:gosec // no run delivers 2^63 events
		twice += int(run.Deliver.Twice)     //nolint:gosec // as above
		told += run.Reconnect.NotRecovered
	}
	switch name {
	case "not-back":
		t.Bad = t.Value != "0"
	case "connections-succeeded":
		t.Under, t.Bad = count(failed)+" failed", failed > 0
	case "delivered":
		t.Under, t.Bad = fmt.Sprintf("%s missing, %s twice", count(missing), count(twice)), missing+twice > 0
		if told > 0 {
			t.Under += fmt.Sprintf(", %s told of a loss", count(told))
		}
	}
}

func (r *Result) metricRows() []metricRow {
	var rows []metricRow
	for _, m := range metrics {
		if v := r.RangeOf(m); v.Runs > 0 {
			rows = append(rows, metricRow{m.Title, m.Unit.Text(v.Median), m.Unit.Text(v.Min), m.Unit.Text(v.Max)})
		}
	}
	return rows
}

func (r *Result) facts() []fact {
	t, m := r.Target, r.Machine
	all := []fact{
		{"Target", strings.TrimSpace(t.Name + " " + t.Version)}, {"Addresses", strings.Join(t.URLs, ", ")}, {"Dialect", t.Dialect},
	}
	if t.Servers > 0 {
		all = append(all, fact{"Servers", plural(t.Servers, "process")})
	}
	for _, key := range slices.Sorted(maps.Keys(t.Settings)) {
		all = append(all, fact{key, t.Settings[key]})
	}
	all = append(all, fact{"Processor", m.CPU})
	if m.Cores > 0 {
		all = append(all, fact{"Cores", count(m.Cores)})
	}
	if m.Memory > 0 {
		all = append(all, fact{"Memory", memory(m.Memory)})
	}
	all = append(all, fact{"System", strings.TrimSpace(m.System + " " + m.Kernel)}, fact{"Go", m.Go}, fact{"Harness", m.Harness})
	if m.OpenFiles > 0 {
		all = append(all, fact{"Open files", count(m.OpenFiles) + " per process"})
	}
	return slices.DeleteFunc(all, func(f fact) bool { return f.Value == "" })
}
