package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidingsmesh/tidings/edge/wire"
)

// mark is what is known of one stored event for one member of its room.
type mark uint8

const (
	applied mark = 1 << iota // in the present history of the stream, as far as the client was told
	ever                     // applied, also in a history that the client was told is over
	told                     // the client was told that it may have missed it
)

// member is a client's place in a room, across its connections.
type member struct {
	client  *client
	checker *checker
	room    *room

	in    bool
	since int64 // it has been in the room since then

	// at is where the client stands: the last event applied or a position it was given. It does not go
	// back but by a reset into another history.
	at    *stand
	last  int    // stored events up to this one are accounted for
	marks []mark // by the room's stored events; nil until the first
	skips []skip
	// lost are events applied that the stream does not have, by id.
	lost map[string]bool

	// asks are the positions of joins without an answer; nil is that of a first join. While a client moves
	// they can be of two connections.
	asks []*wire.Position
	// tried are all positions that were asked for since there was no join without an answer: which of them
	// an answer is to is not certain.
	tried []stand
	left  bool // the client has left the room, and not joined it again
	// rejoined: the client has left the room and joined it again over the same connection, so answers to
	// earlier joins can still come.
	rejoined bool
	claim    *claim
	joins    []int64 // of the last minute
}

// stand is a position and when the client got there.
type stand struct {
	epoch string
	seq   uint64
	id    string
	ts    int64 // Unix milliseconds; not refreshed by pings
	time  int64
}

// skip are stored events, from one to another index, that the client went past.
type skip struct {
	from, to int
	seq      uint64 // what it went on with
	time     int64
}

// claim is a joined with recovered true, until its replay has come.
type claim struct {
	answer Record
	left   int
	last   int // events up to this one were accounted for before
	broken bool
}

func (m *member) take(r Record) error {
	switch r.Kind {
	case Join:
		m.join(r)
	case Joined:
		if r.Position == nil {
			return fmt.Errorf("joined of %s in %s without a position", r.Who, r.Room)
		}
		m.joined(r)
	case Denied:
		m.checker.report.Denied[r.Text]++
		m.asks = m.asks[min(1, len(m.asks)):]
		m.leave()
		if r.Text != wire.DeniedRate { // else it will ask again
			m.client.answered(r.Room, r.Time, false)
		}
	case Leave:
		m.left = true
		m.leave()
		m.client.answered(r.Room, r.Time, false)
	case Event:
		m.event(r)
	default:
	}
	return nil
}

func (m *member) join(r Record) {
	m.joining(r.Time)
	m.asks = append(m.asks, r.Position)
	if r.Position != nil {
		m.tried = append(m.tried, *standAt(r))
	}
	if m.left {
		m.left, m.rejoined = false, true
		if r.Position == nil { // it has forgotten where it was
			m.restart()
			m.at = nil
		}
	}
}

// leave ends the membership; joins that are under way may be answered all the same.
func (m *member) leave() { m.in, m.claim = false, nil }

// asked takes out the oldest join without an answer, of first joins or of those with a position.
func (m *member) asked(first bool) (pos *wire.Position, found bool) {
	i := slices.IndexFunc(m.asks, func(pos *wire.Position) bool { return (pos == nil) == first })
	if i < 0 {
		return nil, false
	}
	pos = m.asks[i]
	m.asks = slices.Delete(m.asks, i, i+1)
	return pos, true
}

func (m *member) violation(seq uint64, id string, t int64) Violation {
	return Violation{Client: m.client.name, Room: m.room.name, Seq: seq, ID: id, Time: t}
}

// event is a delivery.
func (m *member) event(r Record) {
	c := m.checker
	c.report.Deliveries++
	i := m.genuine(r)
	m.counted(r)
	if r.Duplicate {
		c.report.Duplicates++
	} else {
		m.apply(r, i)
	}
	if m.claim != nil && m.claim.left == 0 {
		m.replayed(r.Time)
	}
}

// genuine compares a delivery with the stream and returns the event's index in it, or -1 when it is not
// there under its id.
func (m *member) genuine(r Record) int {
	c := m.checker
	c.of(Genuine, 1)
	c.of(Agreement, 1)
	v := m.violation(r.Seq, r.ID, r.Time)
	i := m.room.find(r.Seq)
	if i >= 0 && m.room.stored[i].id == r.ID {
		if hash := m.room.stored[i].hash; hash != r.Hash {
			c.fail(Genuine, v, "its content is %s, in the stream it is %s", r.Hash, hash)
		}
		return i
	}
	p := m.room.published[r.ID]
	if p == nil || p.hash != r.Hash || !slices.Contains(p.seqs, r.Seq) { // else an ack says that it was there
		m.stranger(r, v)
	}
	at, isElsewhere := m.room.byID[r.ID]
	switch {
	case p == nil:
		c.fail(Genuine, v, "nobody has published it in this room")
	case p.hash != r.Hash:
		c.fail(Genuine, v, "its content is %s, published was %s", r.Hash, p.hash)
	case c.lostEvent(p, r.Seq, r.Time):
		c.report.NATS.Delivered++
		v.Text = "delivered, and not in the stream any more"
		c.lost(v)
	case isElsewhere:
		c.fail(Genuine, v, "the stream has it at %d", m.room.stored[at].seq)
	default:
		c.fail(Genuine, v, "the stream does not have it")
	}
	return -1
}

