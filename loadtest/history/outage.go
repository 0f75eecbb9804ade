package history

import (
	"maps"
	"slices"
	"time"
)

// outage is the time from the end of a client's last connection, or from its move to another one, until
// it has been answered in all rooms that it was in.
type outage struct {
	from  int64
	moved bool            // to a connection that was up before the older one ended
	waits map[string]bool // rooms
	back  int64           // the last answer
}

// reconnection is an outage that is over.
type reconnection struct {
	who   string
	class Class
	took  time.Duration
	moved bool
	fault string // "" when there was none
}

// newOutage returns nil when there are no rooms to come back to.
func newOutage(from int64, moved bool, rooms []string) *outage {
	if len(rooms) == 0 {
		return nil
	}
	o := &outage{from: from, moved: moved, waits: make(map[string]bool, len(rooms))}
	for _, room := range rooms {
		o.waits[room] = true
	}
	return o
}

// answered notes a joined, without which there is nothing to wait for in a room that the client left.
// It reports whether that was the last room.
func (o *outage) answered(room string, t int64, joined bool) (over bool) {
	delete(o.waits, room)
	if joined {
		o.back = t
	}
	return len(o.waits) == 0
}

func (c *client) interrupted(t int64, moved bool) {
	var rooms []string
	for name, m := range c.members {
		if m.in {
			rooms = append(rooms, name)
		}
	}
	c.outage = newOutage(t, moved, rooms)
}

// answered goes on with the outage under way.
func (c *client) answered(room string, t int64, joined bool) {
	o := c.outage
	if o == nil || !o.answered(room, t, joined) {
		return
	}
	c.outage = nil
	if o.back == 0 {
		return // it has left all of them
	}
	r := reconnection{who: c.name, class: c.class, took: time.Duration(o.back - o.from), moved: o.moved}
	if f := c.checker.run.at(o.from); f != nil {
		r.fault = f.Name
	}
	c.checker.returns = append(c.checker.returns, r)
}

// neverBack looks at an outage that goes on at the client's end.
func (c *client) neverBack() {
	if c.outage == nil {
		return
	}
	c.checker.report.Reconnection.Unfinished++
	if away := time.Duration(c.done - c.outage.from); away > p99Reconnection {
		c.checker.fail(Returned, Violation{Client: c.name, Room: slices.Min(slices.Collect(maps.Keys(c.outage.waits))), Time: c.outage.from},
			"not back in %d of its rooms until its end, %s later", len(c.outage.waits), brief(away))
	}
}

// Reconnection is how long interrupted clients took to be back in all their rooms, those apart that moved
// to another connection before the older one ended.
type Reconnection struct {
	Steady     Spread `json:"steady"` // with those whose tokens expire; the bars are for these
	Others     Spread `json:"others"`
	Moved      Spread `json:"moved"`
	Unfinished int    `json:"unfinished"` // at the client's end
	// Faults splits those of steady clients by the fault that they are put down to, "" for none.
	Faults map[string]Spread `json:"faults"`
}

func (c *checker) judgeReturns() {
	var steady, others, moved []time.Duration
	faults := make(map[string][]time.Duration)
	var worst reconnection
	for _, r := range c.returns {
		switch {
		case r.moved:
			moved = append(moved, r.took)
		case r.class == Steady || r.class == Expires:
			steady = append(steady, r.took)
			faults[r.fault] = append(faults[r.fault], r.took)
			if r.took > worst.took {
				worst = r
			}
		default:
			others = append(others, r.took)
		}
	}
	report := &c.report.Reconnection
	report.Steady, report.Others, report.Moved = spreadOf(steady), spreadOf(others), spreadOf(moved)
	report.Faults = make(map[string]Spread, len(faults))
	for name, took := range faults {
		report.Faults[name] = spreadOf(took)
	}
	c.of(Returned, len(steady))
	v := Violation{Client: worst.who}
	if report.Steady.Mean >= meanReconnection {
		c.fail(Returned, v, "the mean is %s, the bar %s; this one took %s", brief(report.Steady.Mean), brief(meanReconnection), brief(worst.took))
	}
	if report.Steady.P99 >= p99Reconnection {
		c.fail(Returned, v, "the 99th percentile is %s, the bar %s; this one took %s", brief(report.Steady.P99), brief(p99Reconnection), brief(worst.took))
	}
}
