package runner

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Of histograms, which hold µs.
const (
	perMs     = 1_000
	perSecond = 1_000_000
)

// newHistogram holds times in µs up to an hour, to three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, time.Hour.Microseconds(), 3)
}

// record adds a time, n times over; what does not fit counts as the most that does.
func record(h *hdrhistogram.Histogram, d time.Duration, n int) {
	us := min(max(d.Microseconds(), h.LowestTrackableValue()), h.HighestTrackableValue())
	_ = h.RecordValues(us, int64(n)) // it fits
}

// since is what h has beyond an earlier copy of it. The earlier one may be nil.
func since(h, earlier *hdrhistogram.Histogram) *hdrhistogram.Histogram {
	if h == nil || earlier == nil || h.TotalCount() < earlier.TotalCount() {
		return h // the second began anew in between
	}
	now, before := h.Export(), earlier.Export()
	counts := make([]int64, len(now.Counts))
	copy(counts, now.Counts)
	for i := range min(len(counts), len(before.Counts)) {
		counts[i] = max(0, counts[i]-before.Counts[i])
	}
	now.Counts = counts
	return hdrhistogram.Import(now)
}
