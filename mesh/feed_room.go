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

	queued    bool // for the next round
	fetching  bool // a read for waiting clients is under way
	repairing bool // a read for a repair is under way
}

// waiter is a client whose join cannot be answered yet.
type waiter struct {
	subscriber int
	join       Join
	// wantsAudit: the client is ahead of this edge. round is the round that will tell, 0 until it
	// began; audited says that it is over: what is still unknown then does not exist.
	wantsAudit bool
	round      uint64
	audited    bool
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
			f.log.Warn("subscribe", slog.String("room", r.join.Room.String()), slog.Any("error", err))
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

func (f *Feed) maybeIdle(room *feedRoom) {
	if room.total == 0 && len(room.waiting) == 0 {
		f.idle[room] = time.Now()
	}
}

// forgetIdle stops following rooms that nobody has wanted for a while.
func (f *Feed) forgetIdle(now time.Time) {
	for room, since := range f.idle {
		if now.Sub(since) < f.cfg.Linger || room.fetching || room.repairing || room.queued {
			continue
		}
		if err := room.sub.Unsubscribe(); err != nil {
			f.log.Debug("unsubscribe", slog.String("room", room.state.Name.String()), slog.Any("error", err))
		}
		delete(f.idle, room)
		delete(f.rooms, room.state.Name)
		delete(f.byKey, room.key)
		f.rings -= room.rings
	}
	f.metrics.rooms.Set(float64(len(f.rooms)))
}

// settle answers those who wait and can be answered, from the ring or from a history just read, and
// asks for what the others need.
func (f *Feed) settle(room *feedRoom, h *continuity.History) {
	now := time.Now().UnixMilli()
	from := uint64(math.MaxUint64)
	waiting := room.waiting[:0]
	for _, w := range room.waiting {
		var a continuity.Answer
		var need continuity.Need
		if h == nil {
			a, need = room.state.Resume(w.join.Since)
		} else {
			a, need = room.state.ResumeFrom(*h, w.join.Since, now)
		}
		switch need {
		case continuity.NeedNothing:
			f.answer(room, w, a)
			continue
		case continuity.NeedAudit:
			if w.audited {
				f.answer(room, w, room.state.Beyond())
				continue
			}
			if !w.wantsAudit {
				w.wantsAudit = true
				f.queue(room)
			}
		case continuity.NeedFetch:
			from = min(from, w.join.Since.Seq)
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
	if from != math.MaxUint64 && !room.fetching {
		room.fetching = true
		f.fetch(room, from)
	}
}

func (f *Feed) answer(room *feedRoom, w waiter, a continuity.Answer) {
	if !w.join.CatchUp {
		room.members[w.subscriber]++
		room.total++
	}
	f.metrics.answered(a)
	f.outboxes[w.subscriber] = append(f.outboxes[w.subscriber], Delivery{
		Kind: DeliverJoined, Room: room.state.Name, Answer: &a, Ticket: w.join.Ticket,
	})
}

// apply carries out what a step of the room asked for.
func (f *Feed) apply(room *feedRoom) {
	out := &f.effects
	if out.Reset != "" {
		a := continuity.Answer{Position: room.state.Position(), Reason: out.Reset}
		f.deliver(room, Delivery{Kind: DeliverReset, Room: room.state.Name, Answer: &a})
		f.metrics.resets.WithLabelValues(string(out.Reset)).Inc()
		f.log.Warn("room lost continuity",
			slog.String("room", room.state.Name.String()), slog.String("reason", string(out.Reset)))
	}
	for _, e := range out.Emit {
		f.deliver(room, Delivery{Kind: DeliverEvent, Room: room.state.Name, Entry: e})
	}
	f.metrics.events.Add(float64(len(out.Emit)))
	if out.Repair && !room.repairing {
		room.repairing = true
		f.repair(room)
	}
	out.Clear()
	f.countRing(room)
}

func (f *Feed) deliver(room *feedRoom, d Delivery) {
	for i, n := range room.members {
		if n > 0 {
			f.outboxes[i] = append(f.outboxes[i], d)
		}
	}
}

// countRing keeps all rings together within their bound: when it is exceeded, the room that grew is
// cut to its equal share.
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
