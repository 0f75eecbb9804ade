package edge

import (
	"context"
	"runtime"
	"time"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

// shard is one event loop with its share of the connections. Everything in it belongs to the loop;
// others send to its inbox.
type shard struct {
	edge   *Edge
	number int // the feed's subscriber
	inbox  *inbox
	driver driver

	sessions []*session
	rooms    map[subjects.Room]*room
	wheel    wheel
	now      uint32 // seconds since the edge started
	touched  []*room
	buffer   []byte // scratch for control frames
	// Counted here and added to the metrics once a turn.
	frames, bytes int
	commands      chan command
	closing       bool // new sessions are turned away
}

func newShard(e *Edge, number int) *shard {
	return &shard{
		edge: e, number: number, inbox: newInbox(), rooms: make(map[subjects.Room]*room),
		commands: make(chan command, 2),
	}
}

// room is a room on one shard.
type room struct {
	name    subjects.Room
	epoch   string // of the last answer
	members []*membership
	refs    int // memberships, also those that are joining
	// pending are the entries of the current turn, not sent yet.
	pending []continuity.Entry
}

// spread is the time in milliseconds over which this room's clients should spread their refetches:
// two milliseconds a member, at least half a second, at most half a minute.
func (r *room) spread() int64 {
	return min(max(2*int64(len(r.members)), 500), 30_000)
}

// command is what the edge asks of a shard's loop, beside what readers note.
type command struct{ drain, close, cut bool }

// run is the loop. It ends when ctx does, which the edge brings about once no session is left.
func (s *shard) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var notes []note
	var deliveries []mesh.Delivery
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.inbox.wake:
		case <-tick.C:
		case c := <-s.commands:
			s.obey(c)
		}
		s.now = s.edge.seconds()
		notes, deliveries = s.inbox.take(notes[:0], deliveries[:0])
		for i := range notes {
			s.take(&notes[i])
		}
		s.deliver(deliveries)
		s.wheel.advance(s.now, (*session).due)
		s.edge.metrics.sent(s.frames, s.bytes)
		s.frames, s.bytes = 0, 0
		// What was handed over must not be kept alive by the queue's memory.
		clear(notes)
		clear(deliveries)
		if cap(notes) > maxIdleQueue {
			notes = nil
		}
		if cap(deliveries) > maxIdleQueue {
			deliveries = nil
		}
	}
}

// maxIdleQueue is the longest queue whose memory is kept between turns.
const maxIdleQueue = 4096

// take handles one note.
func (s *shard) take(n *note) {
	c := n.session
	switch n.kind {
	case noteOpened:
		s.open(c)
	case noteFrame:
		c.onFrame(*n)
	case noteChecking:
		if c.held == nil && c.state != stateClosing && c.state != stateGone {
			c.held = make([]note, 0, 1)
		}
	case noteChecked:
		c.onChecked(*n)
	case noteRefused:
		c.close(wire.Code(n.refusal.code), n.refusal.reason)
	case notePing:
		c.pong(n.frame.Token)
	case noteWritable:
		c.writable()
	case noteGone:
		s.forget(c)
	}
}

func (s *shard) open(c *session) {
	c.index = int32(len(s.sessions)) //nolint:gosec // far fewer sessions than that
	s.sessions = append(s.sessions, c)
	c.opened, c.wrote = s.now, s.now
	if s.closing {
		c.close(wire.CodeDraining, "")
		return
	}
	s.schedule(c)
}

// forget releases a session whose reader has ended.
func (s *shard) forget(c *session) {
	if c.state == stateGone {
		return
	}
	if c.state != stateClosing {
		s.edge.metrics.closed.WithLabelValues("gone").Inc()
	}
	c.leaveAll()
	if c.backlog != nil {
		c.queue(-c.backlog.bytes)
		c.backlog = nil
	}
	if c.counted {
		s.edge.admission.leaveUser(c.principal.Subject)
	}
	s.edge.admission.leaveAddress(c.address)
	c.state = stateGone
	last := s.sessions[len(s.sessions)-1]
	s.sessions[c.index], last.index = last, c.index
	s.sessions[len(s.sessions)-1] = nil
	s.sessions = s.sessions[:len(s.sessions)-1]
	c.sock.release()
	s.edge.left()
}

// schedule sets the session's next second in the wheel.
func (s *shard) schedule(c *session) { s.wheel.set(c, c.nextDue()) }

// room returns the shard's room of that name.
func (s *shard) room(name subjects.Room) *room {
	r := s.rooms[name]
	if r == nil {
		r = &room{name: name}
		s.rooms[name] = r
	}
	return r
}

// ask sends a join or catch-up to the mesh.
func (s *shard) ask(m *membership, since *continuity.Position, catchUp bool) {
	m.ticket = &ticket{member: m, catchUp: catchUp}
	s.edge.cfg.Feed.Join(s.number, mesh.Join{Room: m.room.name, Since: since, Ticket: m.ticket, CatchUp: catchUp})
}

