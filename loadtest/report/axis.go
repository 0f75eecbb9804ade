package report

import (
	"math"
	"strconv"
	"strings"
)

// axis maps values to places between 0 and 1.
type axis struct {
	from, to float64
	log      bool
	ticks    []tick
}

// tick is a place on an axis with what stands there.
type tick struct {
	at    float64 // 0 to 1
	label string
}

// place is where v is, which may be outside of 0 to 1. On a logarithmic axis what is not positive is at the beginning.
func (a *axis) place(v float64) float64 {
	if a.log {
		if v <= a.from {
			return 0
		}
		return math.Log(v/a.from) / math.Log(a.to/a.from)
	}
	return (v - a.from) / (a.to - a.from)
}

func (a *axis) tick(v float64, label string) {
	const slack = 1e-9
	if at := a.place(v); at >= -slack && at <= 1+slack {
		a.ticks = append(a.ticks, tick{at, label})
	}
}

// linear goes from 0 to at least most, in the unit that fits it, with about five ticks; the name of the unit belongs to the axis.
func linear(most float64, u Unit) (axis, string) {
	s := u.axisScale(most)
	step := niceStep(most / s.of / 5)
	if most <= 0 {
		step = 1
	}
	n := max(math.Ceil(most/s.of/step-1e-9), 1)
	a := axis{to: n * step * s.of}
	for i := range int(n) + 1 {
		a.tick(float64(i)*step*s.of, compact(float64(i)*step))
	}
	return a, s.name
}

// axisScale is the scale of an axis that ends at most.
func (u Unit) axisScale(most float64) scale {
	switch u {
	case Count, Processors: // the title says what is counted
		return scale{"", 1}
	case PerSecond:
		return scale{"per second", 1}
	default:
		return u.scale(most)
	}
}

// niceStep is the next of 1, 2, 5, 10, 20 … in any decade.
func niceStep(least float64) float64 {
	if least <= 0 {
		return 1
	}
	decade := math.Pow(10, math.Floor(math.Log10(least)))
	for _, m := range []float64{1, 2, 5} {
		if m*decade >= least*(1-1e-9) {
			return m * decade
		}
	}
	return 10 * decade
}

// logarithmic covers least to most, both positive, in whole steps of 1, 2, 5, with labels that say their unit.
func logarithmic(least, most float64, u Unit) axis {
	var steps []float64
	for decade := math.Floor(math.Log10(least)); decade <= math.Ceil(math.Log10(most)); decade++ {
		for _, m := range []float64{1, 2, 5} {
			steps = append(steps, m*math.Pow(10, decade))
		}
	}
	first, last := 0, len(steps)-1
	for steps[first+1] <= least*(1+1e-9) {
		first++
	}
	for last > first+1 && steps[last-1] >= most*(1-1e-9) {
		last--
	}
	steps = steps[first : last+1]
	a := axis{from: steps[0], to: steps[len(steps)-1], log: true}
	for _, v := range steps {
		whole := math.Abs(math.Log10(v)-math.Round(math.Log10(v))) < 1e-9
		if len(steps) <= 9 || whole {
			s := u.scale(v)
			a.tick(v, strings.TrimSpace(compact(v/s.of)+" "+s.name))
		}
	}
	return a
}

// clock is time in seconds from 0 to end.
func clock(end float64) axis {
	a := axis{to: max(end, 1)}
	const day = 24 * 3600
	step := day * niceStep(a.to/day/8)
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 4 * 3600, 8 * 3600, day} {
		if a.to/s <= 8 {
			step = s
			break
		}
	}
	for v := 0.0; v <= a.to+1e-9; v += step {
		a.tick(v, clockText(v))
	}
	return a
}

func clockText(seconds float64) string {
	s := int(seconds)
	switch {
	case s == 0:
		return "0"
	case s%3600 == 0:
		return strconv.Itoa(s/3600) + " h"
	case s > 3600:
		return strconv.Itoa(s/3600) + ":" + pad2(s%3600/60) + " h"
	case s%60 == 0:
		return strconv.Itoa(s/60) + " min"
	case s > 60:
		return strconv.Itoa(s/60) + ":" + pad2(s%60)
	}
	return strconv.Itoa(s) + " s"
}

func pad2(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}

// percentiles is the axis of a latency distribution: each nine takes as much room as the one before.
func percentiles(most float64) axis {
	a := axis{to: max(most, nines(99))}
	for _, t := range []struct {
		p     float64
		label string
	}{{0, "0"}, {50, "50"}, {90, "90"}, {99, "99"}, {99.9, "99.9"}, {99.99, "99.99"}, {99.999, "99.999"}, {99.9999, "99.9999"}, {99.99999, "99.99999"}} {
		a.tick(nines(t.p), t.label)
	}
	return a
}

// nines is where a percentile is on such an axis: 1 for 90, 2 for 99. 100 has no place.
func nines(p float64) float64 { return -math.Log10(1 - p/100) }

// percentileText has the digits that tell a percentile from its neighbours.
func percentileText(p float64) string {
	if p >= 100 {
		return "all"
	}
	digits, _ := strconv.ParseFloat(strconv.FormatFloat(p, 'f', int(nines(p)), 64), 64)
	return strconv.FormatFloat(digits, 'f', -1, 64) + " %"
}

// compact is a number for a tick: 0.5, 20, 100k, 1.5M.
func compact(v float64) string {
	suffix := ""
	switch abs := math.Abs(v); {
	case abs >= 1e6:
		v, suffix = v/1e6, "M"
	case abs >= 1e4:
		v, suffix = v/1e3, "k"
	}
	digits, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64)
	return grouped(strconv.FormatFloat(digits, 'f', -1, 64)) + suffix
}
