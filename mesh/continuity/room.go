// Package continuity is the state machine of one room on one edge: which event comes next, what is
// missing, and whether a client that was away can be shown to have missed nothing but what is
// replayed to it. It is pure: no I/O, no goroutine, no clock. The feed in package mesh drives it and
// does the reading that it asks for; tests drive it with whatever histories they like.
//
// The rules rest on five properties of the stream, which mesh checks at start: messages of a room
// are removed oldest first and never singly, each carries the sequence of the one before it,
// sequences are never given twice within an epoch (a rollback is told by the event id), a fence
// orders what came before it, and the number kept of a room is known.
//
// A stream that goes back, because a replica that was behind leads, breaks the third. Members are told
// when a message or an audit contradicts what they got. Two things stay in the dark: a message that got
// the sequence of the very last one delivered, when its republish is lost as well; and what was stored
// below a fence at which a room was empty, because a fence has no id to tell it by.
package continuity

import "github.com/tidingsmesh/tidings/subjects"

// Message is one stored message of a room, as a republish or a read shows it.
type Message struct {
	Seq  uint64
	Prev uint64 // the room's message before it; 0: none retained
	Time int64  // when it was stored, Unix milliseconds; the same however the message is read
	// ID is never empty, but for a message that need not be decoded: a live one whose sequence is
	// not above [Room.Head].
	ID string
	// Event is the structured CloudEvent; nil when the message was quarantined.
	Event []byte
}

// Config is shared by all rooms of a feed. It must not be changed while rooms use it, but for
// Limits, which follow the stream.
type Config struct {
	Limits Limits
	// RingEntries and RingBytes bound what a room keeps to serve resumes without reading the stream.
	RingEntries, RingBytes int
	// Buffer bounds the live messages held while a room syncs or repairs. What does not fit is
	// dropped and read from the stream afterwards.
	Buffer int
	// Encode builds the shared frame of an event; prev is the sequence sent before it.
	Encode func(room subjects.Room, m Message, prev uint64) []byte
}

type mode uint8

const (
	syncing   mode = iota // no snapshot yet; live messages wait in the buffer
	live                  // messages are emitted as they come
	repairing             // a gap is being read; live messages wait in the buffer
)

// Room is the state of one room. It is not safe for concurrent use: one loop owns it.
type Room struct {
	Name subjects.Room

	cfg  *Config
	mode mode
	// epoch under which head was learnt; compared with the configuration's on every resume.
	epoch string
	// head is the newest point processed: a message, or the fence of an empty room.
	// Invariant: once synced, every message of the room at or before head was emitted to those who
	// were members, or they were told of a reset.
	head mark
	// gone says that head is a message which the stream's limits have removed since.
	gone bool
	// sent is the sequence a member that missed nothing stands at: the last one emitted, or where
	// following began. It differs from head only by quarantined messages. Invariant: sent <= head.
	sent uint64
	// fence is the highest fence at which head was the room's newest message.
	fence uint64
	// found is what an audit showed to be the newest, when a repair has to reach it first.
	found struct {
		seq, fence uint64
		at         int64
	}
	// validAt is when head was last compared with the stream and found to be the newest, in Unix
	// milliseconds.
	validAt int64
	// audited is head as it was after the last audit: a fence set after that is higher, unless the
	// stream went back.
	audited uint64
	// lost is why continuity was given up when it is not known yet where the room goes on; the
	// repair that is under way finds out, and members are told then. broken says that a message came
	// during a repair which shows that the stream went back: the repair has to be made anew.
	lost   Reason
	lostAt int64
	broken bool
	// wanted is the highest sequence known to exist; a read that ends before it was stale.
	wanted uint64
	ring   ring
	// buffer is only used while not live. overflowed says that something did not fit, overflow is the
	// highest such sequence that no read has covered yet.
	buffer     []Message
	overflowed bool
	overflow   uint64
}

// NewRoom returns a room that waits for its first [Room.Sync].
func NewRoom(name subjects.Room, cfg *Config) *Room {
	return &Room{Name: name, cfg: cfg}
}

// Effects is what the owner must do after a step, in this order: tell every member of the reset,
// send them the entries, start a read for a repair. Reuse it; Clear keeps the memory.
type Effects struct {
	Reset  Reason // "" = none
	Emit   []Entry
	Repair bool // read from [Room.Head] through [Room.Wanted], then call [Room.Repaired]
}

// Clear empties e for the next step.
func (e *Effects) Clear() {
	clear(e.Emit)
	*e = Effects{Emit: e.Emit[:0]}
}

// Head is the newest sequence processed, where a repair starts to read (inclusive).
func (r *Room) Head() uint64 { return r.head.seq }

// Wanted is the sequence that a read must reach to be of use.
func (r *Room) Wanted() uint64 { return r.wanted }

// Synced reports whether the room has had its first snapshot.
func (r *Room) Synced() bool { return r.mode != syncing }

// Repairing reports whether a read for a repair is outstanding.
func (r *Room) Repairing() bool { return r.mode == repairing }

// RingBytes is what the ring holds.
func (r *Room) RingBytes() int { return r.ring.bytes }

