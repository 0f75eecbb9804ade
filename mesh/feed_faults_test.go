package mesh_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
	"github.com/tidingsmesh/tidings/subjects"
)

func TestFeed_EventsLostInTheMiddleAreRepairedByTheNext(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t, func(c *setup) { c.Stream.MaxMsgsPerSubject = 1000 })
	for name, lost := range map[string]int{"one": 1, "some": 7, "more than a page": 300} {
		m := f.join(t, room(t, "campaign:"+subjects.NewID()), nil)
		other := f.join(t, m.room, nil)
		before := f.metric(t, "repairs_total")
		sent := placesOf(s.publish(t, m.room, 2))
		m.wants(t, sent)
		s.unannounced(t, func() { sent = append(sent, placesOf(s.publish(t, m.room, lost))...) })
		f.settle(t)
		assert.Len(t, m.places(), 2, name)
		sent = append(sent, placesOf(s.publish(t, m.room, 2))...)
		m.wants(t, sent)
		other.wants(t, sent)
		sent = append(sent, placesOf(s.publish(t, m.room, 2))...)
		m.wants(t, sent)
		assert.Equal(t, 1, f.metric(t, "repairs_total")-before, name)
		assert.Empty(t, m.told(), name)
	}
}

// TestFeed_LostLastEvent: no later event shows that it is missing, so somebody has to look.
func TestFeed_LostLastEvent(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	never := s.follow(t)
	often := s.follow(t, func(c *setup) { c.Audit = 50 * time.Millisecond })
	r, other := room(t, "campaign:1"), room(t, "campaign:2")
	unaware, audited, elsewhere := never.join(t, r, nil), often.join(t, r, nil), never.join(t, other, nil)
	id := event(t)
	var sent []place
	s.unannounced(t, func() {
		ack, err := s.publisher.Publish(t.Context(), r, id)
		require.NoError(t, err)
		sent = []place{{ack.Seq, ack.ID}}
	})
	audited.wants(t, sent)

	// The control: everything else goes on, and the edge that never looks stays unaware.
	elsewhere.wants(t, placesOf(s.publish(t, other, 3)))
	never.settle(t)
	assert.Empty(t, unaware.places())
	assert.Zero(t, never.metric(t, "repairs_total"))

	// A publisher that had lost its ack and repeats itself learns that the stream has the event, and
	// has the edges look.
	ack, err := s.publisher.Publish(t.Context(), r, id)
	require.NoError(t, err)
	require.True(t, ack.Duplicate)
	unaware.wants(t, sent)
	assert.Equal(t, 1, never.metric(t, "repairs_total"))
	sent = append(sent, placesOf(s.publish(t, r, 2))...)
	unaware.wants(t, sent)
	audited.wants(t, sent)
}

// announce repeats a stored event on its room's live subject as the stream does.
func (s *scene) announce(t testing.TB, r subjects.Room, seq, prev uint64) {
	t.Helper()
	m, err := s.stream(t).GetMsg(within(t), seq)
	require.NoError(t, err)
	out := nats.NewMsg(r.Live())
	out.Data = m.Data
	for key, value := range map[string]string{
		"Nats-Stream": subjects.StreamName, "Nats-Subject": r.Subject(), "Nats-Sequence": strconv.FormatUint(seq, 10),
		"Nats-Last-Sequence": strconv.FormatUint(prev, 10), "Nats-Time-Stamp": m.Time.UTC().Format(time.RFC3339Nano),
	} {
		out.Header.Set(key, value)
	}
	require.NoError(t, s.conn.PublishMsg(out))
}

func TestFeed_RepeatedAndShuffledAnnouncementsAreDeliveredOnceInOrder(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t)
	for round := range 5 {
		m := f.join(t, room(t, fmt.Sprintf("campaign:%d", round)), nil)
		var sent []place
		s.unannounced(t, func() { sent = placesOf(s.publish(t, m.room, 12)) })
		// All but the first few, each once or twice, in any order.
		var order []int
		for i := 2; i < len(sent); i++ {
			order = append(order, i)
			if i%3 == 0 {
				order = append(order, i)
			}
		}
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			s.announce(t, m.room, sent[i].seq, sent[i-1].seq)
		}
		m.wants(t, sent)
		sent = append(sent, placesOf(s.publish(t, m.room, 1))...)
		m.wants(t, sent)
		f.settle(t)
		m.wants(t, sent)
		assert.Empty(t, m.told())
	}
}

