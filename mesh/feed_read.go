package mesh

import (
	"context"
	"log/slog"
	"time"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

const (
	batchMessages = 256 // messages in one page of a history
	batchBytes    = 4 << 20
	roomTimeout   = 30 * time.Second // for one attempt to read a history, of however many pages
)

// history is what was read of a room: every message from a sequence on.
type history struct {
	messages []continuity.Message
	first    continuity.FirstStored // zero when the messages prove themselves
	info     *StreamInfo            // where first is from
	rejected []rejected
}

// rejected is a stored event that is not fit to be delivered.
type rejected struct {
	stored Stored
	cause  error
}

// fetch reads a room's history for the clients that wait for it; there is one such read per room.
func (f *Feed) fetch(room *feedRoom, from uint64) {
	room.fetching = true
	f.metrics.fetches.Inc()
	f.read(room, from, func(h history, through uint64, current bool) {
		room.fetching = false
		if !current {
			f.settle(room, nil)
			return
		}
		read := room.state.Fetched(from, through, h.messages, h.first)
		f.countRing(room)
		f.settle(room, &read)
	})
}

// fetchPart reads some of what members missed that catch up from a sequence; there is one such read for
// all who are there.
func (f *Feed) fetchPart(room *feedRoom, from uint64, maxBytes int) {
	if _, under := room.parts[from]; under {
		return
	}
	if room.parts == nil {
		room.parts = make(map[uint64]struct{})
	}
	room.parts[from] = struct{}{}
	f.metrics.fetches.Inc()
	name, epoch := room.state.Name, f.rules.Limits.Epoch
	room.busy++
	f.jobs = append(f.jobs, func(ctx context.Context) func() {
		var part []continuity.Message
		err := f.retry(ctx, roomTimeout, func(ctx context.Context) error {
			stored, _, _, err := f.reader.batch(ctx, name.Subject(), from, batchMessages, maxBytes)
			part = make([]continuity.Message, 0, len(stored))
			for _, m := range stored {
				msg, _ := f.decode(name, m) // what is not fit for browsers was quarantined when it came
				part = append(part, msg)
			}
			return err
		}, f.cannotRead(name), func() {})
		if err != nil {
			return nil // ctx ended
		}
		return func() {
			room.busy--
			delete(room.parts, from)
			if epoch != f.rules.Limits.Epoch {
				part = nil // it may be of another stream
			}
			f.settlePart(room, from, part)
		}
	})
}

// settlePart answers those who catch up from a sequence with what was read from there.
func (f *Feed) settlePart(room *feedRoom, from uint64, part []continuity.Message) {
	waiting := room.waiting[:0]
	for _, w := range room.waiting {
		if w.takesPart() && w.join.Since.Seq == from {
			if a, ok := room.state.Part(*w.join.Since, part); ok {
				f.answer(room, w, &a)
				continue
			}
			w.whole = true
		}
		waiting = append(waiting, w)
	}
	clear(room.waiting[len(waiting):])
	room.waiting = waiting
	f.settle(room, nil)
}

// cannotRead tells that a room cannot be read.
func (f *Feed) cannotRead(room subjects.Room) func(cause error) {
	return func(cause error) {
		if f.Ready() == nil { // otherwise it is one of many
			f.log.Warn("a room cannot be read; trying on", slog.String("room", room.String()), errAttr(cause))
		}
	}
}

// repair reads what a room is missing.
func (f *Feed) repair(room *feedRoom) {
	from := room.state.Head()
	f.metrics.repairs.Inc()
	f.log.Debug("repairing", slog.String("room", room.state.Name.String()),
		slog.Uint64("from", from), slog.Uint64("through", room.state.Wanted()))
	f.read(room, from, func(h history, through uint64, current bool) {
		if !current {
			f.repair(room)
			return
		}
		for _, r := range h.rejected {
			if r.stored.Seq > from {
				f.quarantine(room, r.stored, r.cause)
			}
		}
		room.state.Repaired(h.messages, through, h.first, time.Now().UnixMilli(), &f.effects)
		f.apply(room)
		if room.recheck {
			room.recheck = false
			f.queue(room)
		}
		f.settle(room, nil)
	})
}

// read reads a room from a sequence on and gives what it found to done, on the loop. current is false
// when it may be from another stream than the one followed now.
func (f *Feed) read(room *feedRoom, from uint64, done func(h history, through uint64, current bool)) {
	name, through, epoch := room.state.Name, room.state.Wanted(), f.rules.Limits.Epoch
	room.busy++
	f.jobs = append(f.jobs, func(ctx context.Context) func() {
		h, err := f.history(ctx, name, from, through)
		if err != nil {
			return nil // ctx ended
		}
		return func() {
			room.busy--
			if h.info != nil {
				f.follow(*h.info)
			}
			done(h, through, epoch == f.rules.Limits.Epoch)
		}
	})
}

// history reads every message of a room from a sequence on. It returns when the read reached
// through, or when it is shown that the stream has nothing newer; it tries until ctx ends.
func (f *Feed) history(ctx context.Context, room subjects.Room, from, through uint64) (h history, err error) {
	err = f.retry(ctx, roomTimeout, func(ctx context.Context) error {
		h, err = f.tryHistory(ctx, room, from, through)
		return err
	}, f.cannotRead(room), func() {})
	return h, err
}

func (f *Feed) tryHistory(ctx context.Context, room subjects.Room, from, through uint64) (history, error) {
	var h history
	var newest uint64
	pages := 0
	for next := from; ; next = newest + 1 {
		stored, pending, last, err := f.reader.batch(ctx, room.Subject(), next, batchMessages, batchBytes)
		if err != nil {
			return history{}, err
		}
		for _, m := range stored {
			msg, cause := f.decode(room, m)
			if cause != nil {
				h.rejected = append(h.rejected, rejected{m, cause})
			}
			h.messages = append(h.messages, msg)
		}
		newest = max(newest, last)
		if pages++; pending == 0 || len(stored) == 0 {
			break
		}
	}
	if newest < through {
		snap, err := f.trySnapshot(ctx, []subjects.Room{room})
		if err != nil {
			return history{}, err
		}
		if last := snap.last[room.Subject()]; last != nil && last.Seq > newest {
			return history{}, errStale
		}
	}
	anchored := len(h.messages) > 0 && h.messages[0].Seq == from
	if pages > 1 || !anchored || from == 1 {
		// The proof will ask what the stream as a whole still has. From 1 on reads a room that lost
		// continuity, maybe because the stream was recreated: it has to go on in the right epoch.
		info, err := FetchStreamInfo(ctx, f.control, f.cfg.Stream.Name)
		if err != nil {
			return history{}, err
		}
		h.info = &info
		h.first = continuity.FirstStored{Seq: info.FirstSeq, Time: info.FirstTime.UnixMilli()}
	}
	return h, nil
}

// wasReported tells whether an event is in quarantine already, and remembers that it is from now on.
func (r *feedRoom) wasReported(seq uint64) bool {
	if _, known := r.reported[seq]; known {
		return true
	}
	if r.reported == nil {
		r.reported = make(map[uint64]struct{})
	}
	r.reported[seq] = struct{}{}
	return false
}