// lostEvent reports whether there is evidence that the stream had an event at a sequence at time t, where
// it has another one or none now.
func (c *checker) lostEvent(p *publishing, seq uint64, t int64) bool {
	return slices.Contains(p.seqs, seq) || c.stream.rewritten(seq, t)
}

// stranger compares a delivery that the stream does not have with others at its sequence.
func (m *member) stranger(r Record, v Violation) {
	s := stranger{m.client.name, r.Room, r.ID, r.Hash}
	before, found := m.checker.strangers[r.Seq]
	if !found {
		m.checker.strangers[r.Seq] = s
		return
	}
	if before.room != s.room || before.id != s.id || before.hash != s.hash {
		m.checker.fail(Agreement, v, "%s was sent %s (%s) of %s at this sequence", before.who, before.id, before.hash, before.room)
	}
}

// apply is an event that the client applied; i is its index, or -1.
func (m *member) apply(r Record, i int) {
	c := m.checker
	c.report.Applied++
	c.of(Ordered, 1)
	c.of(Once, 1)
	v := m.violation(r.Seq, r.ID, r.Time)
	switch {
	case m.at == nil:
		c.fail(Ordered, v, "applied before the room was joined")
	case m.has(i, r.ID):
		c.fail(Once, v, "applied before")
		return
	case r.Seq <= m.at.seq:
		c.fail(Ordered, v, "applied when the client stood at %d already", m.at.seq)
	}
	if m.at == nil {
		m.at, m.last = &stand{}, max(i-1, -1)
	}
	m.advance(&stand{epoch: m.at.epoch, seq: r.Seq, id: r.ID, ts: r.Time / int64(time.Millisecond), time: r.Time})
	if i < 0 {
		if m.lost == nil {
			m.lost = make(map[string]bool)
		}
		m.lost[r.ID] = true
		return
	}
	m.mark(i, applied|ever)
	e := &m.room.stored[i]
	if m.client.class == Steady && e.of != nil && e.of.began >= m.since {
		c.delay(e.of.began, r.Time)
	}
	for passed := m.last + 1; passed <= i; passed++ {
		m.heard(passed, r.Time)
	}
	m.pass(i, i-1, r.Seq, r.Time)
}

// pass accounts for stored events up to an index; those up to through were not applied but for what is
// marked.
func (m *member) pass(to, through int, seq uint64, t int64) {
	if to <= m.last {
		return
	}
	m.checker.of(Complete, to-m.last)
	if m.last < through {
		m.skips = append(m.skips, skip{m.last + 1, through, seq, t})
	}
	m.last = to
}

// has reports whether the client has applied an event in the present history, also under another sequence.
func (m *member) has(i int, id string) bool {
	if m.lost[id] {
		return true
	}
	twin, found := m.room.byID[id]
	return i >= 0 && m.is(i, applied) || found && m.is(twin, applied)
}

func (m *member) is(i int, of mark) bool { return m.marks != nil && m.marks[i]&of != 0 }

func (m *member) mark(i int, as mark) {
	if m.marks == nil {
		m.marks = make([]mark, len(m.room.stored))
	}
	m.marks[i] |= as
}

// settle judges what was skipped, when it is certain that it does not come any more.
func (m *member) settle() {
	for _, s := range m.skips {
		if missing, first := m.missing(s.from, s.to); missing > 0 {
			e := &m.room.stored[first]
			m.checker.fail(Complete, m.violation(e.seq, e.id, s.time), "not applied before the client went on to %d, one of %d", s.seq, missing)
		}
	}
	m.skips = nil
}

// finish judges what can be judged only at the end of the client.
func (m *member) finish() {
	m.settle()
	end := m.client.end(m.room.name)
	if m.client.done == 0 || !m.in {
		return
	}
	if k := m.claim; k != nil && len(m.asks) == 0 && m.isDue(k.answer.Time, end) && m.client.downAt == 0 {
		m.checker.fail(Truthful, m.violation(k.answer.Position.Seq, "", k.answer.Time), "a replay of %d was announced, %d of it came", k.answer.Count, k.answer.Count-k.left)
	}
	for i := range m.room.stored {
		m.delivered(i, end)
	}
	for i := m.last + 1; i < len(m.room.stored); i++ {
		m.unheard(i, end)
	}
}

// isDue reports whether something that is on its way since t has to have come at the client's end: when
// publishers had ended before, or after the time that it may take.
func (m *member) isDue(t, end int64) bool {
	quiet := m.checker.run.quiet
	return quiet != 0 && quiet <= end || t+int64(within) <= end
}

// delivered judges whether an event reached a client that was in its room from before it was published to
// its end.
func (m *member) delivered(i int, end int64) {
	c, e := m.checker, &m.room.stored[i]
	if e.of != nil && e.of.lost || e.began() < m.since || e.settled() > end || !m.isDue(e.settled(), end) {
		return
	}
	c.of(Delivered, 1)
	switch {
	case m.is(i, ever):
	case m.is(i, told):
		c.report.Told++
	default:
		c.fail(Delivered, m.violation(e.seq, e.id, e.settled()), "%s, and never came", e.state())
	}
}

// state is how certain the publisher was of the event.
func (e *stored) state() string {
	if e.of != nil && e.of.acked != 0 {
		return "acknowledged"
	}
	return "stored without an ack"
}
