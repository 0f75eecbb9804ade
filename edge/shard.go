package edge

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

// shard is one event loop with its share of the connections. What others have for it goes through its
// inbox, and everything below turn belongs to whoever holds it: that is the loop, or, for a little work
// while the loop is at rest, whoever brings it. To wake a goroutine costs more than to send an event to
// a small room.
type shard struct {
	edge     *Edge
	number   int // the feed's subscriber
	inbox    *inbox
	driver   driver
	commands chan command

	turn     sync.Mutex
	sessions []*session
	rooms    map[subjects.Room]*room
	wheel    wheel
	now      uint32 // ticks since the edge started
	touched  []*room
	buffer   []byte // scratch for control frames
	// Counted here and added to the metrics once a turn.
	frames, bytes int
	// Memory for what is taken out of the inbox.
	notes      []note
	deliveries []mesh.Delivery
	// draining: hello is answered with a close; closing: new sessions are turned away.
	draining, closing bool
	departure         departure
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

// spread is the time in milliseconds over which a room's clients should spread their refetches: two
// milliseconds a member of this edge, at least half a second, at most half a minute. Members are
// spread evenly over shards.
func (s *shard) spread(r *room) int64 {
	return min(max(2*int64(len(r.members)*len(s.edge.shards)), 500), 30_000)
}

// command is what the edge asks of all sessions of a shard. It takes effect after every note that was
// posted before it.
type command uint8

const (
	commandNone command = iota
	commandDrain
	commandClose
	commandCut
)

// run is the loop. It ends when ctx does, which the edge brings about once no session is left.
func (s *shard) run(ctx context.Context) {
	timers := time.NewTicker(tick)
	defer timers.Stop()
	for {
		do := commandNone
		select {
		case <-ctx.Done():
			return
		case <-s.inbox.wake:
		case <-timers.C:
		case do = <-s.commands:
		}
		s.turn.Lock()
		s.begin()
		s.takeNotes()
		s.takeDeliveries()
		s.obey(do)
		s.askToLeave()
		s.wheel.advance(s.now, (*session).due)
		s.end()
	}
}

// begin starts a turn, and end ends it.
func (s *shard) begin() { s.now = s.edge.ticks() }

func (s *shard) end() {
	s.edge.metrics.sent(s.frames, s.bytes)
	s.frames, s.bytes = 0, 0
	s.turn.Unlock()
}

// maxIdleQueue is the longest queue whose memory is kept between turns.
const maxIdleQueue = 4096

func (s *shard) takeNotes() {
	s.notes = s.inbox.takeNotes(s.notes[:0])
	for i := range s.notes {
		s.take(&s.notes[i])
	}
	clear(s.notes) // what was handed over must not be kept alive by the queue's memory
	if cap(s.notes) > maxIdleQueue {
		s.notes = nil
	}
}

func (s *shard) takeDeliveries() {
	s.deliveries = s.inbox.takeDeliveries(s.deliveries[:0])
	s.deliver(s.deliveries)
	clear(s.deliveries)
	if cap(s.deliveries) > maxIdleQueue {
		s.deliveries = nil
	}
}

// post takes a note of a reader.
func (s *shard) post(n note) {
	s.inbox.putNote(n)
	if !s.turn.TryLock() {
		s.inbox.ring()
		return
	}
	s.begin()
	s.takeNotes()
	s.end()
}

// fewMembers is how many sends the feed makes itself at a time, while it has nothing else to do. They
// take less than half a millisecond.
const fewMembers = 32

// Offer implements mesh.Subscriber: an event for a few is sent by the feed itself.
func (s *shard) Offer(deliveries []mesh.Delivery) bool {
	if !s.turn.TryLock() {
		return false
	}
	if s.members(deliveries) > fewMembers || s.inbox.hasDeliveries() {
		s.turn.Unlock()
		return false
	}
	s.begin()
	s.deliver(deliveries)
	s.end()
	return true
}

// Post implements mesh.Subscriber.
func (s *shard) Post(deliveries []mesh.Delivery) { s.inbox.putDeliveries(deliveries) }

// members is how many have to be told; a room's events that come together are one send to each.
func (s *shard) members(deliveries []mesh.Delivery) int {
	n := 0
	for i := range deliveries {
		if i > 0 && deliveries[i].Room == deliveries[i-1].Room {
			continue
		}
		if r := s.rooms[deliveries[i].Room]; r != nil {
			n += len(r.members)
		}
	}
	return n
}

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
	c.index = int32(len(s.sessions)) //nolint:gosec // far fewer than that
	s.sessions = append(s.sessions, c)
	c.opened, c.wrote = s.now, s.now
	switch limits := &s.edge.cfg.Limits; {
	case s.closing:
		c.close(wire.CodeDraining, "")
	case !c.admitted && !c.poll: // many came at once, and had passed the check before the upgrade
		c.close(wire.CodeLimit, limitReason("connections per address", limits.PerAddress))
	default:
		s.schedule(c)
	}
}

