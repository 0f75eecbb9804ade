package continuity_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"pgregory.net/rapid"

	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// chooser is where a simulation takes its decisions from: rapid, which finds small counterexamples,
// or a seed.
type chooser interface {
	// choose returns a number from 0 to n-1.
	choose(what string, n int) int
}

type byRapid struct{ t *rapid.T }

func (r byRapid) choose(what string, n int) int { return rapid.IntRange(0, n-1).Draw(r.t, what) }

type bySeed struct{ *rand.Rand }

func (r bySeed) choose(_ string, n int) int { return r.IntN(n) }

// profile says what may happen to the stream and to its republish.
type profile struct {
	name      string
	loss      int // percent of live messages lost, and of duplicates
	retention bool
	back      bool // the stream is rolled back or recreated
	steps     int
}

// sim is two edges on one stream, with clients that come and go.
type sim struct {
	chooser
	profile     profile
	sabotage    sabotage
	ringEntries int
	buffer      int

	stream  *stream
	edges   []*edge
	clients []*client
	trace   []string
	failure error
	applied int
	parts   int  // partial answers
	calm    bool // no replica is behind any more
}

// delivery is what an edge has sent to a client.
type delivery struct {
	joined, reset bool // reset: what the client knew is void, it starts at base
	part          bool // joined, but not at the end yet
	pos           continuity.Position
	base          *stored
	entries       []continuity.Entry
}

// client keeps to the protocol and knows what it has been told.
type client struct {
	name  string
	edge  *edge // nil while away
	queue []delivery

	known bool // it has a position
	pos   continuity.Position
	// newest is the newest event that the client has, or was told to have by a reset.
	newest *stored
	// missed is what it was not told of yet. While the stream is what it was nothing ever is; when it
	// went back, it takes until the next comparison.
	missed string
	// live is true from the answer to its join on.
	live bool
}

func (s *sim) pick(what string, n int) int { return s.choose(what, n) }

func (s *sim) chance(what string, percent int) bool {
	return percent > 0 && s.pick(what, 100) < percent
}

func (s *sim) log(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf("%d: ", s.stream.now)+fmt.Sprintf(format, args...))
}

// fail records the first violation.
func (s *sim) fail(format string, args ...any) {
	if s.failure == nil {
		s.failure = fmt.Errorf(format, args...)
		s.log("FAILURE: %v", s.failure)
	}
}

// run plays one history and returns what was violated.
func run(c chooser, p profile, wrong sabotage) *sim {
	s := &sim{chooser: c, profile: p, sabotage: wrong}
	history, size := 10_000, 100_000
	if p.retention {
		history, size = 1+s.pick("history", 12), 10+s.pick("size", 60)
	}
	s.ringEntries, s.buffer = s.pick("ring", 12), 1+s.pick("buffer", 6)
	s.stream = newStream(history, size)
	if !p.retention {
		s.stream.limits.MaxAge = 1 << 40
	}
	s.stream.append(false, false)
	s.edges = []*edge{newEdge(s, "A"), newEdge(s, "B")}
	for i := range 4 {
		s.clients = append(s.clients, &client{name: "c" + strconv.Itoa(i)})
	}
	for range p.steps {
		if s.step(); s.failure != nil {
			return s
		}
	}
	s.finish()
	return s
}

func (s *sim) step() {
	e := s.edges[s.pick("edge", len(s.edges))]
	c := s.clients[s.pick("client", len(s.clients))]
	switch op := s.pick("op", 100); {
	case op < 18:
		s.publish(s.pick("quarantined", 8) == 0)
	case op < 22:
		for range 1 + op%3 {
			s.stream.append(false, false)
		}
	case op < 30:
		s.pass(s.pick("time", 60))
	case op < 32 && s.profile.retention:
		s.pass(300 + s.pick("long time", 1200))
	case op < 44:
		for range 1 + s.pick("messages", 3) {
			if len(e.pipe) > 0 {
				e.deliver()
			}
		}
	case op < 58:
		if e.round != nil || e.queued {
			e.stepRound()
		}
	case op < 60:
		e.queued = true
	case op < 70:
		if e.repair != nil {
			e.stepRepair()
		}
	case op < 78:
		if e.fetch != nil {
			e.stepFetch()
		}
	case op < 86:
		if c.edge == nil {
			c.join(s, e)
		} else {
			c.receive(s, 1+s.pick("deliveries", 4))
		}
	case op < 92:
		c.receive(s, len(c.queue))
	case op < 94:
		c.goAway(s)
	case op < 95:
		s.crash(e)
	case op < 96:
		e.room.Shrink(0)
	case op < 97 && e.wary == 0 && s.profile.loss > 0:
		s.log("%s loses %d live messages", e.name, len(e.pipe))
		e.pipe, e.queued = nil, true // a slow consumer
	case op < 99 && s.profile.back:
		s.goBack()
	default:
		for _, e := range s.edges {
			e.refresh()
		}
	}
}