// TestFeed_AnnouncementsOfWhatIsNotStored: where NATS lets a worker publish on live subjects, what it
// says there does not stand against the stream.
func TestFeed_AnnouncementsOfWhatIsNotStored(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t)
	m := f.join(t, room(t, "campaign:1"), nil)
	sent := placesOf(s.publish(t, m.room, 2))
	m.wants(t, sent)
	for name, header := range map[string]nats.Header{
		"no header":        nil,
		"no sequence":      {"Nats-Last-Sequence": {"1"}},
		"sequence 0":       {"Nats-Sequence": {"0"}, "Nats-Last-Sequence": {"0"}, "Nats-Time-Stamp": {"2026-01-02T03:04:05Z"}},
		"no number":        {"Nats-Sequence": {"x"}, "Nats-Last-Sequence": {"0"}, "Nats-Time-Stamp": {"2026-01-02T03:04:05Z"}},
		"before itself":    {"Nats-Sequence": {"5"}, "Nats-Last-Sequence": {"6"}, "Nats-Time-Stamp": {"2026-01-02T03:04:05Z"}},
		"no time":          {"Nats-Sequence": {"900"}, "Nats-Last-Sequence": {"0"}},
		"time is no time":  {"Nats-Sequence": {"900"}, "Nats-Last-Sequence": {"0"}, "Nats-Time-Stamp": {"yesterday"}},
		"negative":         {"Nats-Sequence": {"-1"}, "Nats-Last-Sequence": {"0"}, "Nats-Time-Stamp": {"2026-01-02T03:04:05Z"}},
		"more than 64 bit": {"Nats-Sequence": {"18446744073709551616"}, "Nats-Last-Sequence": {"0"}, "Nats-Time-Stamp": {"2026-01-02T03:04:05Z"}},
	} {
		before := f.metric(t, "rounds_total")
		require.NoError(t, s.conn.PublishMsg(&nats.Msg{Subject: m.room.Live(), Header: header, Data: []byte(`{"type":"x"}`)}))
		meshtest.Eventually(t, func() bool { return f.metric(t, "rounds_total") > before }, "%s: the stream is asked", name)
	}
	f.settle(t)
	sent = append(sent, placesOf(s.publish(t, m.room, 1))...)
	m.wants(t, sent)
	assert.Empty(t, m.told())
	assert.Zero(t, f.metric(t, "repairs_total"))
}

func TestFeed_NATSStopsAndComesBack(t *testing.T) {
	t.Parallel()
	cfg := mesh.ServerConfig{Dir: t.TempDir(), Listen: port.Address(t)}
	start := func(cfg mesh.ServerConfig) *mesh.Server {
		server, err := mesh.StartServer(within(t), cfg, quietLog)
		require.NoError(t, err)
		t.Cleanup(server.Close)
		return server
	}
	server := start(cfg)
	url := server.ClientURL()
	s := sceneAt(t, &scene{url: url, conn: meshtest.Dial(t, mesh.DialConfig{URL: url})})
	f := s.follow(t)
	members := make([]*member, 10)
	sent := make([][]place, len(members))
	for i := range members {
		members[i] = f.join(t, room(t, fmt.Sprintf("campaign:%d", i)), nil)
		sent[i] = placesOf(s.publish(t, members[i].room, 2))
		members[i].wants(t, sent[i])
	}

	server.Close()
	meshtest.Eventually(t, func() bool { return f.feed.Ready() != nil }, "notices")
	assert.ErrorContains(t, f.feed.Ready(), "NATS is not reachable at "+url)
	late := f.shards[0].ask(room(t, "campaign:late"), nil)
	back := f.shards[0].ask(members[0].room, members[1].at()) // a position beyond the room
	// Events are stored that the feed cannot hear of: it reaches only what listens.
	hidden := start(mesh.ServerConfig{Dir: cfg.Dir})
	direct := sceneAt(t, &scene{conn: meshtest.Dial(t, mesh.DialConfig{Server: hidden})})
	for i, m := range members[1:] { // but not in the first
		sent[i+1] = append(sent[i+1], placesOf(direct.publish(t, m.room, 3))...)
	}
	hidden.Close()
	assert.Error(t, f.feed.Ready())

	start(cfg)
	meshtest.Eventually(t, func() bool { return f.feed.Ready() == nil }, "ready again")
	meshtest.Eventually(t, s.conn.IsConnected, "the publisher is back")
	assert.True(t, late.answered(t).First, "joins wait meanwhile")
	assert.Equal(t, continuity.ReasonEpoch, back.answered(t).Reason, "a place of another room")
	for i, m := range members {
		m.wants(t, sent[i])
		sent[i] = append(sent[i], placesOf(s.publish(t, m.room, 1))...)
		m.wants(t, sent[i])
		assert.Empty(t, m.told())
	}
}