// forget releases a session whose reader has ended.
func (s *shard) forget(c *session) {
	if c.state == stateGone {
		return
	}
	if c.state != stateClosing && !c.poll {
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
	if c.admitted {
		s.edge.admission.leaveAddress(c.address)
	}
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
	if since != nil {
		m.ticket.since = since.Seq
	}
	m.session.asked++
	s.edge.cfg.Feed.Join(s.number, mesh.Join{
		Room: m.room.name, Since: since, Ticket: m.ticket, CatchUp: catchUp,
		// What does not fit into the buffer is read again; twice as much goes there before that while it drains.
		MaxBytes: 2 * s.edge.cfg.Limits.ClientBuffer,
	})
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
			for _, m := range slices.Clone(r.members) { // one that cannot take it is closed and leaves
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
	m.session.asked--
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
	m.index = int32(len(m.room.members)) //nolint:gosec // far fewer than that
	m.room.members = append(m.room.members, m)
	s.edge.metrics.joins.Inc()
	m.session.joined(m, t.since, *d.Answer)
}

// fanOut sends a room's pending entries to its members: one buffer, one write each.
func (s *shard) fanOut(r *room) {
	for pending := r.pending; len(pending) > 0; {
		buf, n := batch(pending)
		s.fan(r, pending[:n], buf)
		pending = pending[n:]
	}
	clear(r.pending)
	r.pending = r.pending[:0]
	if cap(r.pending) > maxIdleQueue {
		r.pending = nil
	}
}

// fan sends entries of a room, which are together in buf, to its members: as they are, or compressed once
// for all who negotiated that.
func (s *shard) fan(r *room, entries []continuity.Entry, buf []byte) {
	first, last := &entries[0], &entries[len(entries)-1]
	var deflated []byte // nil until the first who wants it
	sent, bytes := 0, 0
	for i := 0; i < len(r.members); {
		m := r.members[i]
		if !m.lagging {
			b := buf
			if m.session.deflate {
				if deflated == nil {
					deflated = deflate(entries, buf, s.edge.cfg.DeflateFrom)
				}
				b = deflated
			}
			sent++
			bytes += len(b)
			// A member may stand after prev, at a position that no event has; where it stands is what
			// counts when the buffer has to be given up.
			m.session.send(queued{buf: b, to: m, from: max(first.Prev, m.through), through: last.Seq, at: first.Time})
			if sent%yieldEvery == 0 {
				runtime.Gosched()
			}
		}
		if m.index == int32(i) {
			i++ // otherwise m was closed and its place taken by another
		}
	}
	s.count(len(entries)*sent, bytes)
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
	switch c {
	case commandNone:
	case commandDrain:
		s.depart()
	case commandClose:
		s.draining, s.closing = true, true
		for _, session := range slices.Clone(s.sessions) {
			session.close(wire.CodeDraining, "")
		}
	case commandCut:
		for _, session := range s.sessions {
			session.cut()
		}
	}
}
