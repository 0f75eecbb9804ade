package report

import "github.com/HdrHistogram/hdrhistogram-go"

// Summarize describes a histogram whose values are multiples of 1/perUnit of the wanted unit: 1000 for one of µs and a Summary in ms.
func Summarize(h *hdrhistogram.Histogram, perUnit float64) Summary {
	if h == nil || h.TotalCount() == 0 {
		return Summary{}
	}
	at := func(p float64) float64 { return float64(h.ValueAtPercentile(p)) / perUnit }
	return Summary{
		Count: uint64(h.TotalCount()), //nolint:gosec // not negative
		Mean:  h.Mean() / perUnit, P50: at(50), P95: at(95), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / perUnit,
	}
}

// Distribute is the distribution of a histogram of µs: percentiles that halve the distance to 100 in steps of a fifth, as far as there are
// values enough to tell, and the maximum.
func Distribute(h *hdrhistogram.Histogram) []Percentile {
	if h == nil || h.TotalCount() == 0 {
		return nil
	}
	var all []Percentile
	const steps = 5
	for left, next := 100.0, 50.0; left*float64(h.TotalCount()) >= 100; left, next = next, next/2 {
		for i := range steps {
			p := 100 - left + (left-next)*float64(i)/steps
			all = append(all, Percentile{p, float64(h.ValueAtPercentile(p)) / 1000})
		}
	}
	return append(all, Percentile{100, float64(h.Max()) / 1000})
}
