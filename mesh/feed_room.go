package mesh

import (
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

// feedRoom is a room as the feed's loop owns it.
type feedRoom struct {
	state   *continuity.Room
	key     string // live subject without its first token
	stored  string // stream subject
	sub     *nats.Subscription
	members []int32 // answered and not left, by subscriber
	total   int32
	waiting []waiter
	rings   int // what the ring counted last

	queued   queuedAs
	settling bool                // in the feed's settling
	touched  time.Time           // when something last happened
	recheck  bool                // to be queued when the repair is over
	fetching bool                // a read for waiting clients is under way
	parts    map[uint64]struct{} // sequences from which a part is being read for members that catch up
	busy     int                 // rounds and reads under way; until they are over the room is kept
	reported map[uint64]struct{} // quarantined; forgotten once no repair can find them again
}

// queuedAs is how urgently a room is wanted in a round.
type queuedAs uint8

const (
	notQueued queuedAs = iota
	queuedLater
	queuedNow
)

// waiter is a client whose join cannot be answered yet.
type waiter struct {
	subscriber int
	join       Join
	// wantsAudit: the client is ahead of this edge. round is the round that will tell, 0 until it
	// began; audited says that it is over: what is still unknown then does not exist.
	wantsAudit bool
	round      uint64
	audited    bool
	// whole: a part of the history would prove nothing.
	whole bool
}

// takesPart reports whether a part of what is missing is wanted as an answer.
func (w *waiter) takesPart() bool {
	return w.join.CatchUp && w.join.MaxBytes > 0 && w.join.Since != nil && !w.whole
}

func (f *Feed) onRequests() {
	f.mu.Lock()
	requests := f.requests
	f.requests = nil
	f.mu.Unlock()
	touched := make(map[*feedRoom]struct{})
	for _, r := range requests {
		if r.leave {
			if room := f.rooms[r.join.Room]; room != nil {
				f.leave(room, r.subscriber)
			}
			continue
		}
		room, err := f.room(r.join.Room)
		if err != nil {
			// Only a closed connection refuses a subscription, and that is the end of the feed.
			f.log.Warn("subscribe", slog.String("room", r.join.Room.String()), errAttr(err))
			continue
		}
		room.waiting = append(room.waiting, waiter{subscriber: r.subscriber, join: r.join})
		touched[room] = struct{}{}
	}
	for room := range touched {
		f.settle(room, nil)
	}
}

// room returns the state of a room and begins to follow it if nobody did.
func (f *Feed) room(name subjects.Room) (*feedRoom, error) {
	if room := f.rooms[name]; room != nil {
		delete(f.idle, room)
		return room, nil
	}
	room := &feedRoom{
		state:   continuity.NewRoom(name, &f.rules),
		stored:  name.Subject(),
		members: make([]int32, len(f.subscribers)),
	}
	live := name.Live()
	_, room.key, _ = strings.Cut(live, ".")
	// A shared channel: no goroutine per room, and one order across rooms.
	sub, err := f.live.ChanSubscribe(live, f.messages)
	if err != nil {
		return nil, err
	}
	room.sub = sub
	f.rooms[name], f.byKey[room.key] = room, room
	f.metrics.rooms.Set(float64(len(f.rooms)))
	f.queue(room)
	return room, nil
}

func (f *Feed) leave(room *feedRoom, subscriber int) {
	if room.members[subscriber] == 0 {
		return
	}
	room.members[subscriber]--
	room.total--
	f.maybeIdle(room)
}

// maybeIdle notes since when nobody is in a room or on the way into it: for ever, when there are too many of those.
func (f *Feed) maybeIdle(room *feedRoom) {
	if _, known := f.idle[room]; known || room.total > 0 || len(room.waiting) > 0 {
		return
	}
	var since time.Time
	if len(f.idle) < f.cfg.Lingering {
		since = time.Now()
	}
	f.idle[room] = since
}

// forgetIdle stops following rooms that nobody has wanted for a while.
func (f *Feed) forgetIdle(now time.Time) {
	for room, since := range f.idle {
		if now.Sub(since) < f.cfg.Linger || room.busy > 0 || room.queued != notQueued {
			continue
		}
		if err := room.sub.Unsubscribe(); err != nil {
			f.log.Debug("unsubscribe", slog.String("room", room.state.Name.String()), errAttr(err))
		}
		delete(f.idle, room)
		delete(f.rooms, room.state.Name)
		delete(f.byKey, room.key)
		f.rings -= room.rings
	}
	f.metrics.rooms.Set(float64(len(f.rooms)))
}

// settle answers those who wait and can be answered, from the ring or from a history just read, and
// asks for what the others need. It is called after every step that can change what they wait for.
func (f *Feed) settle(room *feedRoom, h *continuity.History) {
	now := time.Now().UnixMilli()
	from := uint64(math.MaxUint64)
	waiting := room.waiting[:0]
	var shared answers
	for _, w := range room.waiting {
		if a := shared.find(w.join.Since); a != nil {
			f.answer(room, w, a)
			continue
		}
		var a continuity.Answer
		var need continuity.Need
		if h == nil {
			a, need = room.state.Resume(w.join.Since)
		} else {
			a, need = room.state.ResumeFrom(*h, w.join.Since, now)
		}
		switch need {
		case continuity.NeedNothing:
			shared.add(w.join.Since, &a)
			f.answer(room, w, &a)
			continue
		case continuity.NeedAudit:
			if w.audited {
				a = room.state.Beyond()
				f.answer(room, w, &a)
				continue
			}
			if !w.wantsAudit {
				w.wantsAudit = true
				f.queue(room)
			}
		case continuity.NeedFetch:
			if w.takesPart() {
				f.fetchPart(room, w.join.Since.Seq, w.join.MaxBytes)
			} else {
				from = min(from, w.join.Since.Seq)
			}
		case continuity.NeedWait:
		}
		waiting = append(waiting, w)
	}
	clear(room.waiting[len(waiting):])
	room.waiting = waiting
	if len(waiting) == 0 {
		room.waiting = nil
		f.maybeIdle(room)
	}
	switch {
	case from == math.MaxUint64 || room.fetching:
	case room.state.Position().Epoch != f.rules.Limits.Epoch:
		f.queue(room) // what it would read is of another stream
	default:
		f.fetch(room, from)
	}
}

// answers are those given to one room's clients in one go: many come back from the same position, and
// what they missed is the same.
type answers struct {
	first *continuity.Answer
	from  map[continuity.Position]*continuity.Answer
}

func (s *answers) find(since *continuity.Position) *continuity.Answer {
	if since == nil {
		return s.first
	}
	return s.from[*since]
}

func (s *answers) add(since *continuity.Position, a *continuity.Answer) {
	if since == nil {
		s.first = a
		return
	}
	if s.from == nil {
		s.from = make(map[continuity.Position]*continuity.Answer)
	}
	s.from[*since] = a
}

func (f *Feed) answer(room *feedRoom, w waiter, a *continuity.Answer) {
	if !w.join.CatchUp {
		room.members[w.subscriber]++
		room.total++
		f.settling.touch(room, time.Now())
	}
	f.metrics.answered(*a)
	f.outboxes[w.subscriber] = append(f.outboxes[w.subscriber], Delivery{
		Kind: DeliverJoined, Room: room.state.Name, Answer: a, Ticket: w.join.Ticket,
	})
}

// apply carries out what a step of the room asked for.
func (f *Feed) apply(room *feedRoom) {
	out := &f.effects
	if out.Reset != "" {
		// The position is the room's after the whole step: what was emitted with the reset is before
		// it, and those who are told start behind it.
		a := continuity.Answer{Position: room.state.Position(), Reason: out.Reset}
		f.deliver(room, Delivery{Kind: DeliverReset, Room: room.state.Name, Answer: &a})
		f.metrics.resets.WithLabelValues(string(out.Reset)).Inc()
		f.log.Warn("room lost continuity",
			slog.String("room", room.state.Name.String()), slog.String("reason", string(out.Reset)))
	} else {
		for _, e := range out.Emit {
			f.deliver(room, Delivery{Kind: DeliverEvent, Room: room.state.Name, Entry: e})
		}
		f.metrics.events.Add(float64(len(out.Emit)))
	}
	repair := out.Repair
	out.Clear()
	f.countRing(room)
	if room.state.Synced() && !room.state.Repairing() {
		room.reported = nil
	}
	if repair {
		f.repair(room)
	}
}

func (f *Feed) deliver(room *feedRoom, d Delivery) {
	for i, n := range room.members {
		if n > 0 {
			f.outboxes[i] = append(f.outboxes[i], d)
		}
	}
}

// countRing keeps all rings together near their bound: when it is exceeded, the room that grew is cut
// to its equal share. Rooms that were there first keep more, so the sum is less than twice the bound.
func (f *Feed) countRing(room *feedRoom) {
	bytes := room.state.RingBytes()
	f.rings += bytes - room.rings
	room.rings = bytes
	if f.rings > f.cfg.TotalRingBytes {
		room.state.Shrink(f.cfg.TotalRingBytes / max(1, len(f.rooms)))
		f.rings += room.state.RingBytes() - bytes
		room.rings = room.state.RingBytes()
	}
}
