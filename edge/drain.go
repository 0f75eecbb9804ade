package edge

import (
	"slices"
	"time"

	"github.com/tidingsmesh/tidings/edge/wire"
)

// departure asks the sessions of a shard to move to other edges, one after the other over the first half
// of the time that clients are given, so that those edges are not met by all at once. It belongs to the
// shard's loop.
type departure struct {
	began    time.Time
	lasts    time.Duration
	sessions []*session // not asked yet are those from asked on
	asked    int
}

// depart begins to ask; the first is asked at once and given the whole time.
func (s *shard) depart() {
	s.draining = true
	s.departure = departure{began: time.Now(), lasts: s.edge.cfg.Drain, sessions: slices.Clone(s.sessions)}
	s.askAfter(0)
}

// askToLeave asks those whose turn has come. It is called at least once a tick.
func (s *shard) askToLeave() {
	if d := &s.departure; d.asked < len(d.sessions) {
		s.askAfter(time.Since(d.began))
	}
}

// askAfter is askToLeave when so much time has passed.
func (s *shard) askAfter(elapsed time.Duration) {
	d := &s.departure
	total := len(d.sessions)
	due := total
	if half := d.lasts / 2; elapsed < half {
		due = min(total, 1+int(float64(total)*elapsed.Seconds()/half.Seconds()))
	}
	within := max(d.lasts-elapsed, 0).Round(time.Millisecond).Milliseconds()
	for ; d.asked < due; d.asked++ {
		if session := d.sessions[d.asked]; session.state == stateOpen {
			session.control(wire.AppendDrain(s.scratch(), within))
		}
		d.sessions[d.asked] = nil
	}
	if d.asked == total {
		d.sessions, d.asked = nil, 0
	}
}