func (s *sim) pass(d int) {
	s.stream.now += int64(d)
	s.stream.remove()
}

// publish stores a message and announces it, more or less.
func (s *sim) publish(quarantined bool) {
	s.pass(s.pick("pause", 10))
	m := s.stream.append(true, quarantined)
	s.log("publish %d after %d (%s) quarantined=%v", m.seq, m.prev, m.id, quarantined)
	for _, e := range s.edges {
		if e.wary == 0 && s.chance("lost", s.profile.loss) {
			s.log("lost on the way to %s", e.name)
			continue
		}
		e.pipe = append(e.pipe, announced{m.message(), len(s.stream.all)})
		if s.chance("duplicate", s.profile.loss) {
			e.pipe = append(e.pipe, e.pipe[s.pick("which", len(e.pipe))])
		}
	}
}

// goBack makes the stream lose its end, or all; one disaster at a time.
func (s *sim) goBack() {
	for _, e := range s.edges {
		if e.wary > 0 {
			return
		}
	}
	if s.pick("recreate", 4) == 0 {
		s.log("recreated")
		s.stream.recreate()
		s.stream.append(false, false)
	} else if n := s.pick("rollback", min(8, len(s.stream.log))); n > 0 {
		s.stream.rollBack(n)
		s.log("rolled back to %d", s.stream.last)
	} else {
		return
	}
	for _, e := range s.edges {
		e.wary, e.queued = 2, true
	}
}

func (s *sim) crash(e *edge) {
	s.log("%s crashes", e.name)
	for _, c := range s.clients {
		if c.edge == e {
			c.goAway(s)
		}
	}
	e.start()
	if s.stream.backs > 0 {
		e.wary = 2
	}
}

// refresh looks whether the stream was recreated.
func (e *edge) refresh() {
	if e.cfg.Limits != e.sim.stream.limits {
		e.sim.log("%s learns of %s", e.name, e.sim.stream.limits.Epoch)
		e.cfg.Limits = e.sim.stream.limits
		e.queued = true
	}
}

// baseline is the newest event covered by a position that an edge gives out.
func (s *sim) baseline(pos continuity.Position) *stored {
	if pos.ID != "" {
		return s.stream.byID(pos.ID).event()
	}
	return s.stream.newestThrough(pos.Seq)
}

func (c *client) join(s *sim, e *edge) {
	c.edge, c.live = e, false
	var since *continuity.Position
	if c.known && s.pick("fresh start", 10) > 0 {
		pos := c.pos
		since = &pos
	}
	s.log("%s joins %s at %v", c.name, e.name, since)
	e.join(c, since)
}

func (c *client) goAway(s *sim) {
	if c.edge == nil {
		return
	}
	s.log("%s goes away from %s at %v", c.name, c.edge.name, c.pos)
	c.edge.leave(c)
	c.edge, c.queue = nil, nil
}

// receive handles up to n deliveries.
func (c *client) receive(s *sim, n int) {
	for ; n > 0 && len(c.queue) > 0; n-- {
		d := c.queue[0]
		c.queue = c.queue[1:]
		switch {
		case d.reset:
			if len(d.entries) > 0 {
				s.fail("%s gets a replay with a reset", c.name)
			}
			c.newest, c.pos, c.known, c.missed = d.base, d.pos, true, ""
		case d.joined:
			c.rejoin(s, d)
		default:
			c.event(s, d.entries[0])
		}
		c.live = c.live || d.joined && !d.part
	}
}

// rejoin handles the answer that nothing was missed but what is replayed.
func (c *client) rejoin(s *sim, d delivery) {
	if c.pos.ID == "" && c.pos.Seq > s.stream.lowest {
		// A fence carries nothing that tells it from the same sequence after a rollback.
		c.newest, c.pos = s.baseline(d.pos), d.pos
		return
	}
	for _, e := range d.entries {
		if e.Seq <= c.pos.Seq {
			s.fail("%s at %d gets a replay of %d", c.name, c.pos.Seq, e.Seq)
			return
		}
		c.apply(s, e)
	}
	if c.pos.Seq > d.pos.Seq && (c.pos.ID != "" || d.pos.Seq == 0) {
		s.fail("%s at %d is put back to %d", c.name, c.pos.Seq, d.pos.Seq)
	}
	if d.pos.ID != "" && !c.newest.has(s.baseline(d.pos)) {
		c.miss(s, "%s has %s and is told to have %s", c.name, name(c.newest), name(s.baseline(d.pos)))
	}
	c.pos = d.pos
}

