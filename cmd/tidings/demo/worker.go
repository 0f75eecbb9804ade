package demo

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/subjects"
)

const (
	// history is how many events the stream keeps of a room. It exceeds maxBurst, so that a client who is between two
	// edges during a burst is caught up.
	history  = 1024
	maxBurst = 1000 // events

	// storeBytes bounds the stream; the room's history takes a fraction of it.
	storeBytes = 64 << 20

	// pace is the mean time between two changes that the world makes by itself.
	pace = 500 * time.Millisecond
)

// room is where everything is published.
var room = subjects.Room{Kind: "campaign", ID: campaignID}

// position is where a room stood, in the form in which clients send it back.
type position struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
	ID    string `json:"id,omitempty"`
	TS    int64  `json:"ts"` // Unix milliseconds
}

// worker changes the world and publishes what it changed. Its events are numbered by the CloudEvents extension
// "sequence", from 1 on without holes in the order of the room, so that anyone can tell what is missing without believing
// a word of this project. Safe for concurrent use.
type worker struct {
	world     *world
	publisher *mesh.Publisher
	epoch     string // of the stream
	close     func() // its connection

	// turn is held over a change and its publication: the order of changes is that of events.
	turn     sync.Mutex
	sequence uint64 // of the newest event

	mu sync.Mutex
	at position // after the newest event; read while an event is on its way, hence its own lock
}

// newWorker makes the stream, and publishes the first event so that there is a position. The caller closes the worker.
func newWorker(ctx context.Context, server *mesh.Server, log *slog.Logger) (*worker, error) {
	nc, err := mesh.Dial(ctx, mesh.DialConfig{Server: server, Name: "tidings demo", Log: log})
	if err != nil {
		return nil, err
	}
	w := &worker{world: newWorld(), close: nc.Close}
	stream := mesh.DefaultStreamConfig()
	stream.MaxMsgsPerSubject, stream.MaxBytes = history, storeBytes
	info, err := mesh.EnsureStream(ctx, nc, stream, log)
	if err == nil {
		w.epoch = info.Epoch
		w.publisher, err = mesh.NewPublisher(nc, mesh.PublisherConfig{Log: log})
	}
	if err == nil {
		err = w.tell(ctx, func() subjects.Typed { return w.world.setRate(firstRate) })
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// span are the numbers of events that were published together.
type span struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// run changes the world until ctx ends.
func (w *worker) run(ctx context.Context, log *slog.Logger) {
	for ctx.Err() == nil {
		if err := w.tell(ctx, w.world.pass); err != nil && ctx.Err() == nil {
			log.Warn("the world's change was not published", slog.String("error", err.Error()))
		}
		pause(ctx, pace/2+rand.N(pace)) //nolint:gosec // a game
	}
}

// tell makes one change and publishes it.
func (w *worker) tell(ctx context.Context, change func() subjects.Typed) error {
	_, err := w.burst(ctx, 1, change)
	return err
}

// burst makes n changes, each published when the one before is acknowledged, and stops early when ctx ends. The data is
// changed first: whoever fetches it because of an event finds what the event tells.
func (w *worker) burst(ctx context.Context, n int, change func() subjects.Typed) (span, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	s := span{First: w.sequence + 1}
	for range n {
		if ctx.Err() != nil {
			return s, context.Cause(ctx)
		}
		e, err := w.event(w.sequence+1, change())
		if err != nil {
			return s, err
		}
		// What is on its way goes to its end, or nobody would know whether its number is taken.
		ack, err := w.publisher.Publish(context.WithoutCancel(ctx), room, e)
		if err != nil {
			return s, err
		}
		w.advance(1, ack)
	}
	s.Last = w.sequence
	return s, nil
}

// overrun is the answer to an overrun of the history.
type overrun struct {
	span
	PurgedTo uint64 `json:"purgedTo"` // the newest of the room's sequences in the stream that is gone
}

// outlast publishes one event more than the stream keeps of the room, so that nobody who was away before can be caught up.
func (w *worker) outlast(ctx context.Context, change func() subjects.Typed) (overrun, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	o := overrun{span: span{First: w.sequence + 1}}
	var first mesh.Ack
	for left := history + 1; left > 0; {
		series := make([]subjects.Event, min(left, mesh.MaxBatch))
		for i := range series {
			var err error
			if series[i], err = w.event(w.sequence+1+uint64(i), change()); err != nil {
				return o, err
			}
		}
		acks, err := w.publisher.PublishSeries(context.WithoutCancel(ctx), room, series...)
		if err != nil {
			return o, err
		}
		if first.Seq == 0 {
			first = acks[0]
		}
		w.advance(len(series), acks[len(acks)-1])
		left -= len(series)
	}
	o.Last, o.PurgedTo = w.sequence, first.Seq
	return o, nil
}

// event is one that tells data, with a number.
func (w *worker) event(sequence uint64, data subjects.Typed) (subjects.Event, error) {
	e, err := subjects.NewEvent(data)
	if err != nil {
		return e, err
	}
	e.Source = "/tidings/demo"
	e.Extensions = map[string]json.RawMessage{
		"sequence":     json.RawMessage(strconv.Quote(strconv.FormatUint(sequence, 10))),
		"sequencetype": json.RawMessage(`"Integer"`),
	}
	return e, nil
}

// advance notes that n more events are stored, the last one as ack says. The caller has the turn.
func (w *worker) advance(n int, ack mesh.Ack) {
	w.sequence += uint64(n) //nolint:gosec // a length
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = position{Epoch: w.epoch, Seq: ack.Seq, ID: ack.ID, TS: time.Now().UnixMilli()}
}

// position is that of the newest event that is stored. Data read after it holds everything up to it, and maybe more; who
// joins from it misses nothing.
func (w *worker) position() position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}
