package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

const (
	roundRooms   = maxMultiSubjects - 1 // one place is the fence's
	roundBytes   = 256 << 10            // of subjects in one request
	batchMessage = 256                  // messages in one page of a history
	batchBytes   = 4 << 20
	readTimeout  = 5 * time.Second
	minPause     = 5 * time.Millisecond // between reads that were stale or failed
	maxPause     = time.Second
)

// roundState is the work of comparing rooms with the stream. One round is under way at a time and
// serves all rooms that were queued when it began: a burst of joins costs one fence and one read.
type roundState struct {
	next    []*feedRoom
	id      uint64
	running bool
}

// snapshot is what one round found: the newest message of each room at a fence.
type snapshot struct {
	fence uint64
	last  map[string]*continuity.Message // by stream subject; absent: the room is empty
}

// queue asks for a room to be in the next round.
func (f *Feed) queue(room *feedRoom) {
	if !room.queued {
		room.queued = true
		f.round.next = append(f.round.next, room)
	}
}

// auditAll queues every room, and looks whether the stream is still the same.
func (f *Feed) auditAll() {
	f.start(f.refreshInfo)
	for _, room := range f.rooms {
		f.queue(room)
	}
}

func (f *Feed) startRound() {
	if f.round.running || len(f.round.next) == 0 {
		return
	}
	rooms, bytes := 0, 0
	for rooms < len(f.round.next) && rooms < roundRooms && bytes < roundBytes {
		bytes += len(f.round.next[rooms].stored)
		rooms++
	}
	batch := f.round.next[:rooms:rooms]
	if f.round.next = f.round.next[rooms:]; len(f.round.next) == 0 {
		f.round.next = nil
	}
	f.round.id++
	f.round.running = true
	id := f.round.id
	names := make([]subjects.Room, 0, len(batch))
	for _, room := range batch {
		room.queued = false
		names = append(names, room.state.Name)
		for i := range room.waiting {
			if w := &room.waiting[i]; w.wantsAudit && w.round == 0 {
				w.round = id
			}
		}
	}
	f.start(func(ctx context.Context) {
		snap, err := f.snapshot(ctx, names)
		if err != nil {
			return // ctx ended
		}
		f.post(ctx, func() {
			f.round.running = false
			f.metrics.rounds.Inc()
			for _, room := range batch {
				f.onSnapshot(room, snap, id)
			}
		})
	})
}

func (f *Feed) onSnapshot(room *feedRoom, snap snapshot, id uint64) {
	now := time.Now().UnixMilli()
	last := snap.last[room.stored]
	repairing := room.state.Repairing()
	if room.state.Synced() {
		room.state.Audit(last, snap.fence, now, &f.effects)
	} else {
		room.state.Sync(last, snap.fence, now, &f.effects)
	}
	f.apply(room)
	for i := range room.waiting {
		switch w := &room.waiting[i]; {
		case w.round != id:
		case repairing: // the comparison was not made
			w.round = 0
			f.queue(room)
		default:
			w.audited = true
		}
	}
	f.settle(room, nil)
}

// snapshot reads the newest message of each room and shows that the answer is not older than a
// fence set before the read. It tries until ctx ends.
func (f *Feed) snapshot(ctx context.Context, rooms []subjects.Room) (snap snapshot, err error) {
	err = f.retry(ctx, "compare rooms with the stream", func(ctx context.Context) error {
		snap, err = f.trySnapshot(ctx, rooms)
		return err
	})
	return snap, err
}

func (f *Feed) trySnapshot(ctx context.Context, rooms []subjects.Room) (snapshot, error) {
	fence, err := f.fence(ctx)
	if err != nil {
		return snapshot{}, err
	}
	bySubject := make(map[string]subjects.Room, len(rooms))
	// The fence's subject is always asked for: an answer without a message would say nothing about
	// its freshness.
	names := append(make([]string, 0, len(rooms)+1), subjects.Fence(f.cfg.Edge))
	for _, room := range rooms {
		subject := room.Subject()
		bySubject[subject] = room
		names = append(names, subject)
	}
	stored, upTo, err := f.reader.multiLast(ctx, names, 0)
	if err != nil {
		return snapshot{}, err
	}
	if upTo < fence {
		return snapshot{}, errStale
	}
	snap := snapshot{fence: fence, last: make(map[string]*continuity.Message, len(stored))}
	for _, m := range stored {
		if m.Subject == "" && len(rooms) > 1 {
			return f.snapshotSingly(ctx, rooms) // a header that hides whose message it is
		}
		if m.Subject == "" && m.Seq != fence {
			m.Subject = rooms[0].Subject()
		}
		if room, ok := bySubject[m.Subject]; ok {
			msg := f.message(room, m)
			snap.last[m.Subject] = &msg
		}
	}
	return snap, nil
}

