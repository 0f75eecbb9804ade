package history_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/loadtest/history"
)

const room = "campaign:1"

// story is a small history, told record by record.
type story struct {
	now     int64
	records []told
	options history.Options
}

// told is a record and the file that it is in.
type told struct {
	file   string
	record history.Record
}

func (s *story) source(take func(file string, r history.Record) error) error {
	for _, one := range s.records {
		if err := take(one.file, one.record); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) pass(d time.Duration) { s.now += int64(d) }

func (s *story) write(file string, r history.Record) {
	s.pass(time.Millisecond)
	if r.Time == 0 {
		r.Time = s.now
	}
	s.records = append(s.records, told{file, r})
}

// tell begins a story in which nothing has happened yet.
func tell() *story {
	return &story{now: time.Unix(1_700_000_000, 0).UnixNano(), options: history.DefaultOptions()}
}

func id(seq uint64) string   { return fmt.Sprint("evt-", seq) }
func hash(seq uint64) string { return fmt.Sprintf("%024x", seq) }

func (s *story) publish(seq uint64) {
	s.write("publisher", history.Record{Kind: history.Publish, Room: room, ID: id(seq), Hash: hash(seq)})
}

func (s *story) store(seq uint64) {
	s.write("stream", history.Record{Kind: history.Stored, Room: room, ID: id(seq), Hash: hash(seq), Seq: seq})
}

func (s *story) ack(seq uint64) {
	s.write("publisher", history.Record{Kind: history.Acked, Room: room, ID: id(seq), Seq: seq})
}

// events are published, stored and acknowledged. The stream can have them again in the story, but not in
// the stream as it is at the end.
func (s *story) events(seqs ...uint64) {
	for _, seq := range seqs {
		s.publish(seq)
		s.store(seq)
		s.ack(seq)
	}
}

// lose is an event that is acknowledged, and not in the stream at the end.
func (s *story) lose(seq uint64) {
	s.publish(seq)
	s.ack(seq)
}

func (s *story) conduct(kind history.Kind) { s.write("conductor", history.Record{Kind: kind}) }

// fault is one that took effect.
func (s *story) fault(name string) {
	s.write("conductor", history.Record{Kind: history.Begin, Who: name, Text: "a target"})
	s.write("conductor", history.Record{Kind: history.End, Who: name, Text: "evidence"})
}

// teller writes the records of one client.
type teller struct {
	*story
	name string
}

func (s *story) client(name string, class history.Class) *teller {
	c := &teller{s, name}
	c.record(history.Record{Kind: history.Client, Class: class})
	return c
}

// member is a steady client that is connected, and in the room from a sequence on.
func (s *story) member(name string, seq uint64) *teller {
	c := s.client(name, history.Steady)
	c.up()
	c.join(0)
	c.joined(seq)
	return c
}

func (c *teller) record(r history.Record) {
	r.Who = c.name
	c.write(c.name, r)
}

func (c *teller) up()   { c.record(history.Record{Kind: history.Up, Text: "edge-1"}) }
func (c *teller) down() { c.record(history.Record{Kind: history.Down, Code: 1006}) }
func (c *teller) done() { c.record(history.Record{Kind: history.Done}) }

// at is a position at an event; 0 is none.
func at(seq uint64) *wire.Position {
	if seq == 0 {
		return nil
	}
	return &wire.Position{Epoch: "e", Seq: seq}
}

func atEvent(seq uint64) *wire.Position {
	pos := at(seq)
	pos.ID = id(seq)
	return pos
}

func (c *teller) join(since uint64) {
	pos := at(since)
	if pos != nil {
		pos.TS = c.now / 1e6
	}
	c.record(history.Record{Kind: history.Join, Room: room, Position: pos})
}

func (c *teller) joined(seq uint64) {
	c.record(history.Record{Kind: history.Joined, Room: room, Position: at(seq)})
}

func (c *teller) recovered(seq uint64, replay int) {
	c.record(history.Record{Kind: history.Joined, Room: room, Position: at(seq), Recovered: new(true), Count: replay})
}

func (c *teller) reset(seq uint64, reason string) {
	c.record(history.Record{Kind: history.Joined, Room: room, Position: at(seq), Recovered: new(false), Text: reason})
}

// resume is a reconnection from a sequence.
func (c *teller) resume(since uint64) {
	c.down()
	c.record(history.Record{Kind: history.Dial, Text: "edge-1"})
	c.join(since)
	c.up()
}

func (c *teller) leave() { c.record(history.Record{Kind: history.Leave, Room: room}) }

func (c *teller) denied(code string) {
	c.record(history.Record{Kind: history.Denied, Room: room, Text: code})
}

// gets applies events as they are in the stream.
func (c *teller) gets(seqs ...uint64) {
	for _, seq := range seqs {
		c.record(history.Record{Kind: history.Event, Room: room, Seq: seq, ID: id(seq), Hash: hash(seq)})
	}
}

func (c *teller) getsAgain(seq uint64) {
	c.record(history.Record{Kind: history.Event, Room: room, Seq: seq, ID: id(seq), Hash: hash(seq), Duplicate: true})
}

// end is the end of a run in which clients got all that they were to get.
func (s *story) end(clients ...*teller) {
	s.conduct(history.Quiet)
	for _, c := range clients {
		c.done()
	}
}

// example is a story and what the checker has to say of it.
type example struct {
	tell     func(s *story)
	violated []history.Invariant // none: everything holds
	says     string              // part of the first example of the first of them
}

func judge(t *testing.T, cases map[string]example) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := tell()
			c.tell(s)
			report := check(t, s.source, s.options)
			assert.Equal(t, c.violated, report.Violated(), "%s", text(report))
			if len(c.violated) > 0 {
				examples := report.Finding(c.violated[0]).Examples
				if assert.NotEmpty(t, examples) {
					assert.Contains(t, examples[0].Text, c.says)
					assert.Contains(t, text(report), examples[0].Text)
				}
			}
		})
	}
}
