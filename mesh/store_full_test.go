package mesh_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// The stream of rooms discards its oldest events, so it cannot fill a store that
// holds what it has reserved. Somebody else can.

// startSmall runs an embedded server whose store has 6 MiB, 2 of them reserved for
// rooms.
func startSmall(t *testing.T) *nats.Conn {
	t.Helper()
	srv, err := mesh.StartServer(within(t), mesh.ServerConfig{Dir: t.TempDir(), MaxStore: 6 << 20}, quietLog)
	require.NoError(t, err)
	t.Cleanup(srv.Close)
	return small(t, meshtest.Dial(t, mesh.DialConfig{Server: srv}))
}

// startAccount connects to an account that may store 6 MiB on a server that has more.
func startAccount(t *testing.T) *nats.Conn {
	t.Helper()
	return startConfig(t, `accounts { A: {
		jetstream: { max_file: 6291456 }
		users: [ { user: a, password: a } ]
	} }
	no_auth_user: a`).Dial(t, mesh.DialConfig{})
}

// small creates a stream of rooms that needs 2 MiB.
func small(t *testing.T, nc *nats.Conn) *nats.Conn {
	t.Helper()
	cfg := mesh.DefaultStreamConfig()
	cfg.MaxBytes = 2 << 20
	meshtest.EnsureStream(t, nc, cfg)
	return nc
}

// crowd lets another stream, which nobody has bounded, take all that is left of the
// store, and returns what empties it.
func crowd(t *testing.T, nc *nats.Conn) (makeRoom func()) {
	t.Helper()
	js := jetStream(t, nc)
	other, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other.>"}})
	require.NoError(t, err)
	for size, n := 64<<10, 0; size > 0; n++ { // the last gap is smaller than any event
		require.Less(t, n, 1000, "the store has a limit")
		if _, err = js.Publish(within(t), "other.x", make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return func() { require.NoError(t, other.Purge(within(t))) }
}

func TestStoreFull_IsSaidAtOnceAndPassesWithoutARestart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start func(t *testing.T) *nats.Conn
		fill  func(t *testing.T, nc *nats.Conn) (makeRoom func())
		says  string
	}{
		"server's limit": {startSmall, crowd, "insufficient resources (10023)"},
		"account's limit": {
			func(t *testing.T) *nats.Conn { t.Helper(); return small(t, startAccount(t)) },
			crowd, "resource limits exceeded for account (10002)",
		},
		"stream that discards nothing": {
			// EnsureStream refuses it, but who only publishes has not asked.
			func(t *testing.T) *nats.Conn {
				t.Helper()
				nc := meshtest.Start(t).Conn(t)
				_, err := jetStream(t, nc).CreateStream(within(t), jetstream.StreamConfig{
					Name: subjects.StreamName, Subjects: []string{subjects.RoomWildcard}, Discard: jetstream.DiscardNew,
					MaxMsgs: 2, AllowDirect: true, AllowAtomicPublish: true,
				})
				require.NoError(t, err)
				return nc
			},
			func(t *testing.T, nc *nats.Conn) func() {
				t.Helper()
				stream, err := jetStream(t, nc).Stream(within(t), subjects.StreamName)
				require.NoError(t, err)
				_, err = jetStream(t, nc).Publish(within(t), "room.campaign.1", nil)
				require.NoError(t, err)
				return func() { require.NoError(t, stream.DeleteMsg(within(t), 2)) }
			}, "maximum messages exceeded (10077)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc := c.start(t)
			p := newPublisher(t, nc, mesh.PublisherConfig{})
			r := room(t, "campaign:42")
			before := event(t)
			_, err := p.Publish(within(t), r, before)
			require.NoError(t, err)
			makeRoom := c.fill(t, nc)
			last := lastSeq(t, nc)

			e := event(t)
			atOnce(t, func() { _, err = p.Publish(within(t), r, e) })
			require.ErrorIs(t, err, mesh.ErrStoreFull)
			require.NotErrorIs(t, err, mesh.ErrUnknownOutcome)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "campaign:42")
			atOnce(t, func() { _, err = p.PublishAll(within(t), []subjects.Room{room(t, "a:1"), r, room(t, "a:2")}, event(t)) })
			require.ErrorIs(t, err, mesh.ErrStoreFull)
			assert.Equal(t, last, lastSeq(t, nc), "nothing was stored")
			assert.Equal(t, []string{before.ID}, idsIn(t, nc, r), "reads go on")

			makeRoom()
			ack, err := p.Publish(within(t), r, e)
			require.NoError(t, err)
			assert.False(t, ack.Duplicate)
			assert.Equal(t, []string{before.ID, e.ID}, idsIn(t, nc, r))
		})
	}
}

func TestStoreFull_RoomsAloneRollInsteadOfFilling(t *testing.T) {
	t.Parallel()
	nc := startSmall(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	const events = 100 // of 60 KB, three times what the stream may hold
	for i := range events {
		_, err := p.Publish(within(t), room(t, fmt.Sprintf("campaign:%d", i)), sized(t, 60_000))
		require.NoError(t, err)
	}
	info, err := mesh.FetchStreamInfo(within(t), nc, subjects.StreamName)
	require.NoError(t, err)
	assert.Equal(t, uint64(events), info.LastSeq)
	assert.Greater(t, info.FirstSeq, uint64(events-2<<20/60_000-1))
	assert.Empty(t, history(t, nc, room(t, "campaign:0")))
	assert.Len(t, history(t, nc, room(t, fmt.Sprintf("campaign:%d", events-1))), 1)
}

// TestStoreFull_InTheMidstOfABatch is where one server breaks its word: it stores the
// first messages of a batch and says nothing.
func TestStoreFull_InTheMidstOfABatch(t *testing.T) {
	t.Parallel()
	nc := small(t, startAccount(t))
	js := jetStream(t, nc)
	other, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other.>"}})
	require.NoError(t, err)
	left := func() int {
		info, err := js.AccountInfo(within(t))
		require.NoError(t, err)
		return int(info.Limits.MaxStore) - int(info.Store)
	}
	for left() > 100_000 {
		_, err := js.Publish(within(t), "other.x", make([]byte, 50_000))
		require.NoError(t, err)
	}
	all, e := rooms(t, 3), sized(t, left()*6/10) // one fits, two do not
	p := newPublisher(t, nc, hasty())
	atOnce(t, func() { _, err = p.PublishAll(within(t), all, e) })
	require.ErrorIs(t, err, mesh.ErrUnknownOutcome)
	require.ErrorIs(t, err, mesh.ErrStoreFull)
	assert.Equal(t, []string{e.ID}, idsIn(t, nc, all[0]))
	assert.Empty(t, history(t, nc, all[1]))

	// Repeated when there is room, it is whole.
	require.NoError(t, other.Purge(within(t)))
	acks, err := p.PublishAll(within(t), all, e)
	require.NoError(t, err)
	assertStored(t, nc, all, acks, e)
}
