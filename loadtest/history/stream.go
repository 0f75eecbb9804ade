package history

import (
	"cmp"
	"slices"
)

// stream is what the stream has at the end of a run, and what publishers were told of it.
type stream struct {
	rooms  map[string]*room
	places []storedAt // of all rooms, by sequence
}

// room is one room of the stream.
type room struct {
	name      string
	stored    []stored // by sequence
	byID      map[string]int
	published map[string]*publishing
	lost      int // acknowledged events that are not where the ack said
}

// stored is one event of the stream.
type stored struct {
	seq      uint64
	time     int64
	id, hash string
	// twin is where an earlier event with the same id is in the room, -1 when there is none.
	twin int
	// of is nil for an event that nobody published.
	of *publishing
}

// storedAt is when the event at a sequence was stored.
type storedAt struct {
	seq  uint64
	time int64
}

func newStream() *stream { return &stream{rooms: make(map[string]*room)} }

func (s *stream) room(name string) *room {
	r := s.rooms[name]
	if r == nil {
		r = &room{name: name, byID: make(map[string]int), published: make(map[string]*publishing)}
		s.rooms[name] = r
	}
	return r
}

// add takes a stored record; the events may come in any order.
func (s *stream) add(r Record) {
	in := s.room(r.Room)
	in.stored = append(in.stored, stored{seq: r.Seq, time: r.Time, id: r.ID, hash: r.Hash, twin: -1})
	s.places = append(s.places, storedAt{r.Seq, r.Time})
}

// sort is called when everything has been added.
func (s *stream) sort() {
	slices.SortFunc(s.places, func(a, b storedAt) int { return cmp.Compare(a.seq, b.seq) })
	for _, r := range s.rooms {
		slices.SortFunc(r.stored, func(a, b stored) int { return cmp.Compare(a.seq, b.seq) })
		for i := range r.stored {
			e := &r.stored[i]
			e.of = r.published[e.id]
			if twin, found := r.byID[e.id]; found {
				e.twin = twin
				continue
			}
			r.byID[e.id] = i
		}
	}
}

// names lists the rooms in alphabetical order.
func (s *stream) names() []string {
	names := make([]string, 0, len(s.rooms))
	for name := range s.rooms {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// rewritten reports whether the stream has written something at or before a sequence later than t, when
// somebody had already seen that sequence: then it went back in between, and lost what it had there.
func (s *stream) rewritten(seq uint64, t int64) bool {
	i, found := slices.BinarySearchFunc(s.places, seq, func(e storedAt, seq uint64) int { return cmp.Compare(e.seq, seq) })
	if !found {
		i--
	}
	return i >= 0 && s.places[i].time > t
}

// find is the index of the event at a sequence, -1 when there is none.
func (r *room) find(seq uint64) int {
	if i, found := r.search(seq); found {
		return i
	}
	return -1
}

// upTo is the index of the last event that a position covers, -1 when it covers none. A position at an
// event that the stream has lost covers what was stored before that, and nothing of what the stream wrote
// in its place.
func (r *room) upTo(seq uint64, id string) int {
	i, found := r.search(seq)
	if found && (id == "" || r.stored[i].id == id) {
		return i
	}
	i--
	if p := r.published[id]; p != nil {
		for i >= 0 && r.stored[i].time > max(p.began, p.acked) {
			i--
		}
	}
	return i
}

func (r *room) search(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(r.stored, seq, func(e stored, seq uint64) int { return cmp.Compare(e.seq, seq) })
}

// began is when the publisher began to publish the event, or when it was stored if nobody did.
func (e *stored) began() int64 {
	if e.of == nil {
		return e.time
	}
	return e.of.began
}

// settled is when it was certain that the event is in the stream.
func (e *stored) settled() int64 {
	if e.of == nil || e.of.acked == 0 {
		return e.time
	}
	return e.of.acked
}
