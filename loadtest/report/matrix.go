package report

import (
	"bufio"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Matrix puts servers beside each other: a row for each, a column for each thing measured. In every column less is better.
type Matrix struct {
	Columns []Column
	Rows    []Row
	Floor   string // name of the row that others are given as multiples of; "": none
	Own     string // name of the row that targets are for; "": none
}

// Column is one metric of one scenario.
type Column struct {
	Title    string
	Scenario string
	Metric   string  // of Metrics, or a name for the caller's own numbers
	Scale    string  // how its unit is written: "µs" for seconds; "" is that of the largest value
	Target   float64 // what Own must not be above, in the base of the unit; negative: none
	Unit     Unit    // of the caller's own numbers
}

// Row is what one server took.
type Row struct {
	Name   string
	Values map[string][]float64 // by Column.Key, one for each round, in the base of the unit
}

// Key names the column in Row.Values.
func (c Column) Key() string { return c.Scenario + "/" + c.Metric }

// metric is the column's, or stands for the caller's own numbers.
func (c Column) metric() Metric {
	if what, ok := metric(c.Metric); ok {
		return what
	}
	return Metric{Name: c.Metric, Title: c.Title, Unit: c.Unit}
}

// NewMatrix fills the columns from results. A row is one target's name, in the order of the results; several results of one target and
// scenario are rounds of it. It fails on a column whose metric there is none of.
func NewMatrix(columns []Column, results []*Result) (*Matrix, error) {
	m := &Matrix{Columns: columns}
	for _, c := range columns {
		what, ok := metric(c.Metric)
		if !ok {
			return nil, fmt.Errorf("column %q: there is no metric %q", c.Title, c.Metric)
		}
		for _, r := range results {
			row := m.row(r.Target.Name)
			if r.Scenario != c.Scenario {
				continue
			}
			for i := range r.Runs {
				if v, measured := what.Of(&r.Runs[i]); measured {
					row.Values[c.Key()] = append(row.Values[c.Key()], v)
				}
			}
		}
	}
	return m, nil
}

func (m *Matrix) row(name string) *Row {
	i := slices.IndexFunc(m.Rows, func(r Row) bool { return r.Name == name })
	if i < 0 {
		i = len(m.Rows)
		m.Rows = append(m.Rows, Row{name, map[string][]float64{}})
	}
	return &m.Rows[i]
}

// scale is how the column's numbers are written.
func (m *Matrix) scale(c Column) scale {
	what, most := c.metric(), 0.0
	for _, row := range m.Rows {
		most = max(most, RangeOf(row.Values[c.Key()]).Max)
	}
	for _, s := range scales[what.Unit] {
		if s.name == c.Scale {
			return s
		}
	}
	return what.Unit.axisScale(most)
}

// ratio is how many times the floor a value is; false where there is none to compare with: a
// number of faults is no multiple of another.
func (m *Matrix) ratio(c Column, row Row) (float64, bool) {
	if c.metric().Fault || m.Floor == "" || row.Name == m.Floor {
		return 0, false
	}
	floor := RangeOf(m.row(m.Floor).Values[c.Key()])
	own := RangeOf(row.Values[c.Key()])
	return own.Median / floor.Median, floor.Median > 0 && own.Runs > 0
}

// missed says that the row has a target and is above it.
func (m *Matrix) missed(c Column, row Row) bool {
	return row.Name == m.Own && c.Target >= 0 && RangeOf(row.Values[c.Key()]).Median > c.Target
}

// WriteMarkdown writes a table: in each cell the median over the rounds, below it their range and the multiple of the floor, and in the
// last row the targets. The error is that of w.
func (m *Matrix) WriteMarkdown(w io.Writer) error {
	p := bufio.NewWriter(w)
	head, rule, targets := []string{""}, []string{"---"}, []string{"**target**"}
	aimed := false
	for _, c := range m.Columns {
		s := m.scale(c)
		title := c.Title
		if s.name != "" {
			title += ", " + s.name
		}
		target := ""
		if c.Target >= 0 && m.Own != "" {
			aimed = true
			target = "≤ " + number(c.Target/s.of)
		}
		head, rule, targets = append(head, title), append(rule, "--:"), append(targets, target)
	}
	writeRow(p, head)
	writeRow(p, rule)
	for _, row := range m.Rows {
		cells := []string{markdown(row.Name)}
		if row.Name == m.Own {
			cells[0] = "**" + cells[0] + "**"
		}
		for _, c := range m.Columns {
			cells = append(cells, m.cell(c, row))
		}
		writeRow(p, cells)
	}
	if aimed {
		writeRow(p, targets)
	}
	return p.Flush()
}

func writeRow(w io.Writer, cells []string) {
	_, _ = fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
}

// markdown keeps a name from being read as part of the table.
func markdown(name string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ", "*", `\*`).Replace(name)
}

func (m *Matrix) cell(c Column, row Row) string {
	v, s := RangeOf(row.Values[c.Key()]), m.scale(c)
	if v.Runs == 0 {
		return "–"
	}
	text := number(v.Median / s.of)
	if row.Name == m.Own {
		text = "**" + text + "**"
	}
	if m.missed(c, row) {
		text += " ✗"
	}
	if under := m.under(c, row); under != "" {
		text += "<br><sub>" + under + "</sub>"
	}
	return text
}

// under is what stands below a median: "9.41 – 9.80 · 1.08 ×".
func (m *Matrix) under(c Column, row Row) string {
	var parts []string
	v, s := RangeOf(row.Values[c.Key()]), m.scale(c)
	if low, high := number(v.Min/s.of), number(v.Max/s.of); v.Runs > 1 && low != high {
		parts = append(parts, low+" – "+high)
	}
	if ratio, ok := m.ratio(c, row); ok {
		parts = append(parts, number(ratio)+" ×")
	}
	return strings.Join(parts, " · ")
}

//go:embed bars.gosvg
var barsText string

var barsTemplate = template.Must(template.New("bars").Parse(barsText))

// Places of a bar plot, in pixels.
const (
	barsWidth, barsRight        = 760.0, 570.0
	barsTop, barHeight, barStep = 64.0, 18.0, 30.0
	nameLeast, nameMost         = 110.0, 300.0 // room for names
	letter                      = 7.6          // of a name is about as wide
)

// bars is what the template draws.
type bars struct {
	Title, Unit, Summary string
	Width, Height        float64
	Left, Top, Bottom    float64
	Bars                 []bar
	Ticks                []label
	Target               *label
}

type bar struct {
	Class             string // own, floor or other
	Name, Value, Note string
	Y, Middle         float64
	Width, Height     float64
	Low, High, After  float64 // ends of the range, where the text begins
	Ranged            bool
}

// WriteBars writes one column as an SVG file of horizontal bars with the ranges of the rounds, light or dark as its reader prefers. Rows
// that did not measure it are left out. The error is that of w.
func (m *Matrix) WriteBars(w io.Writer, c Column) error {
	most, left, n := max(c.Target, 0), nameLeast, 0
	for _, row := range m.Rows {
		if v := RangeOf(row.Values[c.Key()]); v.Runs > 0 {
			most, left, n = max(most, v.Max), max(left, letter*float64(utf8.RuneCountInString(row.Name))+26), n+1
		}
	}
	left = min(left, nameMost)
	x, _ := linear(most, c.metric().Unit)
	s := m.scale(c)
	at := func(v float64) float64 { return tenth(left + x.place(v)*(barsRight-left)) }
	b := bars{Title: c.Title, Unit: s.name, Width: barsWidth, Left: tenth(left), Top: barsTop, Bottom: barsTop + barStep*float64(n)}
	b.Height = b.Bottom + 30
	for _, t := range x.ticks {
		b.Ticks = append(b.Ticks, label{at(t.at * x.to), compact(tidy(t.at * x.to / s.of))})
	}
	if c.Target >= 0 && m.Own != "" {
		b.Target = &label{at(c.Target), "target for " + m.Own + " ≤ " + strings.TrimSpace(number(c.Target/s.of)+" "+s.name)}
	}
	var said []string
	for _, row := range m.Rows {
		v := RangeOf(row.Values[c.Key()])
		if v.Runs == 0 {
			continue
		}
		y := barsTop + barStep*float64(len(b.Bars)) + (barStep-barHeight)/2
		one := bar{
			Class: m.class(c, row), Name: row.Name, Value: number(v.Median / s.of), Note: m.under(c, row), Y: y, Middle: y + barHeight/2, Height: barHeight,
			Width: tenth(max(at(v.Median)-left, 1)), Low: at(v.Min), High: at(v.Max), After: tenth(at(v.Max) + 8), Ranged: at(v.Max)-at(v.Min) >= 2,
		}
		b.Bars = append(b.Bars, one)
		said = append(said, row.Name+" "+one.Value)
	}
	b.Summary = fmt.Sprintf("%s: %s %s", c.Title, strings.Join(said, ", "), s.name)
	return barsTemplate.Execute(w, b)
}

func (m *Matrix) class(c Column, row Row) string {
	switch {
	case m.missed(c, row):
		return "missed"
	case row.Name == m.Own:
		return "own"
	case row.Name == m.Floor:
		return "floor"
	}
	return "other"
}

// tidy takes the last digits of a float's error away.
func tidy(v float64) float64 { return math.Round(v*1e9) / 1e9 }
