package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidingsmesh/tidings/internal/bytesize"
)

// Unit is what a number counts. Numbers with one are in its base: seconds, bytes, shares from 0 to 1.
type Unit uint8

const (
	Count Unit = iota
	Share
	Seconds
	Bytes
	PerSecond
	BytesPerHour
	Processors
)

// scale is a unit as it is written: how many of the base are one of it.
type scale struct {
	name string
	of   float64
}

// scales of each unit, from the smallest; the first reads numbers without a name.
var scales = map[Unit][]scale{
	Share:        {{"%", 0.01}},
	Seconds:      {{"µs", 1e-6}, {"ms", 1e-3}, {"s", 1}},
	Bytes:        {{"B", 1}, {"KiB", float64(bytesize.Kibibyte)}, {"MiB", float64(bytesize.Mebibyte)}, {"GiB", float64(bytesize.Gibibyte)}},
	PerSecond:    {{"/s", 1}},
	BytesPerHour: {{"B/h", 1}, {"KiB/h", float64(bytesize.Kibibyte)}, {"MiB/h", float64(bytesize.Mebibyte)}, {"GiB/h", float64(bytesize.Gibibyte)}},
	Processors:   {{"CPUs", 1}},
}

// Text is v for people, with three digits that count and the unit: "14.3 µs", "1.2 KiB", "99.8 %".
func (u Unit) Text(v float64) string {
	switch u {
	case Count:
		return number(v)
	case Share:
		return percent(v)
	case Seconds:
		if math.Abs(v) >= 120 && math.Abs(v) < 1e9 {
			return time.Duration(v * float64(time.Second)).Round(time.Second).String()
		}
	default:
	}
	s := u.scale(v)
	return number(v/s.of) + " " + s.name
}

// scale is the largest in which v is at least 1. What rounds up to the next one is written in that.
func (u Unit) scale(v float64) scale {
	all := scales[u]
	best := all[0]
	for _, s := range all {
		if math.Abs(v) >= s.of*0.9995 {
			best = s
		}
	}
	if v == 0 && u == Seconds {
		return scale{"s", 1}
	}
	return best
}

// parse reads what Text writes, digits grouped or not; time.Duration's forms as well.
func (u Unit) parse(text string) (float64, error) {
	if d, err := time.ParseDuration(text); err == nil && u == Seconds {
		return d.Seconds(), nil
	}
	digits := strings.TrimRight(text, "µusmhKMGTiB/ %CP")
	name := strings.TrimSpace(text[len(digits):])
	n, err := strconv.ParseFloat(strings.ReplaceAll(digits, ",", ""), 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is no number", text)
	}
	if name == "us" {
		name = "µs"
	}
	for _, s := range scales[u] {
		if s.name == name {
			return n * s.of, nil
		}
	}
	switch {
	case name == "" && (u == Count || n == 0):
		return n, nil
	case u == Count:
		return 0, fmt.Errorf("%q: a number without a unit is expected", text)
	case name == "":
		return 0, fmt.Errorf("%q has no unit; there are %s", text, u.names())
	}
	return 0, fmt.Errorf("%q is none of the units %s", name, u.names())
}

func (u Unit) names() string {
	var names []string
	for _, s := range scales[u] {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// number has three digits that count, or all of a whole part, which is grouped by thousands.
func number(v float64) string {
	abs := math.Abs(v)
	decimals := 0
	switch {
	case v == math.Trunc(v) && abs < 1e15:
	case abs < 0.0005:
		return strconv.FormatFloat(v, 'g', 2, 64)
	case abs < 0.9995:
		decimals = 3
	case abs < 9.995:
		decimals = 2
	case abs < 99.95:
		decimals = 1
	}
	return grouped(strconv.FormatFloat(v, 'f', decimals, 64))
}

// percent never rounds up to all, nor down to nothing: 99.999 % is not 100 %.
func percent(v float64) string {
	p := v * 100
	decimals := 1
	for decimals < 5 && p != 0 && p != 100 && (round(p, decimals) == 100 || round(p, decimals) == 0) {
		decimals++
	}
	text := strconv.FormatFloat(p, 'f', decimals, 64)
	return strings.TrimSuffix(text, ".0") + " %"
}

func round(v float64, decimals int) float64 {
	p := math.Pow10(decimals)
	return math.Round(v*p) / p
}

// grouped separates thousands of the whole part.
func grouped(digits string) string {
	whole, fraction, _ := strings.Cut(digits, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}

func count[T int | int64 | uint64](n T) string { return number(float64(n)) }