// TestFeed_SlowSubscriberLosesNothing: while a subscriber does not return from Post, announcements
// gather and at last are dropped. The last ones among them would be missed for good.
func TestFeed_SlowSubscriberLosesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t, func(c *setup) { c.liveQueue, c.shards = 16, 2 })
	members := make([]*member, 20)
	sent := make([][]place, len(members))
	for i := range members {
		members[i] = f.shards[i%2].join(t, room(t, fmt.Sprintf("campaign:%d", i)), nil)
	}
	release := f.shards[0].hold(t)
	for range 10 {
		for i, m := range members {
			sent[i] = append(sent[i], placesOf(s.publish(t, m.room, 1))...)
		}
	}
	// All of them have reached the feed's connection when the server says that it is flushed.
	meshtest.Eventually(t, func() bool { return strings.Contains(f.log.String(), "messages dropped before they were read") }, "dropped")
	release()
	for i, m := range members {
		m.wants(t, sent[i])
		assert.Empty(t, m.told())
	}
	assert.GreaterOrEqual(t, f.metric(t, "repairs_total"), len(members)/2)
	for i, m := range members {
		sent[i] = append(sent[i], placesOf(s.publish(t, m.room, 2))...)
		m.wants(t, sent[i])
	}
}

// TestFeed_ClientsComeAndGoWhileAnnouncementsAreLost is the seam between replay and live events: at
// random moments members leave and resume at one of two edges, while events are stored of which one
// in four is never announced.
func TestFeed_ClientsComeAndGoWhileAnnouncementsAreLost(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	change := func(c *setup) {
		c.Audit, c.RingEntries, c.shards = 100*time.Millisecond, 8, 2
		c.Stream.MaxMsgsPerSubject = 10_000
	}
	edges := []*follower{s.follow(t, change), s.follow(t, change)}
	var starts []uint64
	var members []*member
	for i := range 12 {
		m := edges[i%2].shards[i/2%2].join(t, room(t, fmt.Sprintf("campaign:%d", i%3)), nil)
		members, starts = append(members, m), append(starts, m.at().Seq)
	}
	away := make(map[*member]bool)
	// back resumes, at whatever edge, and does not wait for the answer.
	back := func(m *member) {
		m.move(edges[rand.IntN(2)].shards[rand.IntN(2)])
		m.ask(mesh.Join{Since: m.at()})
		delete(away, m)
	}
	burst := func() {
		for range 1 + rand.IntN(4) {
			s.publish(t, members[rand.IntN(len(members))].room, 1)
		}
	}
	for step := range 1000 {
		m := members[rand.IntN(len(members))]
		switch {
		case step%8 == 0:
			s.unannounced(t, burst)
		case step%2 == 0:
			burst()
		case away[m]:
			back(m)
		default:
			assert.Empty(t, m.answered(t).Reason)
			m.leave()
			away[m] = true
		}
	}
	for m := range away {
		back(m)
	}
	for _, m := range members {
		assert.Empty(t, m.answered(t).Reason)
	}
	for i, m := range members {
		m.wants(t, s.history(t, m.room, starts[i]))
		assert.Empty(t, m.told())
	}
	for _, f := range edges {
		assert.NotZero(t, f.metric(t, "repairs_total"))
		assert.NotZero(t, f.metric(t, "fetches_total"))
	}
}
