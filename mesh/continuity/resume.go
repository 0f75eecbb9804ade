package continuity

import (
	"cmp"
	"slices"
)

// Answer is what a client that joins is told, together with what it missed.
type Answer struct {
	// Position is where the client stands after the replay.
	Position Position
	// First is true for a client that came without a position: it missed nothing.
	First bool
	// Reason is empty when continuity was proved.
	Reason Reason
	// Replay are the missed events in order; only entries with a frame. The slice is the caller's.
	Replay []Entry
	// Partial says that there may be more after Position; see [Room.Part].
	Partial bool
}

// Need is what the owner must do before a client can be answered.
type Need uint8

const (
	// NeedNothing: the answer is there.
	NeedNothing Need = iota
	// NeedWait: the room is busy; ask again after its next step.
	NeedWait
	// NeedAudit: the client is ahead of this edge; compare with the stream at a new fence
	// ([Room.Audit]) and ask again.
	NeedAudit
	// NeedFetch: the position is older than the ring; read the room from it, inclusive, and call
	// [Room.Fetched].
	NeedFetch
)

// Resume answers a client that joins at a position, or without one (nil), from what is at hand.
func (r *Room) Resume(pos *Position) (Answer, Need) {
	switch {
	case r.mode == syncing, r.lost != "":
		return Answer{}, NeedWait
	case pos == nil:
		return Answer{Position: r.Position(), First: true}, NeedNothing
	case pos.Seq == 0:
		return r.refuse(ReasonPosition), NeedNothing
	case pos.Epoch != r.epoch:
		return r.refuse(ReasonEpoch), NeedNothing
	case pos.Seq > r.head.seq && pos.Seq > r.fence:
		if r.mode == repairing {
			return Answer{}, NeedWait
		}
		return Answer{}, NeedAudit
	case pos.Seq > r.head.seq:
		// The stream has nothing of this room between head and fence. A client that stands at a
		// fence is right; one that names an event there has seen what the stream lost.
		if pos.ID != "" {
			return r.refuse(ReasonEpoch), NeedNothing
		}
		return Answer{Position: r.Position()}, NeedNothing
	case !r.ring.covers(pos.Seq):
		return Answer{}, NeedFetch
	}
	if id, found := r.ring.idAt(pos.Seq); pos.ID != "" && (!found || id != pos.ID) {
		return r.refuse(ReasonEpoch), NeedNothing
	}
	return Answer{Position: r.Position(), Replay: framed(nil, r.ring.after(pos.Seq))}, NeedNothing
}

// Beyond answers a client that is still ahead of the room after an audit: it has seen what is not,
// or not any more, in the stream.
func (r *Room) Beyond() Answer { return r.refuse(ReasonBehind) }

func (r *Room) refuse(reason Reason) Answer {
	return Answer{Position: r.Position(), Reason: reason}
}

// History is one fresh read of a room's stored messages, from a sequence on and through the newest.
// Its frames are built once and serve every client that waited for it.
type History struct {
	epoch         string
	from, through uint64 // through: or the newest message, whichever is higher
	messages      []Message
	entries       []Entry
	first         FirstStored
}

// Fetched takes what was read from a sequence on (inclusive), and keeps what fits in the ring.
// through is what [Room.Wanted] was when the read began: nothing up to it is missing that the stream
// still has. first is read after the messages; it may be zero when one page brought them all and the
// first of them is at from. The history keeps messages.
func (r *Room) Fetched(from, through uint64, messages []Message, first FirstStored) History {
	h := History{
		epoch: r.epoch, from: from, through: through,
		messages: messages, entries: r.encode(messages), first: first,
	}
	if n := len(messages); n > 0 {
		h.through = max(h.through, messages[n-1].Seq)
	}
	// A read of several pages can be overtaken by the removal of what it has not come to. Then it went
	// on at the oldest of as many as a room keeps, or at what the stream still has.
	i, _ := slices.BinarySearchFunc(h.entries, first.Seq, bySeq)
	if keeps := r.cfg.Limits.History; keeps > 0 {
		i = max(i, len(h.entries)-keeps)
	}
	r.ring.prepend(h.entries[i:], r.cfg.RingEntries, r.cfg.RingBytes)
	return h
}

// encode makes entries of messages that were read.
func (r *Room) encode(messages []Message) []Entry {
	entries := make([]Entry, 0, len(messages))
	var prev uint64
	for _, m := range messages {
		e := Entry{Seq: m.Seq, Prev: prev, Time: m.Time, ID: m.ID}
		if m.Event != nil {
			e.Frame = r.cfg.Encode(r.Name, m, prev)
			prev = m.Seq
		}
		entries = append(entries, e)
	}
	return entries
}

