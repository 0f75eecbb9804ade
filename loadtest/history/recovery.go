package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// Resets are the answers with recovered false of one reason.
type Resets struct {
	Count int `json:"count"`
	// Vain are those without a cause in the stream.
	Vain int `json:"vain"`
}

// joined is the answer to a join, or the news that continuity was lost.
func (m *member) joined(r Record) {
	c := m.checker
	c.of(Truthful, 1)
	m.vouched(r)
	if m.left {
		return // to a join from before
	}
	m.claim = nil
	if !m.in {
		m.in, m.since = true, r.Time
	}
	v := m.violation(r.Position.Seq, r.Position.ID, r.Time)
	first := r.Recovered == nil
	var asked *wire.Position
	found := false
	// The news that the stream went back comes unasked; a join that is under way is answered beside it.
	if first || *r.Recovered || m.at == nil || !isOtherHistory(r, m.at.epoch) {
		asked, found = m.asked(first)
	}
	switch {
	case m.at == nil && (asked == nil || m.rejoined):
		c.report.FirstJoins++
		if !first && !m.rejoined {
			c.fail(Truthful, v, "answered as if the client had a position")
		}
		m.begin(r)
	case first && (found || m.rejoined):
		// To a join from before the client had a position. It vouches for nothing, and the client stays
		// where it is.
	case first:
		c.fail(Truthful, v, "answered as if the client had no position")
		m.recovered(r, asked)
	case *r.Recovered:
		c.report.Recovered++
		c.report.Replayed += r.Count
		m.recovered(r, asked)
	default:
		m.reset(r, asked, v)
	}
	if len(m.asks) == 0 {
		m.tried = nil
	}
	m.client.answered(r.Room, r.Time, true)
}

// vouched looks at the position of an answer: the event that it names is in the stream, or was.
func (m *member) vouched(r Record) {
	pos := r.Position
	if !m.contradicts(pos.Seq, pos.ID) {
		return
	}
	p := m.room.published[pos.ID]
	if p == nil || !m.checker.lostEvent(p, pos.Seq, r.Time) {
		m.checker.fail(Truthful, m.violation(pos.Seq, pos.ID, r.Time), "the client is said to stand at an event that is not in the stream there")
	}
}

// contradicts reports whether the stream does not have the event that a position names.
func (m *member) contradicts(seq uint64, id string) bool {
	i := m.room.find(seq)
	return id != "" && (i < 0 || m.room.stored[i].id != id)
}

// begin is a first join: what was before does not count.
func (m *member) begin(r Record) {
	m.restart()
	m.since = r.Time
	m.at = standAt(r)
	m.last = m.room.upTo(m.at.seq, m.at.id)
}

// restart forgets what was applied.
func (m *member) restart() {
	m.settle()
	m.lost = nil
	for i := range m.marks {
		m.marks[i] &^= applied
	}
}

func standAt(r Record) *stand {
	return &stand{epoch: r.Position.Epoch, seq: r.Position.Seq, id: r.Position.ID, ts: r.Position.TS, time: r.Time}
}

// resume places a client that comes with a position from elsewhere.
func (m *member) resume(asked *wire.Position, t int64) {
	if m.at != nil {
		return
	}
	m.at = &stand{epoch: asked.Epoch, seq: asked.Seq, id: asked.ID, ts: asked.TS, time: t}
	m.last = m.room.upTo(m.at.seq, m.at.id)
}

// recovered is an answer that nothing was missed but what follows.
func (m *member) recovered(r Record, asked *wire.Position) {
	m.resume(asked, r.Time)
	m.at.epoch = r.Position.Epoch
	m.claim = &claim{answer: r, left: r.Count, last: m.last}
	if r.Count == 0 {
		m.replayed(r.Time)
	}
}

// counted takes an event into account for the replay under way.
func (m *member) counted(r Record) {
	k := m.claim
	if k == nil {
		return
	}
	k.left--
	if pos := k.answer.Position; r.Seq > pos.Seq && !k.broken {
		k.broken = true
		m.checker.fail(Truthful, m.violation(r.Seq, r.ID, r.Time), "comes in a replay of %d up to %d, of which %d came", k.answer.Count, pos.Seq, k.answer.Count-k.left-1)
	}
}

