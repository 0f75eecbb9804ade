package history

import (
	"fmt"
	"math/rand/v2"
)

// scan is what has to be known of a history to change it in a way that means something.
type scan struct {
	*History
	stream  *stream
	run     run
	threads []*thread
	clients map[string]*scanned
	ups     map[string]int // connections by edge
	base    map[string]*Usage
	rest    map[string]place // the last of each edge
	// outages are the downs of steady clients that were back in all their rooms afterwards.
	outages []place
}

// thread are the records of one client about one room, in order.
type thread struct {
	client *scanned
	room   string
	steps  []step
}

// step is a record of a thread, and how many connections its client has had.
type step struct {
	place
	ups int
}

// scanned is a client, while and after its records are read.
type scanned struct {
	name    string
	class   Class
	threads map[string]*thread
	ups     int
	links   int
	in      map[string]bool
	outage  *outage
	down    place
	done    int64
}

// scanHistory fails where [Check] does.
func scanHistory(h *History) (*scan, error) {
	s := &scan{
		History: h, stream: newStream(), clients: make(map[string]*scanned), ups: make(map[string]int),
		base: make(map[string]*Usage), rest: make(map[string]place),
	}
	for i, f := range h.files {
		for line := range f.records.n {
			if err := s.take(place{i, line}, f.records.at(line)); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", f.name, line+1, err)
			}
		}
	}
	s.stream.sort()
	return s, nil
}

func (s *scan) take(at place, r Record) error {
	switch r.Kind {
	case Publish, Acked, Failed:
		return s.stream.publishing(r)
	case Stored:
		s.stream.add(r)
	case Begin, End, Healed, Quiet:
		return s.run.take(r)
	case Base:
		s.base[r.Who] = r.Usage
	case Rest:
		s.rest[r.Who] = at
	case Client:
		s.clients[r.Who] = &scanned{name: r.Who, class: r.Class, threads: make(map[string]*thread), in: make(map[string]bool)}
	case Up, Down, Done, Join, Joined, Denied, Leave, Event:
		c := s.clients[r.Who]
		if c == nil {
			return fmt.Errorf("%s of client %q, which does not begin before", r.Kind, r.Who)
		}
		s.takeClient(c, at, r)
	default:
	}
	return nil
}

func (s *scan) takeClient(c *scanned, at place, r Record) {
	switch r.Kind {
	case Up:
		c.ups++
		c.links++
		s.ups[r.Text]++
		return
	case Down:
		if c.links--; c.links <= 0 && c.outage == nil {
			c.links = 0
			c.outage, c.down = newOutage(r.Time, false, sortedKeys(c.in)), at
		}
		return
	case Done:
		c.done = r.Time
		return
	case Joined:
		c.in[r.Room] = true
		s.answered(c, r, true)
	case Leave, Denied:
		delete(c.in, r.Room)
		s.answered(c, r, false)
	default:
	}
	t := c.threads[r.Room]
	if t == nil {
		t = &thread{client: c, room: r.Room}
		c.threads[r.Room] = t
		s.threads = append(s.threads, t)
	}
	t.steps = append(t.steps, step{at, c.ups})
}

func (s *scan) answered(c *scanned, r Record, joined bool) {
	if c.outage == nil || !c.outage.answered(r.Room, r.Time, joined) {
		return
	}
	if c.outage.back > 0 && (c.class == Steady || c.class == Expires) {
		s.outages = append(s.outages, c.down)
	}
	c.outage = nil
}

// step is the record of a thread's step, one of no kind beyond the end.
func (s *scan) step(t *thread, i int) Record {
	if i >= len(t.steps) {
		return Record{}
	}
	return s.at(t.steps[i].place)
}

// isStored reports whether a delivery is of an event that the stream has.
func (s *scan) isStored(r Record) bool {
	room := s.stream.room(r.Room)
	i := room.find(r.Seq)
	return i >= 0 && room.stored[i].id == r.ID
}

// isLive reports whether a record is an event that a client applied, not one of a replay, and that the
// stream has.
func (s *scan) isLive(r Record) bool {
	return r.Kind == Event && !r.Duplicate && !r.Replay && s.isStored(r)
}

// raffle picks one of the things that are put in, each with the same chance.
type raffle[T any] struct {
	random *rand.Rand
	n      int
	won    T
}

func (r *raffle[T]) put(ticket T) {
	r.n++
	if r.random.IntN(r.n) == 0 {
		r.won = ticket
	}
}