// Part answers a client that catches up, and takes little at a time, with some of the messages that follow
// its position: all that the stream has from there on up to the last of them. As the first one is at the
// position, nothing after it was removed. ok is false when it is not there, or when nothing follows.
func (r *Room) Part(pos Position, messages []Message) (a Answer, ok bool) {
	if r.mode == syncing || r.lost != "" || pos.Epoch != r.epoch || len(messages) < 2 ||
		messages[0].Seq != pos.Seq || pos.ID != "" && messages[0].ID != pos.ID {
		return Answer{}, false
	}
	last := messages[len(messages)-1]
	return Answer{
		Position: Position{Epoch: r.epoch, Seq: last.Seq, ID: last.ID, TS: last.Time},
		Replay:   framed(nil, r.encode(messages)[1:]), Partial: true,
	}, true
}

// ResumeFrom answers a client from a history that was read for it, and says NeedFetch when the
// history does not reach back far enough or the ring has moved on beyond it.
func (r *Room) ResumeFrom(h History, pos *Position, now int64) (Answer, Need) {
	if a, need := r.Resume(pos); need != NeedFetch {
		return a, need
	}
	base := r.ring.base
	if h.epoch != r.epoch || pos.Seq < h.from || base.seq > h.through {
		return Answer{}, NeedFetch
	}
	if reason := r.cfg.Limits.prove(*pos, h.messages, h.first, now); reason != "" {
		return r.refuse(reason), NeedNothing
	}
	// The history serves up to the ring's base, the ring from there on: what the history has beyond
	// it is live now or will be.
	from, _ := slices.BinarySearchFunc(h.entries, pos.Seq+1, bySeq)
	to, found := slices.BinarySearchFunc(h.entries, base.seq, bySeq)
	switch {
	case found && h.entries[to].ID == base.id:
		to++
	case found, !base.isFence():
		return r.refuse(ReasonEpoch), NeedNothing // not the history of the ring
	}
	replay := framed(framed(nil, h.entries[from:to]), r.ring.entries)
	return Answer{Position: r.Position(), Replay: replay}, NeedNothing
}

// prove decides whether everything of the room that was stored after pos is in messages: all that
// the stream has from a sequence at or before pos on, through the newest. It returns "" or why not.
//
// Age and size remove the oldest messages of the whole stream, the number kept the oldest of a room.
// So nothing was removed after a message that is still there; nor was it while fewer are there than
// a room keeps and the stream's oldest is not after pos, or is older than pos was still valid.
func (l Limits) prove(pos Position, messages []Message, first FirstStored, now int64) Reason {
	n, found := slices.BinarySearchFunc(messages, pos.Seq, func(m Message, seq uint64) int { return cmp.Compare(m.Seq, seq) })
	if found {
		n++
	}
	older, newer := messages[:n], messages[n:]
	switch {
	case n > 0 && pos.ID != "" && (!found || older[n-1].ID != pos.ID):
		return ReasonEpoch // older messages are there, but not the one the client names
	case l.History > 0 && len(newer) >= l.History:
		return ReasonTruncated // even if anchored: a read of several pages can be overtaken
	case n > 0 && first.Seq <= pos.Seq:
		return ""
	case pos.TS > now+l.slack():
		return ReasonPosition
	case l.mayHaveAged(pos.TS, now):
		return ReasonExpired
	case first.Seq <= pos.Seq && pos.ID != "":
		return ReasonEpoch // nothing can have removed the message that the client names
	case first.Seq <= pos.Seq:
		return "" // it names none
	case first.Time <= 0, first.Time > pos.TS-l.slack():
		return ReasonTruncated // the size limit removed messages stored after the position was valid
	case len(newer) > 0 && newer[0].Time < pos.TS-l.slack():
		return ReasonPosition // it cannot have been the newest then
	default:
		return ""
	}
}

// mayHaveAged reports whether a message stored at t may have been removed for its age.
func (l Limits) mayHaveAged(t, now int64) bool {
	return l.MaxAge > 0 && t <= now-l.MaxAge+l.slack()
}

// framed appends the entries that are sent to clients.
func framed(dst, entries []Entry) []Entry {
	for _, e := range entries {
		if e.Frame != nil {
			dst = append(dst, e)
		}
	}
	return dst
}
