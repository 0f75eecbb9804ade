package demo

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// stage is a worker on a real NATS, and what it publishes as anyone sees it.
type stage struct {
	*worker
	nc   *nats.Conn
	seen *nats.Subscription
}

func newStage(t *testing.T) *stage {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	server, err := mesh.StartServer(t.Context(), mesh.ServerConfig{Dir: t.TempDir()}, log)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	nc := meshtest.Dial(t, mesh.DialConfig{Server: server})
	seen, err := nc.SubscribeSync(room.Subject())
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	w, err := newWorker(t.Context(), server, log)
	require.NoError(t, err)
	t.Cleanup(w.close)
	return &stage{worker: w, nc: nc, seen: seen}
}

// events are all that came since the last call.
func (s *stage) events(t *testing.T) []subjects.Event {
	t.Helper()
	require.NoError(t, s.nc.Flush())
	var all []subjects.Event
	for n, _, err := s.seen.Pending(); n > 0; n, _, err = s.seen.Pending() {
		require.NoError(t, err)
		m, err := s.seen.NextMsgWithContext(t.Context())
		require.NoError(t, err)
		var e subjects.Event
		require.NoError(t, json.Unmarshal(m.Data, &e))
		all = append(all, e)
	}
	return all
}

// numbered checks that events bear the numbers from first on.
func numbered(t *testing.T, events []subjects.Event, first uint64) {
	t.Helper()
	for i, e := range events {
		assert.Equal(t, `"Integer"`, string(e.Extensions["sequencetype"]))
		want := strconv.Quote(strconv.FormatUint(first+uint64(i), 10))
		require.Equal(t, want, string(e.Extensions["sequence"]), "event %d", i)
	}
}

func TestWorker_NumbersItsEventsWithoutHoles(t *testing.T) {
	s := newStage(t)
	got, err := s.burst(t.Context(), 40, s.world.pass)
	require.NoError(t, err)
	assert.Equal(t, span{First: 2, Last: 41}, got)
	events := s.events(t)
	require.Len(t, events, 41, "the first one is the clock")
	assert.Equal(t, subjects.WorldTimeChangedType, events[0].Type)
	numbered(t, events, 1)
	assert.Equal(t, events[40].ID, s.position().ID)
}

// A browser that leaves in the midst of its burst must not leave a number that is taken twice.
func TestWorker_ABurstThatIsCutOffTakesNoNumberTwice(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithCancel(t.Context())
	changes := 0
	_, err := s.burst(ctx, maxBurst, func() subjects.Typed {
		if changes++; changes == 7 {
			cancel() // while the seventh is on its way
		}
		return s.world.count()
	})
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.burst(t.Context(), 5, s.world.count)
	require.NoError(t, err)
	events := s.events(t)
	require.Len(t, events, 1+7+5)
	numbered(t, events, 1)
}

func TestWorker_OutlastLeavesNothingOfWhatWasBefore(t *testing.T) {
	s := newStage(t)
	_, err := s.burst(t.Context(), 3, s.world.count)
	require.NoError(t, err)
	before := s.position()
	got, err := s.outlast(t.Context(), s.world.count)
	require.NoError(t, err)
	assert.Equal(t, span{First: 5, Last: 5 + history}, got.span)
	assert.Greater(t, got.PurgedTo, before.Seq, "the event after the last one seen is gone too: there is no proof that it was the next")
	numbered(t, s.events(t), 1)

	js, err := s.nc.JetStream()
	require.NoError(t, err)
	kept, err := js.GetMsg(subjects.StreamName, got.PurgedTo)
	require.ErrorIs(t, err, nats.ErrMsgNotFound, "%v", kept)
	_, err = js.GetMsg(subjects.StreamName, got.PurgedTo+1)
	require.NoError(t, err)
}
