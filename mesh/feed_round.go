package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

const (
	roundRooms = maxMultiSubjects - 1 // one place is the fence's
	roundBytes = 256 << 10            // of subjects in one request
)

// roundState is the work of comparing rooms with the stream. One round is under way at a time and
// serves all rooms that were queued when it began: a burst of joins costs one fence and one read.
type roundState struct {
	// now are rooms that somebody waits for; later fill up what these leave. A room can be in both,
	// and stays in one when it was taken from the other: what is not queued any more is passed over.
	now, later []*feedRoom
	id         uint64
	running    bool
	fence      uint64 // of the last round
}

// snapshot is what one round found: the newest message of each room at a fence.
type snapshot struct {
	fence uint64
	last  map[string]*continuity.Message // by stream subject; absent: the room is empty
	info  *StreamInfo                    // set when the stream seems to be another
}

// queue asks for a room to be in the next round.
func (f *Feed) queue(room *feedRoom) {
	if room.queued != queuedNow {
		room.queued = queuedNow
		f.round.now = append(f.round.now, room)
	}
}

// auditAll queues every room, behind those that somebody waits for, and looks whether the stream is
// still the same.
func (f *Feed) auditAll() {
	f.refreshInfo()
	for _, room := range f.rooms {
		f.queueLater(room)
	}
}

// queueLater is queue for a room that nobody waits for.
func (f *Feed) queueLater(room *feedRoom) {
	if room.queued == notQueued && f.rooms[room.state.Name] == room {
		room.queued = queuedLater
		f.round.later = append(f.round.later, room)
	}
}

// take returns the rooms of the next round.
func (r *roundState) take() []*feedRoom {
	var batch []*feedRoom
	bytes := 0
	for _, list := range []*[]*feedRoom{&r.now, &r.later} {
		for len(*list) > 0 && len(batch) < roundRooms && bytes < roundBytes {
			room := (*list)[0]
			(*list)[0] = nil
			if *list = (*list)[1:]; len(*list) == 0 {
				*list = nil
			}
			if room.queued == notQueued {
				continue
			}
			room.queued = notQueued
			batch = append(batch, room)
			bytes += len(room.stored)
		}
	}
	return batch
}

func (f *Feed) startRound() {
	if f.round.running {
		return
	}
	batch := f.round.take()
	if len(batch) == 0 {
		return
	}
	f.round.id++
	f.round.running = true
	id, epoch, fence := f.round.id, f.rules.Limits.Epoch, f.round.fence
	names := make([]subjects.Room, 0, len(batch))
	for _, room := range batch {
		room.busy++
		names = append(names, room.state.Name)
		for i := range room.waiting {
			if w := &room.waiting[i]; w.wantsAudit && w.round == 0 {
				w.round = id
			}
		}
	}
	f.vital = append(f.vital, func(ctx context.Context) func() {
		snap, err := f.snapshot(ctx, names, fence)
		if err != nil {
			return nil // ctx ended
		}
		return func() { f.onRound(batch, snap, id, epoch) }
	})
}

func (f *Feed) onRound(batch []*feedRoom, snap snapshot, id uint64, epoch string) {
	f.round.running = false
	f.round.fence = snap.fence
	f.metrics.rounds.Inc()
	// What was live before the fence is here already; it is no gap.
	f.handleLive(len(f.messages))
	if snap.info != nil {
		f.follow(*snap.info)
	}
	for _, room := range batch {
		room.busy--
		if epoch == f.rules.Limits.Epoch && (snap.info == nil || snap.info.Epoch == epoch) {
			f.onSnapshot(room, snap, id)
		} else { // it may be of another stream than the one followed now
			f.again(room, id)
			f.queue(room)
		}
	}
}

func (f *Feed) onSnapshot(room *feedRoom, snap snapshot, id uint64) {
	if room.state.Repairing() { // it cannot be compared now
		f.again(room, id)
		room.recheck = true
		return
	}
	now, last := time.Now().UnixMilli(), snap.last[room.stored]
	if room.state.Synced() {
		room.state.Audit(last, snap.fence, now, &f.effects)
	} else {
		room.state.Sync(last, snap.fence, now, &f.effects)
	}
	f.apply(room)
	for i := range room.waiting {
		if w := &room.waiting[i]; w.round == id {
			w.audited = true
		}
	}
	f.settle(room, nil)
}

