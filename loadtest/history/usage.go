package history

import (
	"errors"
	"slices"
)

// edgeUsage is what an edge's process held.
type edgeUsage struct {
	base, rest *Usage
	samples    int
	peak       int64
}

// EdgeUsage is what an edge held without clients at the start, after the last one had left, and at most.
type EdgeUsage struct {
	Edge    string `json:"edge"`
	Base    *Usage `json:"base,omitempty"`
	Rest    *Usage `json:"rest,omitempty"`
	Samples int    `json:"samples"`
	PeakRSS int64  `json:"peak_rss"` // bytes, of all samples
}

// takeUsage keeps the first base and the last rest of an edge, which may have been started anew between.
func (c *checker) takeUsage(r Record) error {
	if r.Usage == nil {
		return errors.New("a record of usage without any")
	}
	u := c.usage[r.Who]
	if u == nil {
		u = &edgeUsage{}
		c.usage[r.Who] = u
	}
	u.peak = max(u.peak, r.Usage.RSS)
	switch {
	case r.Kind == Base && u.base == nil:
		u.base = r.Usage
	case r.Kind == Rest:
		u.rest = r.Usage
	case r.Kind == Sample:
		u.samples++
	}
	return nil
}

// figure is a figure of usage and what it may be at rest.
type figure struct {
	name      string
	rest, bar int64
}

func figures(base, rest *Usage) []figure {
	const heapSlack = 16 << 20
	return []figure{
		{"goroutines", int64(rest.Goroutines), int64(base.Goroutines) + 5},
		{"files", int64(rest.Files), int64(base.Files) + 5},
		{"subscriptions", int64(rest.Subscriptions), int64(base.Subscriptions) + 2},
		{"connections", int64(rest.Connections), 0},
		{"rooms", int64(rest.Rooms), 0},
		{"bytes queued", rest.Queued, 0},
		{"bytes of heap", rest.Heap, base.Heap + base.Heap/2 + heapSlack},
	}
}

func (c *checker) judgeUsage() {
	for _, edge := range sortedKeys(c.usage) {
		u := c.usage[edge]
		c.report.Usage = append(c.report.Usage, EdgeUsage{Edge: edge, Base: u.base, Rest: u.rest, Samples: u.samples, PeakRSS: u.peak})
		v := Violation{Edge: edge}
		if u.base == nil || u.rest == nil {
			c.of(Released, 1)
			c.fail(Released, v, "there is no record of what it held at the start, or none of after the last client")
			continue
		}
		all := figures(u.base, u.rest)
		c.of(Released, len(all))
		for _, f := range slices.DeleteFunc(all, func(f figure) bool { return f.rest <= f.bar }) {
			c.fail(Released, v, "%d %s after all clients have left, the bar is %d", f.rest, f.name, f.bar)
		}
	}
}
