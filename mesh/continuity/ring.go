package continuity

import "slices"

// Entry is an event ready to be sent: the frame is shared by all receivers and never changed.
type Entry struct {
	Seq uint64
	// Prev is the sequence of the entry sent before this one in the room, or where the edge began
	// to follow it; 0 when that is not known. A client at a position lower than Prev has a gap.
	Prev uint64
	// Time is when the stream stored the event, in Unix milliseconds.
	Time int64
	ID   string
	// Frame is what goes on the wire; nil for a message that was quarantined, which counts for
	// continuity but is never sent.
	Frame []byte
}

// entryOverhead is what an Entry costs beside its frame, roughly, in bytes.
const entryOverhead = 96

func (e Entry) cost() int { return len(e.Frame) + len(e.ID) + entryOverhead }

// ring keeps the newest entries of a room: everything the room got after base, with nothing missing
// in between.
type ring struct {
	base    mark
	entries []Entry
	bytes   int
}

// mark is a point in a room's history: a message, or a fence at which the room was empty.
type mark struct {
	seq  uint64
	id   string // empty: a fence
	time int64  // when the message was stored, or the fence taken, in Unix milliseconds
}

func markOf(m Message) mark { return mark{m.Seq, m.ID, m.Time} }

func (m mark) isFence() bool { return m.id == "" }

func (r *ring) reset(base mark) { *r = ring{base: base} }

// covers reports whether the ring knows all that came after seq.
func (r *ring) covers(seq uint64) bool { return seq >= r.base.seq }

// push appends the newest entry and drops the oldest beyond the bounds.
func (r *ring) push(e Entry, maxEntries, maxBytes int) {
	r.entries = append(r.entries, e)
	r.bytes += e.cost()
	r.trim(maxEntries, maxBytes)
}

func (r *ring) trim(maxEntries, maxBytes int) {
	drop, bytes := 0, r.bytes
	for drop < len(r.entries) && (len(r.entries)-drop > maxEntries || bytes > maxBytes) {
		bytes -= r.entries[drop].cost()
		drop++
	}
	if drop == 0 {
		return
	}
	last := r.entries[drop-1]
	r.base, r.bytes = mark{last.Seq, last.ID, last.Time}, bytes
	// Slide instead of reslicing when half is gone, so that dropped frames can be collected and the
	// array is reused rather than crept along.
	clear(r.entries[:drop])
	if rest := r.entries[drop:]; drop >= len(rest) {
		r.entries = append(r.entries[:0], rest...)
		clear(r.entries[len(rest):cap(r.entries)])
	} else {
		r.entries = rest
	}
}

// prepend puts older history before the ring, if it is the history of the ring's base and reaches up
// to it.
func (r *ring) prepend(older []Entry, maxEntries, maxBytes int) {
	i, found := slices.BinarySearchFunc(older, r.base.seq, bySeq)
	if !found || older[i].ID != r.base.id || i == 0 {
		return
	}
	// The first one is known to exist but not what came before it, so it becomes the base.
	all := make([]Entry, 0, i+len(r.entries))
	all = append(append(all, older[1:i+1]...), r.entries...)
	r.base, r.entries, r.bytes = mark{older[0].Seq, older[0].ID, older[0].Time}, all, 0
	for _, e := range all {
		r.bytes += e.cost()
	}
	r.trim(maxEntries, maxBytes)
}

// find returns where the entry with a sequence is, or would be.
func (r *ring) find(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(r.entries, seq, bySeq)
}

// idAt returns the id of the message at seq, if the ring knows it.
func (r *ring) idAt(seq uint64) (string, bool) {
	if seq == r.base.seq {
		return r.base.id, !r.base.isFence()
	}
	if i, found := r.find(seq); found {
		return r.entries[i].ID, true
	}
	return "", false
}

// after returns the entries with a sequence higher than seq; they belong to the ring.
func (r *ring) after(seq uint64) []Entry {
	i, _ := r.find(seq + 1)
	return r.entries[i:]
}

func bySeq(e Entry, seq uint64) int {
	switch {
	case e.Seq < seq:
		return -1
	case e.Seq > seq:
		return 1
	default:
		return 0
	}
}