// again lets those who waited for a round wait for the next.
func (f *Feed) again(room *feedRoom, id uint64) {
	for i := range room.waiting {
		if w := &room.waiting[i]; w.round == id {
			w.round = 0
		}
	}
}

// snapshot reads the newest message of each room, and shows that the answer is not older than a fence
// set before the read. It tries until ctx ends. The stream's sequences have reached last before.
func (f *Feed) snapshot(ctx context.Context, rooms []subjects.Room, last uint64) (snap snapshot, err error) {
	err = f.persist(ctx, aboutRounds, func(ctx context.Context) error {
		if snap, err = f.trySnapshot(ctx, rooms); err != nil || snap.fence > last {
			return err
		}
		info, err := FetchStreamInfo(ctx, f.control, f.cfg.Stream.Name) // it went back
		snap.info = &info
		return err
	})
	return snap, err
}

func (f *Feed) trySnapshot(ctx context.Context, rooms []subjects.Room) (snapshot, error) {
	fence, err := f.storeMarker(ctx, subjects.Fence(f.cfg.Edge))
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
	stored, err := f.readBehind(ctx, names, fence)
	if errors.Is(err, errUnreadable) && len(rooms) > 1 {
		// Messages that hide their sequence came next to each other: read them apart.
		return f.snapshotHalves(ctx, rooms)
	}
	if err != nil {
		return snapshot{}, err
	}
	snap := snapshot{fence: fence, last: make(map[string]*continuity.Message, len(stored))}
	for _, m := range stored {
		if room, ok := bySubject[m.Subject]; ok {
			msg, _, _ := f.identify(room, m)
			snap.last[m.Subject] = &msg
		}
	}
	return snap, nil
}

func (f *Feed) snapshotHalves(ctx context.Context, rooms []subjects.Room) (snapshot, error) {
	half := len(rooms) / 2
	snap, err := f.trySnapshot(ctx, rooms[:half])
	if err != nil {
		return snapshot{}, err
	}
	rest, err := f.trySnapshot(ctx, rooms[half:])
	if err != nil {
		return snapshot{}, err
	}
	maps.Copy(snap.last, rest.last)
	return snap, nil // the lower fence holds for both
}

// readBehind reads the newest message of each subject from a replica that has reached the fence.
func (f *Feed) readBehind(ctx context.Context, names []string, fence uint64) ([]Stored, error) {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		stored, upTo, err := f.reader.multiLast(ctx, names, 0)
		if err != nil || upTo >= fence {
			return stored, err
		}
		if wait(ctx, pause) != nil {
			return nil, errStale
		}
	}
}

var errStale = errors.New("mesh: replica is behind the fence")

// storeMarker stores a message without content and returns its sequence. As a fence it tells that
// the stream knows what this connection subscribed to before, and that whatever has a lower sequence
// is committed.
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

// publishMark leaves a mark in the stream, and the next one after markInterval.
func (f *Feed) publishMark(ctx context.Context) func() {
	// Trouble with the stream is told by what clients wait for.
	err := f.retry(ctx, readTimeout, func(ctx context.Context) error {
		_, err := f.storeMarker(ctx, subjects.Mark(f.cfg.Edge))
		return err
	}, func(error) {}, func() {})
	if err != nil {
		return nil
	}
	return func() { f.mark.Reset(markInterval(f.rules.Limits)) }
}

// markInterval is how often an edge leaves a mark in the stream, so that the oldest message of the
// stream is younger than MaxAge only when the size limit bit: that is how the proof can tell. Marks
// are kept as long as events, hence at most half as many in that time as a room keeps.
func markInterval(l continuity.Limits) time.Duration {
	if l.MaxAge <= 0 {
		return time.Hour
	}
	return max(time.Duration(l.MaxAge)*time.Millisecond/time.Duration(max(2, l.History/2)), time.Second)
}