// replayed is the end of a replay: the client stands where the answer said, and has everything before.
func (m *member) replayed(t int64) {
	k := m.claim
	m.claim = nil
	pos := k.answer.Position
	to := m.room.upTo(pos.Seq, pos.ID)
	missing, first := m.missing(k.last+1, to)
	if missing > 0 && !k.broken {
		e := &m.room.stored[first]
		m.checker.fail(Truthful, m.violation(e.seq, e.id, k.answer.Time), "nothing is said to be missing up to %d after a replay of %d, but %d are, this one first", pos.Seq, k.answer.Count, missing)
	}
	m.pass(to, to, pos.Seq, t)
	m.advance(standAt(k.answer))
}

// missing counts the events from one to another index that were not applied, and tells the first.
func (m *member) missing(from, to int) (n, first int) {
	for i := from; i <= to; i++ {
		if m.is(i, applied) {
			continue
		}
		if n == 0 {
			first = i
		}
		n++
	}
	return n, first
}

func (m *member) advance(to *stand) {
	if to.seq > m.at.seq {
		m.at = to
	}
}

// reset is an answer with recovered false: the client goes on from the position that it gives.
func (m *member) reset(r Record, asked *wire.Position, v Violation) {
	c := m.checker
	count := c.report.Resets[r.Text]
	if count == nil {
		count = &Resets{}
		c.report.Resets[r.Text] = count
	}
	count.Count++
	to := standAt(r)
	m.resume(asked, r.Time)
	if why := m.vain(r); why != "" && !m.rejoined {
		count.Vain++
		c.fail(Truthful, v, "not recovered (%s), %s", r.Text, why)
	}
	through := m.room.upTo(to.seq, to.id)
	other := isOtherHistory(r, m.at.epoch)
	from := m.last + 1
	if other {
		from = 0 // where it stood says nothing of what the stream has now
	}
	for i := from; i <= through; i++ {
		m.mark(i, told)
	}
	if other {
		m.restart()
		m.at, m.last = to, through
		return
	}
	m.advance(to)
	m.last = max(m.last, through)
}

// isOtherHistory reports whether sequences from before a reset mean nothing any more.
func isOtherHistory(r Record, epoch string) bool {
	reason := continuity.Reason(r.Text)
	return r.Position.Epoch != epoch || reason == continuity.ReasonEpoch || reason == continuity.ReasonBehind
}

// vain says why a reset has no cause, or "".
func (m *member) vain(r Record) string {
	c := m.checker
	if c.run.faultless() {
		return "and no fault took effect in this run"
	}
	from := append([]stand{*m.at}, m.tried...)
	from = slices.DeleteFunc(from, func(pos stand) bool { return pos != *m.at && r.Time-pos.time > int64(unanswered) })
	switch reason := continuity.Reason(r.Text); reason {
	case continuity.ReasonTruncated:
		through := m.room.upTo(r.Position.Seq, r.Position.ID)
		followed := 0
		for _, pos := range from {
			followed = max(followed, through-m.room.upTo(pos.seq, pos.id))
		}
		if followed+m.room.lost >= c.opts.History { // those were there, perhaps
			return ""
		}
		return fmt.Sprintf("though only %d events followed its position at %d and a room keeps %d", followed, from[len(from)-1].seq, c.opts.History)
	case continuity.ReasonExpired:
		age := time.Duration(0)
		for _, pos := range from {
			age = max(age, time.Duration(r.Time-pos.ts*int64(time.Millisecond)))
		}
		if slack := min(time.Minute, c.opts.MaxAge/10); c.opts.MaxAge > 0 && age >= c.opts.MaxAge-slack {
			return ""
		}
		return fmt.Sprintf("though its position is %s old and events are kept for %s", brief(age), brief(c.opts.MaxAge))
	case continuity.ReasonEpoch, continuity.ReasonBehind:
		nats := c.report.NATS
		if nats.Lost+nats.Elsewhere > 0 || c.stream.rewritten(m.at.seq, m.at.time) ||
			slices.ContainsFunc(from, func(pos stand) bool { return m.contradicts(pos.seq, pos.id) }) {
			return ""
		}
		return "though the stream has lost nothing"
	case continuity.ReasonPosition:
		return "though it had a good position"
	default:
		return "which is no reason"
	}
}
