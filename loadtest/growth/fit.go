package main

import "math"

// point is a cost y at a place x.
type point struct{ x, y float64 }

// fit finds a and b of y = a + b x that keep the sum of the squared relative errors of y least: costs differ by orders of magnitude, and
// what is measured of each is off by some percent of it. It needs two places; else a is not a number.
func fit(points []point) (a, b float64) {
	var w, wx, wxx, wy, wxy float64
	for _, p := range points {
		weight := 1 / (p.y * p.y)
		w += weight
		wx += weight * p.x
		wxx += weight * p.x * p.x
		wy += weight * p.y
		wxy += weight * p.x * p.y
	}
	d := w*wxx - wx*wx
	if d <= 1e-12*w*wxx {
		return math.NaN(), math.NaN()
	}
	b = (w*wxy - wx*wy) / d
	return (wy - b*wx) / w, b
}

// swing is how far the largest and the smallest are from the middle between them, as a share of it: 0.1 is ±10 %.
func swing(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	least, most := values[0], values[0]
	for _, v := range values {
		least, most = min(least, v), max(most, v)
	}
	return (most - least) / (most + least)
}
