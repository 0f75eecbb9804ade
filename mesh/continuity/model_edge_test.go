package continuity_test

import (
	"fmt"
	"math"
	"slices"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

// sabotage is what a deliberately wrong drive does, to show that the checker notices.
type sabotage struct {
	noAudit     bool // the newest messages are never compared with the stream
	dropEmit    bool // some entries do not reach the members
	swapEmit    bool // some entries reach the members in the wrong order
	alterFrame  bool // some frames are changed
	dropReplay  bool // some replays lack their first entry
	hideReset   bool // members are not told of a reset
	hideRefusal bool // clients that are refused are told that they missed nothing
	oldPosition bool // the answer to a join names where the room stood before the replay
	staleReads  bool // reads end before what is known to exist
	dropPart    bool // some partial replays lack their first entry
	earlyFirst  bool // the stream's oldest message is looked up before the history is read
}

// edge drives one Room as a feed does, with every step that can come late made to come late.
type edge struct {
	sim  *sim
	name string
	cfg  continuity.Config
	room *continuity.Room
	out  continuity.Effects

	pipe    []announced // live messages under way
	members []*client
	waiting []*waiter
	queued  bool
	rounds  int
	round   *round
	repair  *read
	fetch   *read
	// wary counts the audits to come before live messages may be lost again after the stream went
	// back: a feed audits at once when the stream's leader changes.
	wary int
}

// announced is a republished message. Those of before a fence arrive before the fence's ack.
type announced struct {
	continuity.Message
	at int // how many messages were ever stored
}

type waiter struct {
	client     *client
	since      *continuity.Position
	wantsAudit bool
	round      int
	audited    bool
	inParts    bool // it takes a part of what it missed at a time, if that can be proved
}

// round compares the room with the stream: fence, read, apply.
type round struct {
	id    int
	epoch string
	backs int // of the stream when it began
	fence uint64
	at    int // how many messages were ever stored when the fence was
	now   int64
	read  bool
	last  *continuity.Message
}

// read is a history being read page by page.
type read struct {
	from, through uint64
	epoch         string
	backs         int
	messages      []continuity.Message
	atLeast       int // messages that the first page saw
	done          bool
	first         *continuity.FirstStored
}

const pageSize = 4

func newEdge(s *sim, name string) *edge {
	e := &edge{sim: s, name: name}
	e.start()
	return e
}

// start begins anew, as after a crash.
func (e *edge) start() {
	e.cfg = continuity.Config{
		Limits:      e.sim.stream.limits,
		RingEntries: e.sim.ringEntries,
		RingBytes:   1 << 20,
		Buffer:      e.sim.buffer,
		Encode: func(_ subjects.Room, m continuity.Message, _ uint64) []byte {
			return m.Event
		},
	}
	e.room = continuity.NewRoom(subjects.Room{Kind: "campaign", ID: "1"}, &e.cfg)
	e.out.Clear()
	e.pipe, e.members, e.waiting = nil, nil, nil
	e.round, e.repair, e.fetch = nil, nil, nil
	e.queued, e.wary = true, 0
}

// deliver hands the room the next live message.
func (e *edge) deliver() {
	m := e.pipe[0].Message
	e.pipe = e.pipe[1:]
	e.sim.log("%s live %s", e.name, describe(&m))
	if m.Seq <= e.room.Head() {
		m.ID, m.Event = "", nil // not worth decoding
	}
	e.room.Live(m, e.sim.stream.now, &e.out)
	e.apply()
}

// apply carries out what the room asked for.
func (e *edge) apply() {
	if e.out.Reset != "" {
		e.sim.log("%s reset %s at %d", e.name, e.out.Reset, e.room.Position().Seq)
		pos := e.room.Position()
		for _, c := range e.members {
			e.sim.checkResetVain(c, e.out.Reset)
			if !e.sim.sabotage.hideReset {
				c.queue = append(c.queue, delivery{reset: true, pos: pos, base: e.sim.baseline(pos)})
			}
		}
	}
	if e.out.Reset == "" {
		e.emit(slices.Clone(e.out.Emit))
	}
	if e.out.Repair {
		if e.repair != nil {
			e.sim.fail("%s asks for a second repair", e.name)
		}
		e.repair = e.read(e.room.Head())
	}
	e.out.Clear()
}

func (e *edge) emit(entries []continuity.Entry) {
	wrong := e.sim.sabotage
	if wrong.swapEmit && len(entries) > 1 {
		entries[0], entries[1] = entries[1], entries[0]
	}
	for _, entry := range entries {
		if wrong.dropEmit && entry.Seq%7 == 0 {
			continue
		}
		if wrong.alterFrame && entry.Seq%7 == 0 {
			entry.Frame = append([]byte("1"), entry.Frame...)
		}
		for _, c := range e.members {
			c.queue = append(c.queue, delivery{entries: []continuity.Entry{entry}})
		}
	}
}

func (e *edge) read(from uint64) *read {
	return &read{from: from, through: e.room.Wanted(), epoch: e.cfg.Limits.Epoch}
}

// stepRound goes on with the comparison under way, or begins one.
func (e *edge) stepRound() {
	s := e.sim.stream
	switch r := e.round; {
	case r == nil:
		e.queued = false
		e.rounds++
		e.round = &round{id: e.rounds, epoch: e.cfg.Limits.Epoch}
		e.setFence()
		for _, w := range e.waiting {
			if w.wantsAudit && w.round == 0 {
				w.round = e.rounds
			}
		}
	case r.backs != s.backs && r.fence > s.last:
		// No replica can be shown to have the fence; the feed sets a new one.
		e.setFence()
	case !r.read:
		r.read = true
		upTo := r.fence + uint64(e.sim.pick("snapshot upTo", int(s.last-r.fence)+1))
		if view := s.view(0, upTo); len(view) > 0 {
			m := view[len(view)-1].message()
			r.last = &m
		}
	default:
		e.round = nil
		e.onSnapshot(r)
	}
}

func (e *edge) setFence() {
	s, r := e.sim.stream, e.round
	r.fence, r.now, r.backs = s.append(false, false).seq, s.now, s.backs
	r.at = len(s.all)
}

func (e *edge) onSnapshot(r *round) {
	for len(e.pipe) > 0 && e.pipe[0].at <= r.at {
		e.deliver()
	}
	e.sim.log("%s snapshot %v at %d", e.name, describe(r.last), r.fence)
	repairing := e.room.Repairing()
	if r.epoch != e.cfg.Limits.Epoch || repairing { // of another stream perhaps, or of no use now
		for _, w := range e.waiting {
			if w.round == r.id {
				w.round = 0
			}
		}
		e.queued = true
		return
	}
	if e.room.Synced() {
		if !e.sim.sabotage.noAudit {
			e.room.Audit(r.last, r.fence, r.now, &e.out)
		}
		if e.wary > 0 && r.backs == e.sim.stream.backs && e.cfg.Limits.Epoch == e.sim.stream.limits.Epoch {
			e.wary--
		}
	} else {
		e.room.Sync(r.last, r.fence, r.now, &e.out)
	}
	e.apply()
	for _, w := range e.waiting {
		w.audited = w.audited || w.round == r.id
	}
	e.settle(nil)
}

// stepRead reads one page, or finishes. A read that the stream's going back interrupts starts again.
func (e *edge) stepRead(r *read) (finished bool) {
	s := e.sim.stream
	if r.backs != s.backs && len(r.messages) > 0 && !r.done {
		*r = read{from: r.from, through: r.through, epoch: r.epoch}
	}
	r.backs = s.backs
	if e.sim.sabotage.earlyFirst && r.first == nil {
		first := s.first()
		r.first = &first
		return false
	}
	if !r.done {
		e.readPage(r)
		return false
	}
	if r.first == nil {
		first := s.first()
		r.first = &first
	}
	return true
}

// readPage reads the next page, from a replica that may be behind. Pages overlap by one message: if it
// is gone, the removal of old messages has overtaken the read, which starts again.
func (e *edge) readPage(r *read) {
	s := e.sim.stream
	upTo := s.last
	if e.sim.sabotage.staleReads {
		upTo = r.from
	} else if r.through < s.last && !e.sim.calm {
		upTo -= uint64(e.sim.pick("read behind", int(s.last-r.through)+1))
	}
	again := read{from: r.from, through: r.through, epoch: r.epoch}
	next := r.from
	if n := len(r.messages); n > 0 {
		next = r.messages[n-1].Seq
	}
	view := s.view(next, upTo)
	page := view[:min(len(view), pageSize)]
	if len(r.messages) == 0 {
		r.atLeast = len(view)
	} else if len(page) == 0 || page[0].seq != next {
		*r = again
		return
	} else {
		page = page[1:]
	}
	for _, m := range page {
		r.messages = append(r.messages, m.message())
		next = m.seq
	}
	switch {
	case len(page) > 0 && page[len(page)-1] != view[len(view)-1]: // more to come
	case e.sim.sabotage.staleReads, len(r.messages) >= r.atLeast && (next >= r.through || upTo == s.last):
		r.done = true
	default: // ends before what is known to exist: stale
		*r = again
	}
}

func (e *edge) stepRepair() {
	r := e.repair
	if !e.stepRead(r) {
		return
	}
	e.repair = nil
	if r.epoch != e.cfg.Limits.Epoch {
		e.repair = e.read(r.from)
		return
	}
	e.sim.log("%s repaired from %d through %d: %v", e.name, r.from, r.through, seqs(r.messages))
	e.room.Repaired(r.messages, r.through, *r.first, e.sim.stream.now, &e.out)
	e.apply()
	e.settle(nil)
}

func (e *edge) stepFetch() {
	r := e.fetch
	if !e.stepRead(r) {
		return
	}
	e.fetch = nil
	if r.epoch != e.cfg.Limits.Epoch {
		e.settle(nil)
		return
	}
	e.sim.log("%s fetched from %d through %d: %v", e.name, r.from, r.through, seqs(r.messages))
	h := e.room.Fetched(r.from, r.through, r.messages, *r.first)
	e.settle(&h)
}

// join asks for the room on behalf of a client.
func (e *edge) join(c *client, since *continuity.Position) {
	e.waiting = append(e.waiting, &waiter{client: c, since: since, inParts: since != nil && e.sim.pick("in parts", 2) == 0})
	e.settle(nil)
}

// leave forgets a client that has gone.
func (e *edge) leave(c *client) {
	e.members = slices.DeleteFunc(e.members, func(m *client) bool { return m == c })
	e.waiting = slices.DeleteFunc(e.waiting, func(w *waiter) bool { return w.client == c })
}

// settle answers those who wait and can be answered.
func (e *edge) settle(h *continuity.History) {
	from, again := uint64(math.MaxUint64), false
	var still []*waiter
	for _, w := range e.waiting {
		var a continuity.Answer
		var need continuity.Need
		if h == nil {
			a, need = e.room.Resume(w.since)
		} else {
			a, need = e.room.ResumeFrom(*h, w.since, e.sim.stream.now)
		}
		switch need {
		case continuity.NeedNothing:
			e.answer(w, a)
			continue
		case continuity.NeedAudit:
			if w.audited {
				e.answer(w, e.room.Beyond())
				continue
			}
			if !w.wantsAudit {
				w.wantsAudit, e.queued = true, true
			}
		case continuity.NeedFetch:
			if e.answerPart(w) {
				again = true
			} else {
				from = min(from, w.since.Seq)
			}
		case continuity.NeedWait:
		}
		still = append(still, w)
	}
	e.waiting = still
	if again {
		e.settle(nil)
		return
	}
	switch {
	case from == math.MaxUint64 || e.fetch != nil:
	case e.room.Position().Epoch != e.cfg.Limits.Epoch:
		e.queued = true // what it would read is of another stream
	default:
		e.fetch = e.read(from)
	}
}

// answerPart answers with the next few messages, read from a replica that may be behind, if they prove
// themselves; the client asks on from there.
func (e *edge) answerPart(w *waiter) bool {
	s := e.sim.stream
	if !w.inParts || e.cfg.Limits.Epoch != s.limits.Epoch || w.since.Seq > s.last {
		return false
	}
	view := s.view(w.since.Seq, w.since.Seq+uint64(e.sim.pick("part upTo", int(s.last-w.since.Seq)+1)))
	var messages []continuity.Message
	for _, m := range view[:min(len(view), 2+e.sim.pick("part", 4))] {
		messages = append(messages, m.message())
	}
	a, ok := e.room.Part(*w.since, messages)
	if w.inParts = ok; !ok {
		return false
	}
	e.sim.log("%s answers %s at %v in part: %+v replay %d", e.name, w.client.name, w.since, a.Position, len(a.Replay))
	e.sim.parts++
	entries := a.Replay
	if e.sim.sabotage.dropPart && len(entries) > 0 {
		entries = entries[1:]
	}
	w.client.queue = append(w.client.queue, delivery{part: true, joined: true, pos: a.Position, entries: entries})
	w.since = &a.Position
	return true
}

func (e *edge) answer(w *waiter, a continuity.Answer) {
	e.sim.log("%s answers %s at %v: %+v replay %d", e.name, w.client.name, w.since, a.Position, len(a.Replay))
	if a.Reason != "" {
		e.sim.checkRefusalVain(w, a.Reason)
	}
	d := delivery{joined: true, pos: a.Position, entries: a.Replay, reset: a.First || a.Reason != ""}
	if e.sim.sabotage.hideRefusal && !a.First {
		d.reset = false
	}
	if d.reset {
		d.base = e.sim.baseline(a.Position)
	}
	if e.sim.sabotage.oldPosition && len(d.entries) > 0 && w.since != nil {
		d.pos.Seq = w.since.Seq
	}
	if e.sim.sabotage.dropReplay && len(d.entries) > 0 {
		d.entries = d.entries[1:]
	}
	e.members = append(e.members, w.client)
	w.client.queue = append(w.client.queue, d)
}

func describe(m *continuity.Message) string {
	if m == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d(%s)", m.Seq, m.ID)
}

func seqs(messages []continuity.Message) []uint64 {
	out := make([]uint64, 0, len(messages))
	for _, m := range messages {
		out = append(out, m.Seq)
	}
	return out
}