// event handles a live event by the client's rules.
func (c *client) event(s *sim, e continuity.Entry) {
	switch {
	case !c.live:
		s.fail("%s gets %d before the answer to its join", c.name, e.Seq)
	case e.Seq <= c.pos.Seq: // drop
	case e.Prev > c.pos.Seq:
		s.fail("%s at %d gets %d after %d", c.name, c.pos.Seq, e.Seq, e.Prev)
	default:
		c.apply(s, e)
	}
}

// apply checks the promise: in order, once, and nothing left out.
func (c *client) apply(s *sim, e continuity.Entry) {
	uid, err := strconv.Atoi(string(e.Frame))
	if err != nil || uid >= len(s.stream.all) {
		s.fail("%s gets %q, which nobody published", c.name, e.Frame)
		return
	}
	m := s.stream.all[uid]
	switch {
	case m.seq != e.Seq || m.id != e.ID || m.time != e.Time || !m.room || m.quarantined:
		s.fail("%s gets %q as %d (%s), which is %+v", c.name, e.Frame, e.Seq, e.ID, m)
	case e.Seq <= c.pos.Seq:
		s.fail("%s at %d applies %d", c.name, c.pos.Seq, e.Seq)
	case !c.newest.has(m.parent) && s.stream.holds(m):
		// What the stream itself has lost since is applied out of context at worst, until the reset.
		c.miss(s, "%s applies %s after %s, missing %s", c.name, name(m), name(c.newest), name(m.parent))
	}
	s.applied++
	c.newest = m
	c.pos.Seq, c.pos.ID, c.pos.TS = e.Seq, e.ID, e.Time
}

// miss notes that something is missing that the client was not told of.
func (c *client) miss(s *sim, format string, args ...any) {
	c.missed = fmt.Sprintf(format, args...)
	s.log("%s", c.missed)
	if s.stream.backs == 0 {
		s.fail("%s", c.missed)
	}
}

func name(m *stored) string {
	if m == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d(%s)", m.seq, m.id)
}

// checkRefusalVain fails when a client was refused although what it missed was all there.
func (s *sim) checkRefusalVain(w *waiter, reason continuity.Reason) {
	if s.stream.backs > 0 || w.since == nil {
		return
	}
	if w.since.ID == "" && s.stream.removals == 0 && !s.profile.retention || w.since.ID != "" && s.stream.keeps(w.since.ID) {
		s.fail("%s at %v is refused in vain: %s", w.client.name, *w.since, reason)
	}
}

// checkResetVain fails when a member is told of a reset although what it missed is all there.
func (s *sim) checkResetVain(c *client, reason continuity.Reason) {
	if s.stream.backs == 0 && !s.profile.retention {
		s.fail("%s is reset in vain: %s", c.name, reason)
	}
}

// finish lets everything come to rest and checks that all are where the stream is.
func (s *sim) finish() {
	s.log("finish")
	s.calm = true
	for range 6 {
		for _, e := range s.edges {
			e.refresh()
			e.rest()
		}
	}
	newest := s.stream.newest()
	for _, e := range s.edges {
		if len(e.waiting) > 0 || !e.room.Synced() || e.room.Repairing() {
			s.fail("%s does not come to rest: %d waiting", e.name, len(e.waiting))
		}
	}
	for _, c := range s.clients {
		c.receive(s, len(c.queue))
		if c.edge != nil && c.missed != "" {
			s.fail("%s, and is never told", c.missed)
		}
		if c.edge != nil && !c.newest.has(newest) {
			s.fail("%s ends at %s, the stream at %s", c.name, name(c.newest), name(newest))
		}
	}
}

// rest delivers what is under way, compares with the stream once, and reads what that asks for.
func (e *edge) rest() {
	for len(e.pipe) > 0 {
		e.deliver()
	}
	e.queued = true
	for steps := 0; e.queued || e.round != nil || e.repair != nil || e.fetch != nil; steps++ {
		switch {
		case steps > 500:
			e.sim.fail("%s does not come to rest", e.name)
			return
		case e.repair != nil:
			e.stepRepair()
		case e.fetch != nil:
			e.stepFetch()
		default:
			e.stepRound()
		}
	}
}
