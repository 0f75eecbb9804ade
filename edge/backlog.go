package edge

import "github.com/tidingsmesh/tidings/mesh/continuity"

// backlog is what one slow client has not been sent yet: references to shared frames, in order. It
// exists only while there is something in it.
type backlog struct {
	items []queued
	bytes int
}

// queued is one buffer of a backlog.
type queued struct {
	buf []byte
	// to is the membership whose events buf holds, nil for frames that are not of a room's log and
	// can therefore not be read again. from and through are where the member stands before and
	// after it, and at is when its first event was stored, in Unix milliseconds: until then nothing
	// in the room was newer than from.
	to            *membership
	from, through uint64
	at            int64
	// begun is true when a part of it was sent: it cannot be taken back.
	begun bool
}

func (b *backlog) push(q queued) {
	b.items = append(b.items, q)
	b.bytes += len(q.buf)
}

// sent drops n bytes from the front item, and the item when it is finished.
func (b *backlog) sent(n int) {
	front := &b.items[0]
	b.bytes -= n
	if n < len(front.buf) {
		front.buf = front.buf[n:]
		front.begun = true
		return
	}
	b.items[0] = queued{}
	b.items = b.items[1:]
}

// waiting is the number of bytes that were not begun. What was begun must be finished, and is bounded
// by a batch or one event.
func (b *backlog) waiting() int {
	if len(b.items) > 0 && b.items[0].begun {
		return b.bytes - len(b.items[0].buf)
	}
	return b.bytes
}

// shed takes the events of one member out, or of all (nil), except what was begun. It returns the
// bytes it freed.
func (b *backlog) shed(of *membership) int {
	before := b.bytes
	kept := b.items[:0]
	for _, q := range b.items {
		if q.to != nil && !q.begun && (of == nil || q.to == of) {
			b.bytes -= len(q.buf)
			continue
		}
		kept = append(kept, q)
	}
	clear(b.items[len(kept):])
	b.items = kept
	return before - b.bytes
}

// batchBytes bounds what is concatenated for one write. A socket takes hardly more at a time (see
// notSentLowat), and what a slow client has begun to be sent cannot be taken back.
const batchBytes = 16 << 10

// batch returns the frames of as many entries as go into one write, at least one, and their number.
func batch(entries []continuity.Entry) (buf []byte, n int) {
	size := len(entries[0].Frame)
	for n = 1; n < len(entries) && size+len(entries[n].Frame) <= batchBytes; n++ {
		size += len(entries[n].Frame)
	}
	if n == 1 {
		return entries[0].Frame, 1
	}
	buf = make([]byte, 0, size)
	for i := range entries[:n] {
		buf = append(buf, entries[i].Frame...)
	}
	return buf, n
}
