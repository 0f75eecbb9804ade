package main

import (
	"maps"
	"sync"

	"github.com/tidingsmesh/tidings/edge/follow"
	"github.com/tidingsmesh/tidings/edge/subscriber"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/loadtest/history"
)

// recorder writes down what one client hears and does.
type recorder struct {
	who string
	log *history.Writer
	up  bool

	mu  sync.Mutex // guards what follows, which others look at
	at  map[string]uint64
	err error // of the history; the client ends by it
}

func newRecorder(who string, log *history.Writer) *recorder {
	return &recorder{who: who, log: log, at: make(map[string]uint64)}
}

func (r *recorder) write(record history.Record) error {
	record.Who = r.who
	err := r.log.Write(record)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	return r.err
}

// Frame writes down what came.
func (r *recorder) Frame(f wire.ServerFrame, _ []byte, outcome follow.Outcome, replay bool) error {
	switch f.Op {
	case wire.OpJoined:
		record := history.Record{
			Kind: history.Joined, Room: f.Room, Position: f.Position, Recovered: f.Recovered,
			Count: f.Replay, Text: string(f.Reason),
		}
		if err := r.write(record); err != nil {
			return err
		}
		if f.Replay == 0 && f.Position != nil {
			r.reach(f.Room, f.Position.Seq)
		}
		return nil
	case wire.OpDenied:
		return r.write(history.Record{Kind: history.Denied, Room: f.Room, Text: f.Code})
	case wire.OpLag:
		return r.write(history.Record{Kind: history.Lag, Room: f.Room})
	case wire.OpEvent:
		return r.event(f, outcome, replay)
	default:
		return nil
	}
}

func (r *recorder) event(f wire.ServerFrame, outcome follow.Outcome, replay bool) error {
	if outcome == follow.Early {
		return r.write(history.Record{Kind: history.Gap, Room: f.Room, Seq: f.Seq, Prev: f.Prev})
	}
	id, hash, err := history.Digest(f.Event)
	if err != nil {
		hash = err.Error() // no event has that
	}
	err = r.write(history.Record{
		Kind: history.Event, Room: f.Room, Seq: f.Seq, Prev: f.Prev, ID: id, Hash: hash,
		Replay: replay, Duplicate: outcome == follow.Duplicate,
	})
	if err == nil {
		r.reach(f.Room, f.Seq)
	}
	return err
}

// Sending writes down what is about to be asked for.
func (r *recorder) Sending(f wire.ClientFrame) {
	kind := history.Join
	if f.Op == wire.OpLeave {
		kind = history.Leave
	}
	for _, ref := range f.Rooms {
		_ = r.write(history.Record{Kind: kind, Room: ref.Room, Position: ref.Since}) // Frame tells
		if kind == history.Leave {
			r.mu.Lock()
			delete(r.at, ref.Room)
			r.mu.Unlock()
		}
	}
}

// Link writes down what becomes of connections.
func (r *recorder) Link(e subscriber.LinkEvent) {
	switch e.Kind {
	case subscriber.LinkDialing:
		_ = r.write(history.Record{Kind: history.Dial, Text: e.URL})
	case subscriber.LinkConnected, subscriber.LinkMoved:
		_ = r.write(history.Record{Kind: history.Up, Text: e.Edge})
		if e.Kind == subscriber.LinkMoved {
			_ = r.write(history.Record{Kind: history.Down, Text: "moved"})
		}
		r.up = true
	case subscriber.LinkDraining:
	case subscriber.LinkLost, subscriber.LinkSuperseded:
		if r.up && !e.Standby {
			r.up = false
			_ = r.write(history.Record{Kind: history.Down, Code: int(e.Code), Text: e.Reason})
		}
	}
}

func (r *recorder) reach(room string, seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[room] = max(r.at[room], seq)
}

// reached reports whether it stands at these sequences, or beyond, in its rooms.
func (r *recorder) reached(rooms []string, seqs map[string]uint64) bool {
	r.mu.Lock()
	at := maps.Clone(r.at)
	r.mu.Unlock()
	for _, room := range rooms {
		if at[room] < seqs[room] {
			return false
		}
	}
	return true
}