// snapshotSingly is the slow way for rooms whose newest message cannot be told apart in one answer.
func (f *Feed) snapshotSingly(ctx context.Context, rooms []subjects.Room) (snapshot, error) {
	all := snapshot{last: make(map[string]*continuity.Message, len(rooms))}
	for _, room := range rooms {
		one, err := f.trySnapshot(ctx, []subjects.Room{room})
		if err != nil {
			return snapshot{}, err
		}
		if all.fence == 0 {
			all.fence = one.fence // the lowest holds for all
		}
		for subject, m := range one.last {
			all.last[subject] = m
		}
	}
	return all, nil
}

var errStale = errors.New("mesh: replica is behind the fence")

// fence stores a marker and returns its sequence: what this connection subscribed to before it is
// known to the stream, and whatever has a lower sequence is committed.
func (f *Feed) fence(ctx context.Context) (uint64, error) {
	return f.storeMarker(ctx, subjects.Fence(f.cfg.Edge))
}

func (f *Feed) storeMarker(ctx context.Context, subject string) (uint64, error) {
	reply, err := f.live.RequestWithContext(ctx, subject, nil)
	if err != nil {
		return 0, fmt.Errorf("store %s: %w", subject, wrapConn(err))
	}
	var ack struct {
		Seq   uint64    `json:"seq"`
		Error *apiError `json:"error"`
	}
	switch err := json.Unmarshal(reply.Data, &ack); {
	case err != nil:
		return 0, fmt.Errorf("store %s: ack: %w", subject, err)
	case ack.Error != nil:
		return 0, fmt.Errorf("store %s: %w", subject, ack.Error)
	case ack.Seq == 0:
		return 0, fmt.Errorf("store %s: ack without a sequence", subject)
	}
	return ack.Seq, nil
}

// markInterval is how often an edge leaves a mark in the stream, so that the oldest message of the
// stream is younger than MaxAge only when the size limit bit: that is how the proof can tell. Marks
// are kept as long as events, hence at most half as many in that time as a room keeps.
func (f *Feed) markInterval() time.Duration {
	const hour = time.Hour
	l := f.rules.Limits
	if l.MaxAge <= 0 {
		return hour
	}
	return max(time.Duration(l.MaxAge)*time.Millisecond/time.Duration(max(2, l.History/2)), time.Second)
}

func (f *Feed) publishMark(ctx context.Context) {
	err := f.retry(ctx, "leave a mark in the stream", func(ctx context.Context) error {
		_, err := f.storeMarker(ctx, subjects.Mark(f.cfg.Edge))
		return err
	})
	if err != nil {
		f.log.Debug("mark", slog.Any("error", err))
	}
}

// refreshInfo looks whether the stream was recreated or its limits were changed.
func (f *Feed) refreshInfo(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	info, err := FetchStreamInfo(ctx, f.control, f.cfg.Stream.Name)
	if err != nil {
		f.log.Debug("stream info", slog.Any("error", err))
		return
	}
	f.post(ctx, func() {
		if info.Epoch != f.rules.Limits.Epoch {
			f.log.Warn("the stream was recreated: every room starts anew", slog.String("epoch", info.Epoch))
			for _, room := range f.rooms {
				f.queue(room)
			}
		}
		f.follow(info)
	})
}

// fetch reads a room's history for the clients that wait for it; there is one such read per room.
func (f *Feed) fetch(room *feedRoom, from uint64) {
	name, through := room.state.Name, room.state.Wanted()
	f.metrics.fetches.Inc()
	f.start(func(ctx context.Context) {
		messages, first, err := f.history(ctx, name, from, through)
		if err != nil {
			return // ctx ended
		}
		f.post(ctx, func() {
			room.fetching = false
			h := room.state.Fetched(from, through, messages, first)
			f.countRing(room)
			f.settle(room, &h)
		})
	})
}

