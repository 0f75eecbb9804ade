package mesh_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// worker publishes one event after the other until it is told to stop, to rooms of
// its own and to one that it shares, and keeps all acks.
type worker struct {
	name    string
	retries *retries

	mu   sync.Mutex
	acks []roomAck // in the order of the calls
	err  error
}

type roomAck struct {
	room subjects.Room
	mesh.Ack
}

func (w *worker) rooms() (own, second, shared subjects.Room) {
	return subjects.Room{Kind: "own", ID: w.name}, subjects.Room{Kind: "second", ID: w.name}, subjects.Room{Kind: "shared", ID: "all"}
}

func (w *worker) run(ctx context.Context, p *mesh.Publisher, stop <-chan struct{}) {
	own, second, shared := w.rooms()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		rooms := []subjects.Room{own}
		switch i % 4 {
		case 1:
			rooms = []subjects.Room{shared}
		case 3:
			rooms = []subjects.Room{second, own}
		}
		e := subjects.Event{ID: fmt.Sprintf("%s-%d", w.name, i), Source: "/test", Type: "ping"}
		acks, err := p.PublishAll(ctx, rooms, e)
		w.mu.Lock()
		for k, ack := range acks {
			w.acks = append(w.acks, roomAck{rooms[k], ack})
		}
		w.err = err
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (w *worker) acked() (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acks), w.err
}

// everything reads the whole stream, which holds nothing but these rooms, as far
// as its leader has it.
func everything(t testing.TB, nc *nats.Conn, rooms []subjects.Room) []mesh.Stored {
	t.Helper()
	var (
		last = lastSeq(t, nc)
		all  []mesh.Stored
	)
	meshtest.Eventually(t, func() bool { // a replica that is behind answers too
		all = nil
		for _, r := range rooms {
			for next := uint64(1); ; {
				page, err := mesh.Batch(within(t), nc, r.Subject(), next, 256)
				if err != nil {
					return false
				}
				if len(page) == 0 {
					break
				}
				all = append(all, page...)
				next = page[len(page)-1].Seq + 1
			}
		}
		return uint64(len(all)) >= last
	}, "read all %d events", last)
	return all
}

func TestPublisher_ACrashOfTheLeaderLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	c := meshtest.StartCluster(t, 3)
	nc := c.Dial(t, mesh.DialConfig{})
	cfg := mesh.DefaultStreamConfig()
	cfg.Replicas, cfg.MaxMsgsPerSubject = 3, 1_000_000
	meshtest.EnsureStream(t, nc, cfg)

	var (
		workers [4]*worker
		rooms   []subjects.Room
		wg      sync.WaitGroup
		stop    = make(chan struct{})
	)
	for i := range workers {
		w := &worker{name: fmt.Sprintf("w%d", i), retries: newRetries()}
		workers[i] = w
		own, second, shared := w.rooms()
		if i == 0 {
			rooms = append(rooms, shared)
		}
		rooms = append(rooms, own, second)
		p := newPublisher(t, c.Dial(t, mesh.DialConfig{}), mesh.PublisherConfig{Retry: mesh.MaxRetry, AckWait: time.Second, OnRetry: w.retries.note})
		wg.Go(func() { w.run(t.Context(), p, stop) })
	}
	moreFromAll := func(n int) {
		t.Helper()
		for _, w := range workers {
			before, _ := w.acked()
			meshtest.Eventually(t, func() bool {
				now, err := w.acked()
				return now >= before+n || err != nil
			}, "%s goes on publishing", w.name)
		}
	}
	moreFromAll(200)
	c.Leader(t, nc, subjects.StreamName).Kill()
	moreFromAll(200)
	close(stop)
	wg.Wait()

	type key struct{ subject, id string }
	stored := make(map[key][]uint64)
	total := 0
	for _, m := range everything(t, nc, rooms) {
		k := key{m.Subject, decode(t, m).ID}
		stored[k] = append(stored[k], m.Seq)
		total++
	}
	acked := 0
	for _, w := range workers {
		require.NoError(t, w.err, w.name)
		assert.NotEmpty(t, w.retries.all(), "%s has told that it waits", w.name)
		last := uint64(0)
		for _, ack := range w.acks {
			require.Equal(t, []uint64{ack.Seq}, stored[key{ack.room.Subject(), ack.ID}], "%s in %s is where its ack said, once", ack.ID, ack.room)
			require.Greater(t, ack.Seq, last, "%s in %s comes after what the worker published before", ack.ID, ack.room)
			last = ack.Seq
		}
		acked += len(w.acks)
	}
	assert.Equal(t, acked, total, "nothing else is stored")
}
