package report

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Size of a plot and of the margins around its data, in the units of its viewBox. It is as large as a phone is wide, so that text stays
// readable there.
const (
	plotWidth, plotHeight = 460.0, 250.0
	plotLeft, plotRight   = 58.0, 24.0
	plotTop, plotBottom   = 20.0, 40.0
	maxPoints             = 240 // of a line; more samples are put together
)

// plot is what the template draws. Places are in the viewBox.
type plot struct {
	Title, Summary string // heading, and what a screen reader says
	XName, YName   string
	Width, Height  float64
	Left, Right    float64 // edges of the data
	Top, Bottom    float64
	XTicks, YTicks []label
	Lines          []line
	Legend         []legend
	Window         *span  // of time that was measured
	Mark           *label // the fault
	Hits           []hit

	x, y axis
}

// label is a text at a place of one axis.
type label struct {
	At   float64
	Text string
}

// line is one series as SVG paths.
type line struct {
	Class string // s1, s2, … or faint
	Path  string
	Area  string // the same, closed at the bottom; "" for none
}

type legend struct{ Class, Name string }

type span struct{ From, Width float64 }

// hit is an invisible strip that says the values at its place when the pointer is on it.
type hit struct {
	From, Width, At float64
	Text            string
	Dots            []dot
}

type dot struct {
	Class string
	Y     float64
}

// point is a value; those that are NaN leave a gap.
type point struct{ x, y float64 }

func newPlot(title string, x, y axis, xName, yName string) *plot {
	p := &plot{
		Title: title, XName: xName, YName: yName, Width: plotWidth, Height: plotHeight,
		Left: plotLeft, Right: plotWidth - plotRight, Top: plotTop, Bottom: plotHeight - plotBottom, x: x, y: y,
	}
	for _, t := range x.ticks {
		p.XTicks = append(p.XTicks, label{At: tenth(p.Left + t.at*(p.Right-p.Left)), Text: t.label})
	}
	for _, t := range y.ticks {
		p.YTicks = append(p.YTicks, label{At: tenth(p.Bottom - t.at*(p.Bottom-p.Top)), Text: t.label})
	}
	return p
}

// Depth is the height of the data.
func (p *plot) Depth() float64 { return p.Bottom - p.Top }

// TickEnd is where the ticks of the horizontal axis end.
func (p *plot) TickEnd() float64 { return p.Bottom + 4 }

func (p *plot) px(v float64) float64 { return tenth(p.Left + p.x.place(v)*(p.Right-p.Left)) }

func (p *plot) py(v float64) float64 {
	return tenth(p.Bottom - min(max(p.y.place(v), 0), 1)*(p.Bottom-p.Top))
}

func tenth(v float64) float64 { return math.Round(v*10) / 10 }

// draw adds a series; a filled one has its area shaded.
func (p *plot) draw(class, name string, points []point, filled bool) {
	if name != "" {
		p.Legend = append(p.Legend, legend{class, name})
	}
	var path, area strings.Builder
	for len(points) > 0 {
		points = points[firstPoint(points):]
		end := slices.IndexFunc(points, func(q point) bool { return math.IsNaN(q.y) })
		if end < 0 {
			end = len(points)
		}
		if end > 0 {
			stretch := p.path(points[:end])
			path.WriteString(stretch)
			first, last := coordinate(p.px(points[0].x)), coordinate(p.px(points[end-1].x))
			area.WriteString(stretch + "V" + coordinate(p.Bottom) + "H" + first + "Z")
			if first == last {
				path.WriteString("h0.1") // a point of its own is seen, too
			}
		}
		points = points[end:]
	}
	l := line{Class: class, Path: path.String()}
	if filled {
		l.Area = area.String()
	}
	p.Lines = append(p.Lines, l)
}

// firstPoint is the index of the first point that is none of a gap.
func firstPoint(points []point) int {
	if i := slices.IndexFunc(points, func(q point) bool { return !math.IsNaN(q.y) }); i >= 0 {
		return i
	}
	return len(points)
}

func (p *plot) path(points []point) string {
	var b strings.Builder
	for i, q := range points {
		b.WriteByte("ML"[min(i, 1)])
		b.WriteString(coordinate(p.px(q.x)) + " " + coordinate(p.py(q.y)))
	}
	return b.String()
}

func coordinate(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// strips puts a hit around each of the places, which rise.
func (p *plot) strips(places []float64, text func(i int) string, dots func(i int) []dot) {
	for i, at := range places {
		from, to := p.Left, p.Right
		if i > 0 {
			from = (places[i-1] + at) / 2
		}
		if i+1 < len(places) {
			to = (at + places[i+1]) / 2
		}
		p.Hits = append(p.Hits, hit{From: tenth(from), Width: tenth(max(to-from, 0.1)), At: at, Text: text(i), Dots: dots(i)})
	}
}
