package history

import (
	"fmt"
	"maps"
	"slices"
)

// publishing is one event that a publisher wanted to be stored, however often it tried.
type publishing struct {
	hash  string
	began int64 // the first try
	acked int64 // the first ack; 0 when there is none
	seqs  []uint64
	// refused and unknown: what failures said.
	refused, unknown bool
	// lost: the stream does not have it where an ack said.
	lost bool
}

// publishing takes a record of a publisher.
func (s *stream) publishing(r Record) error {
	in := s.room(r.Room)
	p := in.published[r.ID]
	if p == nil && r.Kind != Publish {
		return fmt.Errorf("%s of an event that was not published before: %s in %s", r.Kind, r.ID, r.Room)
	}
	switch r.Kind {
	case Publish:
		switch {
		case p == nil:
			in.published[r.ID] = &publishing{hash: r.Hash, began: r.Time}
		case p.hash != r.Hash:
			return fmt.Errorf("%s in %s was published with two contents", r.ID, r.Room)
		default:
			p.began = min(p.began, r.Time)
		}
	case Acked:
		if p.acked == 0 || r.Time < p.acked {
			p.acked = r.Time
		}
		p.seqs = append(p.seqs, r.Seq)
	case Failed:
		p.unknown = p.unknown || r.Unknown
		p.refused = p.refused || !r.Unknown
	default:
	}
	return nil
}

// Publishing is what became of the events that publishers had.
type Publishing struct {
	Published int `json:"published"` // events, not tries
	Acked     int `json:"acked"`
	Refused   int `json:"refused"` // failed for certain
	Unknown   int `json:"unknown"` // failed perhaps, or its publisher did not live to hear
	// RefusedStored and UnknownStored are those of them that the stream has all the same.
	RefusedStored int `json:"refused_stored"`
	UnknownStored int `json:"unknown_stored"`
	Stored        int `json:"stored"` // events of the stream
	Rooms         int `json:"rooms"`  // with events in the stream
}

// NATS is what the stream lost after it had acknowledged it. That is no violation of ours.
type NATS struct {
	Acked int `json:"acked"` // events
	// Lost are missing in the stream, Elsewhere have another sequence than an ack said.
	Lost      int `json:"lost"`
	Elsewhere int `json:"elsewhere"`
	// Delivered counts deliveries of events that the stream had then, and has not any more.
	Delivered int         `json:"delivered"`
	Examples  []Violation `json:"examples,omitempty"`
}

// judgeStream compares what publishers said with what the stream has.
func (c *checker) judgeStream() {
	for _, name := range c.stream.names() {
		r := c.stream.rooms[name]
		if len(r.stored) > 0 {
			c.report.Publishing.Rooms++
		}
		for i := range r.stored {
			c.judgeStored(r, i)
		}
		for _, id := range slices.Sorted(maps.Keys(r.published)) {
			p := r.published[id]
			at, isStored := r.byID[id]
			c.countPublishing(p, isStored)
			if p.acked == 0 {
				continue
			}
			c.report.NATS.Acked++
			if p.lost = !r.hasAll(id, p.seqs); !p.lost {
				continue
			}
			r.lost++
			v := Violation{Room: name, ID: id, Seq: p.seqs[0], Time: p.acked, Text: "acknowledged, and not in the stream"}
			if isStored {
				c.report.NATS.Elsewhere++
				v.Text = fmt.Sprintf("acknowledged at %d, and in the stream at %d", p.seqs, r.stored[at].seq)
			} else {
				c.report.NATS.Lost++
			}
			c.lost(v)
		}
	}
	c.report.Publishing.Stored = len(c.stream.places)
	for i, at := range c.stream.places {
		if i > 0 && c.stream.places[i-1].seq == at.seq {
			c.fail(Agreement, Violation{Seq: at.seq, Time: at.time}, "the stream has two events at this sequence")
		}
	}
}

// hasAll reports whether the event is at each of the sequences.
func (r *room) hasAll(id string, seqs []uint64) bool {
	for _, seq := range seqs {
		if i := r.find(seq); i < 0 || r.stored[i].id != id {
			return false
		}
	}
	return true
}

func (c *checker) lost(v Violation) {
	c.report.NATS.Examples = keepExample(c.report.NATS.Examples, v)
}

func (c *checker) countPublishing(p *publishing, isStored bool) {
	count := &c.report.Publishing
	count.Published++
	switch {
	case p.acked > 0:
		count.Acked++
	case p.refused && !p.unknown:
		count.Refused++
		if isStored {
			count.RefusedStored++
		}
	default:
		count.Unknown++
		if isStored {
			count.UnknownStored++
		}
	}
}

// judgeStored looks at one event of the stream: somebody must have published it, once.
func (c *checker) judgeStored(r *room, i int) {
	e := r.stored[i]
	v := Violation{Room: r.name, ID: e.id, Seq: e.seq, Time: e.time}
	c.of(Genuine, 1)
	c.of(Once, 1)
	switch {
	case e.of == nil:
		c.fail(Genuine, v, "the stream has an event that nobody published")
	case e.of.hash != e.hash:
		c.fail(Genuine, v, "the stream has %s, published was %s", e.hash, e.of.hash)
	}
	if e.twin >= 0 {
		c.fail(Once, v, "the stream has it at %d, too", r.stored[e.twin].seq)
	}
}