// drop takes a membership out of its room.
func (s *shard) drop(m *membership) {
	r := m.room
	m.ticket = nil
	if m.index >= 0 {
		last := r.members[len(r.members)-1]
		r.members[m.index], last.index = last, m.index
		r.members[len(r.members)-1] = nil
		r.members = r.members[:len(r.members)-1]
		m.index = -1
		s.edge.cfg.Feed.Leave(s.number, r.name)
	}
	if r.refs--; r.refs == 0 {
		delete(s.rooms, r.name)
	}
}

// deliver hands out what came from the mesh. Events of a room that are here together are sent
// together; an answer or a reset in between keeps its place.
func (s *shard) deliver(deliveries []mesh.Delivery) {
	for i := range deliveries {
		d := &deliveries[i]
		r := s.rooms[d.Room]
		switch d.Kind {
		case mesh.DeliverEvent:
			if r == nil || len(r.members) == 0 {
				continue
			}
			if len(r.pending) == 0 {
				s.touched = append(s.touched, r)
			}
			r.pending = append(r.pending, d.Entry)
		case mesh.DeliverJoined:
			if r != nil {
				s.fanOut(r)
			}
			s.answer(d)
		case mesh.DeliverReset:
			if r == nil {
				continue
			}
			s.fanOut(r)
			r.epoch = d.Answer.Position.Epoch
			for _, m := range r.members {
				m.session.reset(m, *d.Answer)
			}
		}
	}
	for i, r := range s.touched {
		s.fanOut(r)
		s.touched[i] = nil
	}
	s.touched = s.touched[:0]
}

// answer gives the mesh's answer to the membership that asked, if it still waits for it.
func (s *shard) answer(d *mesh.Delivery) {
	t, ok := d.Ticket.(*ticket)
	if !ok {
		return // the shard asks with nothing else
	}
	m := t.member
	if m.ticket != t {
		if !t.catchUp {
			s.edge.cfg.Feed.Leave(s.number, d.Room) // it left before it was in
		}
		return
	}
	m.ticket = nil
	m.room.epoch = d.Answer.Position.Epoch
	if t.catchUp {
		m.session.caughtUp(m, *d.Answer)
		return
	}
	m.index = int32(len(m.room.members)) //nolint:gosec // far fewer members than that
	m.room.members = append(m.room.members, m)
	s.edge.metrics.joins.Inc()
	m.session.joined(m, *d.Answer)
}

// fanOut sends a room's pending entries to its members: one buffer, one write each.
func (s *shard) fanOut(r *room) {
	if len(r.pending) == 0 {
		return
	}
	first, last := &r.pending[0], &r.pending[len(r.pending)-1]
	buf := first.Frame
	if len(r.pending) > 1 {
		size := 0
		for i := range r.pending {
			size += len(r.pending[i].Frame)
		}
		buf = make([]byte, 0, size)
		for i := range r.pending {
			buf = append(buf, r.pending[i].Frame...)
		}
	}
	prev, through, n := first.Prev, last.Seq, len(r.pending)
	clear(r.pending)
	r.pending = r.pending[:0]
	if cap(r.pending) > maxIdleQueue {
		r.pending = nil
	}
	sent := 0
	for i := 0; i < len(r.members); i++ {
		m := r.members[i]
		if m.lagging {
			continue
		}
		sent++
		// A member may stand after prev, at a position that no event has; where it stands is what
		// counts when the buffer has to be given up.
		m.session.send(queued{buf: buf, to: m, from: max(prev, m.through), through: through})
		if i%yieldEvery == yieldEvery-1 {
			runtime.Gosched()
		}
		if i < len(r.members) && r.members[i] != m {
			i-- // m was closed and its place taken by another
		}
	}
	s.count(n*sent, len(buf)*sent)
}

// yieldEvery lets other goroutines run in the middle of a large room: ten thousand members are
// nearly a tenth of a second of one processor.
const yieldEvery = 256

func (s *shard) count(frames, bytes int) {
	s.frames += frames
	s.bytes += bytes
}

// scratch is memory for the payload of one control frame; keep takes it back grown.
func (s *shard) scratch() []byte { return s.buffer[:0] }

func (s *shard) keep(b []byte) {
	if cap(b) <= 4096 {
		s.buffer = b
	}
}

// obey carries out what the edge asks of all sessions.
func (s *shard) obey(c command) {
	switch {
	case c.cut:
		for _, session := range s.sessions {
			session.cut()
		}
	case c.close:
		s.closing = true
		for _, session := range append([]*session(nil), s.sessions...) {
			session.close(wire.CodeDraining, "")
		}
	case c.drain:
		for _, session := range append([]*session(nil), s.sessions...) {
			if session.state == stateOpen {
				session.control(wire.AppendDrain(s.scratch(), s.edge.cfg.Drain.Milliseconds()))
			}
		}
	}
}
