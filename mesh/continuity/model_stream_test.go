package continuity_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// stored is one message of the model stream, of the room under test or of anything else.
type stored struct {
	uid         int // never given twice, whatever the stream forgets
	seq, prev   uint64
	time        int64
	id          string
	room        bool
	quarantined bool
	removed     bool
	// parent is the room's newest event when this was stored: who applies this one without a reset
	// must have applied that one before.
	parent *stored
}

// event is the newest event at s, which is s itself unless it was quarantined.
func (s *stored) event() *stored {
	if s != nil && s.quarantined {
		return s.parent
	}
	return s
}

// has reports whether old is s or came before it in the same history. nil is the beginning.
func (s *stored) has(old *stored) bool {
	for ; s != nil; s = s.parent {
		if s == old {
			return true
		}
	}
	return old == nil
}

func (s *stored) message() continuity.Message {
	m := continuity.Message{Seq: s.seq, Prev: s.prev, Time: s.time, ID: s.id}
	if !s.quarantined {
		m.Event = []byte(strconv.Itoa(s.uid))
	}
	return m
}

// stream is the model of a stream with one room: a log that grows, forgets from its beginning, and in
// the worst case loses its end.
type stream struct {
	limits continuity.Limits
	size   int // messages of all subjects; younger ones than slack are never removed
	now    int64
	log    []*stored
	last   uint64
	all    []*stored // by uid
	epochs int

	removals int    // messages removed by any limit
	backs    int    // rollbacks and recreations
	lowest   uint64 // to which sequence a rollback ever went; the highest sequence if never
}

const slack = 100 // of a MaxAge of 1000

func newStream(history, size int) *stream {
	s := &stream{size: size, now: 1_000_000, lowest: 1 << 62}
	s.limits = continuity.Limits{Epoch: "epoch-0", History: history, MaxAge: 1000}
	return s
}

func (s *stream) append(room, quarantined bool) *stored {
	s.remove()
	s.last++
	m := &stored{uid: len(s.all), seq: s.last, time: s.now, room: room, quarantined: quarantined}
	m.id = fmt.Sprintf("id-%d", m.uid)
	if room {
		m.parent = s.newest()
		if view := s.view(0, s.last); len(view) > 0 {
			m.prev = view[len(view)-1].seq
		}
	}
	s.log = append(s.log, m)
	s.all = append(s.all, m)
	s.remove()
	return m
}

// newest is the room's newest event, still kept or not.
func (s *stream) newest() *stored { return s.newestThrough(s.last) }

func (s *stream) newestThrough(seq uint64) *stored {
	for _, m := range slices.Backward(s.log) {
		if m.room && !m.quarantined && m.seq <= seq {
			return m
		}
	}
	return nil
}

// remove applies the limits of age and size.
func (s *stream) remove() {
	for i, m := range s.log {
		if m.removed {
			continue
		}
		tooMany := len(s.log)-i > s.size && m.time < s.now-slack
		if !tooMany && m.time > s.now-s.limits.MaxAge {
			break
		}
		m.removed = true
		s.removals++
	}
}

// view is what a replica that has the stream through upTo keeps of the room from a sequence on.
func (s *stream) view(from, upTo uint64) []*stored {
	var kept []*stored
	n := 0
	for _, m := range slices.Backward(s.log) {
		if !m.room || m.seq > upTo {
			continue
		}
		if n++; n > s.limits.History || m.removed {
			break
		}
		if m.seq >= from {
			kept = append([]*stored{m}, kept...)
		}
	}
	return kept
}

// first is the oldest message that the stream keeps.
func (s *stream) first() continuity.FirstStored {
	s.remove()
	oldest := uint64(0)
	if room := s.view(0, s.last); len(room) > 0 {
		oldest = room[0].seq
	}
	for _, m := range s.log {
		if m.removed || m.room && m.seq < oldest {
			continue
		}
		return continuity.FirstStored{Seq: m.seq, Time: m.time}
	}
	return continuity.FirstStored{Seq: s.last + 1}
}

// rollBack loses the newest n messages: a replica that was behind leads from here. It still has what
// they had pushed out of the room.
func (s *stream) rollBack(n int) {
	s.log = s.log[:len(s.log)-n]
	s.last -= uint64(n)
	s.lowest = min(s.lowest, s.last)
	s.backs++
	s.now++
}

// recreate deletes the stream and creates it anew.
func (s *stream) recreate() {
	s.log, s.last, s.lowest = nil, 0, 0
	s.epochs++
	s.backs++
	s.now++
	s.limits.Epoch = fmt.Sprintf("epoch-%d", s.epochs)
}

// keeps reports whether the message with an id is kept, and so all that came after it.
func (s *stream) keeps(id string) bool {
	s.remove()
	for _, m := range s.view(0, s.last) {
		if m.id == id {
			return true
		}
	}
	return false
}

// holds reports whether m is part of the stream's history, kept or not, as it is now.
func (s *stream) holds(m *stored) bool {
	i, found := slices.BinarySearchFunc(s.log, m.seq, func(l *stored, seq uint64) int { return cmp.Compare(l.seq, seq) })
	return found && s.log[i] == m
}

func (s *stream) byID(id string) *stored {
	uid, err := strconv.Atoi(id[len("id-"):])
	if err != nil || uid >= len(s.all) {
		return nil
	}
	return s.all[uid]
}