// Shrink trims the ring to at most maxBytes; the owner calls it when all rings together are too large.
func (r *Room) Shrink(maxBytes int) { r.ring.trim(r.cfg.RingEntries, maxBytes) }

// Position is where a client stands that has received everything emitted so far.
func (r *Room) Position() Position {
	return Position{Epoch: r.epoch, Seq: r.head.seq, ID: r.head.id, TS: r.knownAt()}
}

// knownAt is when head was last known to be the room's newest message: when it was stored, or later.
func (r *Room) knownAt() int64 { return max(r.validAt, r.head.time) }

// Sync gives the room its first snapshot: last is its newest message at or after the fence was
// stored, nil when it has none. Live messages must have been arriving since before the fence.
func (r *Room) Sync(last *Message, fence uint64, now int64, out *Effects) {
	r.snapshot(last, fence, now)
	r.drain(now, out)
}

// snapshot begins to follow the room at its newest message as of a fence.
func (r *Room) snapshot(last *Message, fence uint64, now int64) {
	head := mark{seq: fence, time: now}
	if last != nil {
		head = markOf(*last)
	}
	r.restart(head)
	r.fence, r.validAt = fence, now
}

// restart begins to follow the room at head, whatever came before.
func (r *Room) restart(head mark) {
	r.epoch, r.mode, r.lost, r.broken = r.cfg.Limits.Epoch, live, "", false
	r.head, r.gone = head, false
	r.sent, r.wanted, r.fence = head.seq, head.seq, head.seq
	r.found.seq, r.validAt, r.audited = 0, 0, 0
	r.ring.reset(head)
}

// Live takes a message from the live subject.
func (r *Room) Live(m Message, now int64, out *Effects) {
	limits := &r.cfg.Limits
	switch {
	case r.mode == syncing, r.lost != "":
		r.hold(m)
	case m.Seq <= r.head.seq:
		// A duplicate republish, or overlap with a read, unless the stream went back and counts anew.
		switch {
		case !r.contradicts(m, now):
		case r.mode == live:
			r.lose(ReasonEpoch, now, out)
		default:
			r.broken = true
		}
	case r.mode != live:
		r.hold(m)
	case m.Prev == r.head.seq, m.Prev == 0 && r.mayBeEmpty(now):
		r.emit(m, out)
	case m.Prev == 0, m.Prev > r.head.seq:
		r.repair(out)
		r.hold(m)
	case r.head.isFence() && m.Time <= r.head.time+limits.slack():
		// The room was empty at the fence. What was there before has aged, and not all replicas
		// drop it at the same moment.
		r.emit(m, out)
	default:
		// The room's message before m is older than one that was already delivered: the stream
		// lost what it had acked.
		r.lose(ReasonEpoch, now, out)
	}
}

// contradicts reports whether m, which is not newer than head, cannot belong to the history that led
// there: the stream lost messages and gave their sequences to others.
func (r *Room) contradicts(m Message, now int64) bool {
	base := r.ring.base
	switch {
	case m.Seq > base.seq:
		i, found := r.ring.find(m.Seq)
		return !found || r.ring.entries[i].Time != m.Time
	case m.Seq == base.seq:
		return base.isFence() || base.time != m.Time
	case base.isFence() && !r.cfg.Limits.mayHaveAged(m.Time, now):
		return true // the room was empty at the fence
	default:
		return m.Time > base.time+r.cfg.Limits.slack()
	}
}

// mayBeEmpty reports whether the stream can have nothing left of the room, and yet nothing after head
// was missed: head was the newest not long ago, and what is that young is not removed.
func (r *Room) mayBeEmpty(now int64) bool {
	limits := &r.cfg.Limits
	removed := r.head.isFence() || r.gone || limits.mayHaveAged(r.head.time, now)
	return removed && r.knownAt() >= now-limits.slack()
}

// hold keeps a live message until the room is live again.
func (r *Room) hold(m Message) {
	r.wanted = max(r.wanted, m.Seq)
	if m.ID == "" || len(r.buffer) >= r.cfg.Buffer {
		r.overflowed, r.overflow = true, max(r.overflow, m.Seq)
		return
	}
	r.buffer = append(r.buffer, m)
}

// drain runs the held messages through the live rules.
func (r *Room) drain(now int64, out *Effects) {
	held, overflowed, overflow := r.buffer, r.overflowed, r.overflow
	r.buffer, r.overflowed, r.overflow = nil, false, 0
	for _, m := range held {
		if r.lost == "" { // else what was held is in the read to come
			r.Live(m, now, out)
		}
	}
	// Also when head is beyond what was dropped: that may have told that head is not what it was.
	if overflowed && r.lost == "" {
		r.repair(out)
		r.wanted = max(r.wanted, overflow)
	}
}

func (r *Room) emit(m Message, out *Effects) {
	e := Entry{Seq: m.Seq, Prev: r.sent, Time: m.Time, ID: m.ID}
	if m.Event != nil {
		e.Frame = r.cfg.Encode(r.Name, m, r.sent)
		r.sent = m.Seq
		out.Emit = append(out.Emit, e)
	}
	r.head, r.gone = markOf(m), false
	r.confirm()
	r.wanted = max(r.wanted, m.Seq)
	r.ring.push(e, r.cfg.RingEntries, r.cfg.RingBytes)
}
