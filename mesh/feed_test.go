package mesh_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
)

func TestNewFeed_RefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*mesh.FeedConfig){
		"no name":         func(c *mesh.FeedConfig) { c.Edge = "" },
		"a name with dot": func(c *mesh.FeedConfig) { c.Edge = "a.b" },
		"no encoder":      func(c *mesh.FeedConfig) { c.Encode = nil },
		"linger":          func(c *mesh.FeedConfig) { c.Linger = -1 },
		"audit":           func(c *mesh.FeedConfig) { c.Audit = 0 },
		"ring entries":    func(c *mesh.FeedConfig) { c.RingEntries = 0 },
		"ring bytes":      func(c *mesh.FeedConfig) { c.RingBytes = 0 },
		"all rings":       func(c *mesh.FeedConfig) { c.TotalRingBytes = 0 },
		"stream":          func(c *mesh.FeedConfig) { c.Stream.MaxMsgsPerSubject = 0 },
	} {
		c := mesh.DefaultFeedConfig()
		c.Edge, c.Encode = "edge", encode
		_, err := mesh.NewFeed(c, quietLog)
		require.NoError(t, err)
		change(&c)
		_, err = mesh.NewFeed(c, quietLog)
		assert.ErrorIs(t, err, mesh.ErrConfig, name)
	}
}

func TestFeed_BadAddressIsNoReasonToWait(t *testing.T) {
	t.Parallel()
	f := (&scene{url: "http://127.0.0.1:4222"}).launch(t)
	f.awaitEnd(t)
	require.ErrorIs(t, f.err, mesh.ErrConfig)
	assert.Error(t, f.feed.Ready())
}

func TestFeed_StreamThatProvesNothingIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	js, err := jetstream.New(s.conn)
	require.NoError(t, err)
	_, err = js.CreateStream(within(t), jetstream.StreamConfig{Name: "ROOMS", Subjects: []string{"room.>"}, AllowRollup: true, MaxMsgsPerSubject: 256})
	require.NoError(t, err)

	f := s.launch(t)
	f.awaitEnd(t)
	var mismatch *mesh.StreamMismatchError
	require.ErrorAs(t, f.err, &mismatch)
	named := make(map[string]bool)
	for _, field := range mismatch.Fields {
		named[field.Field] = true
	}
	for _, field := range []string{"deny_delete", "deny_purge", "allow_rollup_hdrs", "allow_direct", "republish.src"} {
		assert.True(t, named[field], field)
	}
	assert.ErrorContains(t, f.feed.Ready(), "stopped")
}

func TestFeed_WaitsForNATS(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.nats.Stop()
	f := s.launch(t)
	meshtest.Eventually(t, func() bool {
		err := f.feed.Ready()
		return err != nil && strings.HasPrefix(err.Error(), "NATS is not reachable at "+s.url)
	}, "says what it waits for")
	r := room(t, "campaign:1")
	early := f.shards[0].ask(r, nil)

	s.nats.Restart(t)
	meshtest.Eventually(t, func() bool { return f.feed.Ready() == nil }, "ready when it comes")
	assert.True(t, early.answered(t).First, "what was asked before is answered")
	meshtest.Eventually(t, s.conn.IsConnected, "the publisher is back, too")
	early.wants(t, placesOf(s.publish(t, r, 3)))
}

func TestFeed_RunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	t.Run("with members", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		f := s.follow(t)
		m := f.join(t, room(t, "campaign:1"), nil)
		m.wants(t, placesOf(s.publish(t, m.room, 3)))
		f.stop(t)
		assert.EqualError(t, f.feed.Ready(), "stopped")
		meshtest.Eventually(t, func() bool { return s.nats.Server().Interest(m.room.Live()) == 0 }, "nothing is left at the server")
	})
	t.Run("before NATS was there", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		s.nats.Stop()
		f := s.launch(t)
		f.shards[0].ask(room(t, "campaign:1"), nil)
		meshtest.Eventually(t, func() bool { return f.feed.Ready() != nil }, "waits")
		f.stop(t)
	})
	t.Run("in the midst of reads that nobody answers", func(t *testing.T) {
		t.Parallel()
		server := meshtest.StartProcess(t, meshtest.ProcessConfig{})
		s := sceneAt(t, &scene{url: server.URL, conn: server.Dial(t, mesh.DialConfig{})})
		f := s.follow(t)
		known := room(t, "campaign:1")
		sent := s.publish(t, known, 2)
		old := *f.join(t, known, nil).at()
		old.Seq, old.ID = sent[0].Seq, sent[0].ID
		// A frozen server keeps its connections: whatever is asked now waits.
		server.Pause(t)
		f.shards[0].ask(known, &old)                   // a read of the room
		f.shards[0].ask(room(t, "campaign:new"), &old) // a round
		meshtest.Eventually(t, func() bool { return f.metric(t, "fetches_total") == 1 }, "reads")
		began := time.Now()
		f.stop(t)
		assert.Less(t, time.Since(began), 10*time.Second)
		server.Resume(t)
	})
}

func TestFeed_ReadyTellsWhenTheStreamIsGone(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t)
	js, err := jetstream.New(s.conn)
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(within(t), "ROOMS"))
	f.shards[0].ask(room(t, "campaign:1"), nil) // somebody has to ask
	meshtest.Eventually(t, func() bool {
		err := f.feed.Ready()
		return err != nil && !errors.Is(err, mesh.ErrConfig)
	}, "not ready without its stream")
	assert.ErrorContains(t, f.feed.Ready(), "the stream does not answer")
}
