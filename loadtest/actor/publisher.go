package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/history"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/subjects"
)

// PublisherConfig is a worker: it publishes to all rooms, at random moments.
type PublisherConfig struct {
	NATS  string   `json:"nats"`
	Rooms []string `json:"rooms"`
	// Rate is how many events per second it publishes, over all rooms, while the stream acks.
	Rate float64 `json:"rate"`
	// Bytes is the most that pads an event.
	Bytes int `json:"bytes"`
}

type publisher struct {
	cfg   Config
	log   *history.Writer
	calls sync.WaitGroup
	mu    sync.Mutex // guards err
	err   error      // the first failure to write history
}

func newPublisher(cfg Config, log *history.Writer) *publisher {
	return &publisher{cfg: cfg, log: log}
}

func (*publisher) heal() {}

func (*publisher) await(context.Context, map[string]uint64) error {
	return errors.New("a publisher follows nothing")
}

// run publishes until ctx ends, and then waits for the acks of what was begun.
func (p *publisher) run(ctx context.Context) error {
	nc, err := mesh.Dial(ctx, mesh.DialConfig{URL: p.cfg.Publisher.NATS, Name: p.cfg.Name})
	if err != nil {
		return err
	}
	defer nc.Close()
	worker, err := mesh.NewPublisher(nc, mesh.PublisherConfig{Source: "/" + p.cfg.Name})
	if err != nil {
		return err
	}
	rooms := p.cfg.Publisher.Rooms
	for i, name := range rooms {
		room, err := subjects.ParseRoom(name)
		if err != nil {
			return err
		}
		random := rand.New(rand.NewPCG(p.cfg.Seed, uint64(i))) //nolint:gosec // repeatable, not secret
		p.calls.Go(func() { p.publish(ctx, worker, room, i, random) })
	}
	p.calls.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// publish publishes to one room, one event at a time.
func (p *publisher) publish(ctx context.Context, worker *mesh.Publisher, room subjects.Room, number int, random *rand.Rand) {
	mean := float64(time.Second) * float64(len(p.cfg.Publisher.Rooms)) / p.cfg.Publisher.Rate
	for n := 0; ; n++ {
		select {
		case <-time.After(time.Duration(2 * mean * random.Float64())):
		case <-ctx.Done():
			return
		}
		data, err := json.Marshal(map[string]any{"n": n, "pad": strings.Repeat("x", random.IntN(p.cfg.Publisher.Bytes+1))})
		if err != nil {
			return // unreachable
		}
		e := subjects.Event{
			ID: fmt.Sprintf("%s-%d-%d", p.cfg.Name, number, n), Source: "/" + p.cfg.Name, Type: "tick", Data: data,
		}
		if !p.store(worker, room, e) {
			return
		}
	}
}

// store publishes one event, also when the run ends meanwhile: what was begun has an outcome.
func (p *publisher) store(worker *mesh.Publisher, room subjects.Room, e subjects.Event) bool {
	_, hash, err := history.Digest(e.AppendJSON(nil))
	if err != nil {
		return p.note(history.Record{}, err)
	}
	r := history.Record{Kind: history.Publish, Who: p.cfg.Name, Room: room.String(), ID: e.ID, Hash: hash}
	if !p.note(r, nil) {
		return false
	}
	ack, err := worker.Publish(context.Background(), room, e)
	r.Kind, r.Hash, r.Seq, r.Duplicate = history.Acked, "", ack.Seq, ack.Duplicate
	if err != nil {
		r.Kind, r.Text = history.Failed, err.Error()
		r.Unknown = errors.Is(err, mesh.ErrUnknownOutcome)
	}
	return p.note(r, nil)
}

// note writes a record and keeps the first failure.
func (p *publisher) note(r history.Record, err error) bool {
	if err == nil {
		err = p.log.Write(r)
	}
	if err == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	return false
}