// repair reads what a room is missing.
func (f *Feed) repair(room *feedRoom) {
	name, from, through := room.state.Name, room.state.Head(), room.state.Wanted()
	f.metrics.repairs.Inc()
	f.log.Debug("repairing", slog.String("room", name.String()), slog.Uint64("from", from), slog.Uint64("through", through))
	f.start(func(ctx context.Context) {
		messages, first, err := f.history(ctx, name, from, through)
		if err != nil {
			return // ctx ended
		}
		f.post(ctx, func() {
			room.repairing = false
			room.state.Repaired(messages, through, first, time.Now().UnixMilli(), &f.effects)
			f.apply(room)
			f.settle(room, nil)
		})
	})
}

// history reads every message of a room from a sequence on. It returns when the read reached
// through, or when it is shown that the stream has nothing newer; it tries until ctx ends.
func (f *Feed) history(ctx context.Context, room subjects.Room, from, through uint64) (messages []continuity.Message, first continuity.FirstStored, err error) {
	err = f.retry(ctx, "read a room", func(ctx context.Context) error {
		messages, first, err = f.tryHistory(ctx, room, from, through)
		return err
	})
	return messages, first, err
}

func (f *Feed) tryHistory(ctx context.Context, room subjects.Room, from, through uint64) ([]continuity.Message, continuity.FirstStored, error) {
	var first continuity.FirstStored
	var messages []continuity.Message
	var newest uint64
	for next := from; ; next = newest + 1 {
		stored, pending, last, err := f.reader.batch(ctx, room.Subject(), next, batchMessage, batchBytes)
		if err != nil {
			return nil, first, err
		}
		for _, m := range stored {
			messages = append(messages, f.message(room, m))
		}
		if len(stored) > 0 {
			newest = last
		}
		if pending == 0 || len(stored) == 0 {
			break
		}
	}
	if newest < through {
		snap, err := f.trySnapshot(ctx, []subjects.Room{room})
		if err != nil {
			return nil, first, err
		}
		if last := snap.last[room.Subject()]; last != nil && last.Seq > newest {
			return nil, first, errStale
		}
	}
	if len(messages) == 0 || messages[0].Seq != from {
		// Not anchored: the proof will ask what the stream as a whole still has.
		info, err := FetchStreamInfo(ctx, f.control, f.cfg.Stream.Name)
		if err != nil {
			return nil, first, err
		}
		first = continuity.FirstStored{Seq: info.FirstSeq, Time: info.FirstTime.UnixMilli()}
	}
	return messages, first, nil
}

// retry runs try until it succeeds or ctx ends, with growing pauses. A replica that is merely behind
// is asked again soon and quietly.
func (f *Feed) retry(ctx context.Context, what string, try func(context.Context) error) error {
	pause := minPause
	for failed := false; ; {
		attempt, cancel := context.WithTimeout(ctx, readTimeout)
		err := try(attempt)
		cancel()
		switch {
		case err == nil:
			if failed {
				f.log.Info("the stream answers again", slog.String("what", what))
				f.recovered()
			}
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.Is(err, errStale) && !failed && pause > minPause:
			failed = true
			f.setNotReady(fmt.Sprintf("the stream does not answer: %v", err))
			f.log.Warn("the stream does not answer; trying on", slog.String("what", what), slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
			pause = min(2*pause, maxPause)
		}
	}
}

// recovered makes the feed ready again once both connections stand.
func (f *Feed) recovered() {
	if f.live.IsConnected() && f.control.IsConnected() {
		f.notReady.Store(nil)
	}
}

// quarantine keeps an event that is not fit for browsers where an operator can look at it.
func (f *Feed) quarantine(room subjects.Room, seq uint64, header nats.Header, data []byte, cause error) {
	reason := "invalid"
	if invalid := (*subjects.InvalidEventError)(nil); errors.As(cause, &invalid) {
		reason = invalid.Reason
	}
	f.metrics.quarantined.WithLabelValues(reason).Inc()
	f.log.Debug("event quarantined", slog.String("room", room.String()), slog.Uint64("seq", seq), slog.Any("error", cause))
	m := nats.NewMsg(room.Quarantine())
	for key, values := range header {
		m.Header[key] = values
	}
	m.Header.Set("Tidings-Reason", reason)
	m.Header.Set("Tidings-Detail", clip(cause.Error(), 512))
	m.Header.Set("Tidings-Edge", f.cfg.Edge)
	m.Data = data
	if err := f.control.PublishMsg(m); err != nil {
		f.log.Debug("quarantine", slog.String("room", room.String()), slog.Any("error", err))
	}
}
