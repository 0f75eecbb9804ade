package swarm

import "time"

// pace spreads actions evenly over time. The zero value wants none.
type pace struct {
	rate   float64 // per second
	from   int64   // Unix ns
	taken  int
	asFast bool // as it goes; the rate means nothing
}

// take returns how many actions are due and not taken yet, and takes them.
func (p *pace) take(now int64) int {
	if p.rate <= 0 {
		return 0
	}
	n := int(float64(now-p.from)*p.rate/float64(time.Second)) - p.taken
	p.taken += n
	return n
}

// due is when the next action is, or otherwise, whichever is first.
func (p *pace) due(otherwise int64, wanted bool) int64 {
	if p.rate <= 0 || !wanted {
		return otherwise
	}
	return min(otherwise, p.from+int64(float64(p.taken+1)/p.rate*float64(time.Second)))
}
