package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// poller is a client that keeps a position of one room, and polls whichever server it is told to.
type poller struct {
	room  string
	token string
	since *wire.Position
	seqs  []uint64
}

// errRefused is any status but 200.
var errRefused = errors.New("the poll was refused")

// ask polls once; it is for any goroutine.
func (p *poller) ask(ctx context.Context, s *server) (frames []wire.ServerFrame, err error) {
	body, err := json.Marshal([]wire.RoomRef{{Room: p.room, Since: p.since}})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.http+"/poll", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+p.token)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, errRefused
	}
	err = json.NewDecoder(response.Body).Decode(&frames)
	return frames, err
}

// poll polls once and takes the answer. An error is one of the network.
func (p *poller) poll(t testing.TB, ctx context.Context, s *server) error { //nolint:revive // t goes first in helpers
	t.Helper()
	frames, err := p.ask(ctx, s)
	require.NotErrorIs(t, err, errRefused)
	if err == nil {
		p.take(t, frames)
	}
	return err
}

// park polls beside the test and returns when the poll waits.
func (p *poller) park(t testing.TB, ctx context.Context, s *server) <-chan parked { //nolint:revive // t goes first in helpers
	t.Helper()
	out := make(chan parked, 1)
	go func() {
		frames, err := p.ask(ctx, s)
		out <- parked{frames, err}
	}()
	s.awaitMetric(t, "tidings_edge_connections 1")
	return out
}

// parked is what became of a poll that waited.
type parked struct {
	frames []wire.ServerFrame
	err    error
}

func (p *poller) take(t testing.TB, frames []wire.ServerFrame) {
	t.Helper()
	left := 0
	for _, f := range frames {
		switch f.Op {
		case wire.OpJoined:
			if p.since != nil {
				require.NotNil(t, f.Recovered)
				require.True(t, *f.Recovered, "%+v", f)
			}
			if left = f.Replay; left == 0 {
				p.since = f.Position
			}
		case wire.OpEvent:
			require.True(t, left > 0 || f.Prev <= p.since.Seq, "a gap before %+v", f)
			require.Greater(t, f.Seq, p.since.Seq, "twice or out of order")
			left--
			var event struct{ ID string }
			require.NoError(t, json.Unmarshal(f.Event, &event))
			p.since = &wire.Position{Epoch: p.since.Epoch, Seq: f.Seq, ID: event.ID, TS: f.TS}
			p.seqs = append(p.seqs, f.Seq)
		default:
		}
	}
}

// Nothing is kept between polls, so none can be lost with an edge: not between two, and not in the middle of one.
func TestPoll_NothingIsMissingWhenAnEdgeIsKilled(t *testing.T) {
	nats := meshtest.StartProcess(t, meshtest.ProcessConfig{})
	edges := []*server{launch(t, "--nats", nats.URL), launch(t, "--nats", nats.URL), launch(t, "--nats", nats.URL, "--drain", "1m")}
	for _, s := range edges {
		s.awaitReady(t)
	}
	room := subjects.Room{Kind: "campaign", ID: "42"}
	p := &poller{room: room.String(), token: token(t, room.String())}
	require.NoError(t, p.poll(t, t.Context(), edges[0]))
	require.NotNil(t, p.since)

	publisher, err := mesh.NewPublisher(nats.Dial(t, mesh.DialConfig{}), mesh.PublisherConfig{})
	require.NoError(t, err)
	const events = 300
	var want []uint64
	published := make(chan struct{})
	go func() {
		defer close(published)
		for n := range events {
			ack, err := publisher.PublishData(t.Context(), room, subjects.SettlementUpdated{ID: "7"})
			if !assert.NoError(t, err) {
				return
			}
			want = append(want, ack.Seq)
			if n == events/3 {
				edges[0].kill(t)
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	failed := 0
	for turn := 0; len(p.seqs) < events && ctx.Err() == nil; turn++ {
		if p.poll(t, ctx, edges[turn%2]) != nil {
			failed++
		}
	}
	<-published
	assert.Equal(t, want, p.seqs)
	assert.Positive(t, failed, "the one that was killed did not answer")

	// One that is parked when its edge is killed is as good as never asked.
	cut := p.park(t, ctx, edges[1])
	edges[1].kill(t)
	require.Error(t, (<-cut).err)
	ack, err := publisher.PublishData(t.Context(), room, subjects.SettlementUpdated{ID: "8"})
	require.NoError(t, err)
	require.NoError(t, p.poll(t, ctx, edges[2]))
	assert.Equal(t, ack.Seq, p.seqs[len(p.seqs)-1])

	// And one that is parked when its edge is stopped is answered at once.
	waiting := p.park(t, ctx, edges[2])
	edges[2].stop(t)
	last := <-waiting
	require.NoError(t, last.err)
	require.Len(t, last.frames, 3)
	assert.Equal(t, wire.OpDrain, last.frames[2].Op)
}

// awaitMetric waits until a line is among the metrics.
func (s *server) awaitMetric(t testing.TB, line string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, text := s.get(t, "/metrics")
		return strings.Contains(text, "\n"+line+"\n")
	}, patience, 20*time.Millisecond, "no %q", line)
}

// kill ends the process at once.
func (s *server) kill(t testing.TB) {
	t.Helper()
	assert.NoError(t, s.cmd.Process.Kill())
	<-s.ended
	s.err = nil // it is what was wanted
}
