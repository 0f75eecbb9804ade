package mesh_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// scene is a NATS with what publishes to it and looks into its stream.
type scene struct {
	nats      *meshtest.NATS // nil in a cluster
	url       string
	conn      *nats.Conn
	publisher *mesh.Publisher
}

// newScene starts an embedded server. The stream is created by the first feed.
func newScene(t testing.TB) *scene {
	t.Helper()
	server := meshtest.Start(t)
	return sceneAt(t, &scene{nats: server, url: server.URL, conn: server.Conn(t)})
}

func sceneAt(t testing.TB, s *scene) *scene {
	t.Helper()
	cfg := mesh.PublisherConfig{AckWait: 2 * time.Second} // NATS may be lost
	if s.nats != nil {
		cfg.AckWait = 0
	}
	s.publisher = newPublisher(t, s.conn, cfg)
	return s
}

// publish stores n events in a room and returns their acks.
func (s *scene) publish(t testing.TB, r subjects.Room, n int) []mesh.Ack {
	t.Helper()
	acks := make([]mesh.Ack, n)
	for i := range acks {
		var err error
		acks[i], err = s.publisher.Publish(t.Context(), r, event(t))
		require.NoError(t, err)
	}
	return acks
}

// store stores what may be no event at all and returns its sequence.
func (s *scene) store(t testing.TB, r subjects.Room, header nats.Header, payload string) uint64 {
	t.Helper()
	reply, err := s.conn.RequestMsgWithContext(within(t), &nats.Msg{Subject: r.Subject(), Header: header, Data: []byte(payload)})
	require.NoError(t, err)
	var ack jetstream.PubAck
	require.NoError(t, json.Unmarshal(reply.Data, &ack))
	require.NotZero(t, ack.Sequence, "%s", reply.Data)
	return ack.Sequence
}

func (s *scene) stream(t testing.TB) jetstream.Stream {
	t.Helper()
	js, err := jetstream.New(s.conn)
	require.NoError(t, err)
	stream, err := js.Stream(within(t), subjects.StreamName)
	require.NoError(t, err)
	return stream
}

// edit changes the stream's configuration, as an operator can.
func (s *scene) edit(t testing.TB, change func(*jetstream.StreamConfig)) {
	t.Helper()
	cfg := s.stream(t).CachedInfo().Config
	change(&cfg)
	js, err := jetstream.New(s.conn)
	require.NoError(t, err)
	_, err = js.UpdateStream(within(t), cfg)
	require.NoError(t, err)
}

// unannounced runs publish while the stream stores and acks events but does not repeat them on the
// live subjects: every announcement is lost.
func (s *scene) unannounced(t testing.TB, publish func()) {
	t.Helper()
	var republish *jetstream.RePublish
	s.edit(t, func(c *jetstream.StreamConfig) { republish, c.RePublish = c.RePublish, nil })
	publish()
	s.edit(t, func(c *jetstream.StreamConfig) { c.RePublish = republish })
}

// place is an event's place in the stream.
type place struct {
	seq uint64
	id  string
}

// history is what the stream has of a room after a sequence. All of it must be events of the
// publisher.
func (s *scene) history(t testing.TB, r subjects.Room, after uint64) []place {
	t.Helper()
	stream := s.stream(t)
	places := []place{}
	for {
		m, err := stream.GetMsg(within(t), after+1, jetstream.WithGetMsgSubject(r.Subject()))
		if err != nil {
			require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
			return places
		}
		var e subjects.Event
		require.NoError(t, json.Unmarshal(m.Data, &e))
		places = append(places, place{m.Sequence, e.ID})
		after = m.Sequence
	}
}

func placeOf(p continuity.Position) place { return place{p.Seq, p.ID} }

func placesOf(acks []mesh.Ack) []place {
	places := make([]place, 0, len(acks))
	for _, a := range acks {
		places = append(places, place{a.Seq, a.ID})
	}
	return places
}

// follower is a running feed with its shards.
type follower struct {
	name    string
	feed    *mesh.Feed
	shards  []*shard
	metrics *prometheus.Registry
	log     fmt.Stringer

	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	err    error         // of Run
}

// setup is what a test changes about a follower.
type setup struct {
	mesh.FeedConfig
	shards    int
	liveQueue int // 0: the feed's own
}

var followers atomic.Int64

// follow runs a feed until the test ends and waits until it is ready. Unless changed it has one
// shard, never audits by itself and gives rooms up as soon as they are empty.
func (s *scene) follow(t testing.TB, change ...func(*setup)) *follower {
	t.Helper()
	f := s.launch(t, change...)
	meshtest.Eventually(t, func() bool { return f.feed.Ready() == nil }, "feed ready")
	return f
}

// launch is follow without waiting.
func (s *scene) launch(t testing.TB, change ...func(*setup)) *follower {
	t.Helper()
	c := setup{FeedConfig: mesh.DefaultFeedConfig(), shards: 1}
	c.Edge = "edge-" + strconv.FormatInt(followers.Add(1), 10)
	c.Dial.URL = s.url
	c.Linger, c.Audit, c.Settle = 0, time.Hour, 0
	c.Encode = encode
	for _, do := range change {
		do(&c)
	}
	f := &follower{name: c.Edge, metrics: prometheus.NewRegistry(), done: make(chan struct{})}
	c.Metrics = f.metrics
	log, written := mesh.NewLog()
	f.log = written
	var err error
	f.feed, err = mesh.NewFeed(c.FeedConfig, log)
	require.NoError(t, err)
	if c.liveQueue > 0 {
		f.feed.SetLiveQueue(c.liveQueue)
	}
	for range c.shards {
		shard := &shard{feed: f.feed, members: make(map[subjects.Room][]*member)}
		shard.number = f.feed.Subscribe(shard)
		f.shards = append(f.shards, shard)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	go func() {
		defer close(f.done)
		f.err = f.feed.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		f.awaitEnd(t)
		for _, s := range f.shards {
			assert.Empty(t, s.faults)
		}
		if t.Failed() {
			all := strings.Split(f.log.String(), "\n")
			t.Logf("end of the log of %s:\n%s", f.name, strings.Join(all[max(0, len(all)-60):], "\n"))
		}
	})
	return f
}

// stop ends the feed, which must have nothing to complain about.
func (f *follower) stop(t testing.TB) {
	t.Helper()
	f.cancel()
	f.awaitEnd(t)
	require.NoError(t, f.err)
}

// awaitEnd waits for Run to return.
func (f *follower) awaitEnd(t testing.TB) {
	t.Helper()
	select {
	case <-f.done:
	case <-time.After(time.Minute):
		require.Fail(t, "Run does not return")
	}
}

// join joins on the first shard.
func (f *follower) join(t testing.TB, r subjects.Room, since *continuity.Position) *member {
	t.Helper()
	return f.shards[0].join(t, r, since)
}

// settle returns when the feed has handled all that was announced before the call. A room that nobody
// else uses is joined: its answer follows a fence. Repairs may still be under way.
func (f *follower) settle(t testing.TB) {
	t.Helper()
	f.join(t, room(t, "settle:"+subjects.NewID()), nil).leave()
}

// metric is the value of a metric with that one label value, or of one without labels.
func (f *follower) metric(t testing.TB, name string, label ...string) int {
	t.Helper()
	families, err := f.metrics.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != "tidings_mesh_"+name {
			continue
		}
		for _, m := range family.GetMetric() {
			if len(m.GetLabel()) == len(label) && (len(label) == 0 || m.GetLabel()[0].GetValue() == label[0]) {
				return int(m.GetGauge().GetValue() + m.GetCounter().GetValue())
			}
		}
	}
	require.Fail(t, "no such metric", "%s %v", name, label)
	return 0
}

// await waits until a metric has a value.
func (f *follower) await(t testing.TB, want int, name string, label ...string) {
	t.Helper()
	meshtest.Eventually(t, func() bool { return f.metric(t, name, label...) == want }, "%s %v is %d", name, label, want)
}

// shard is a Subscriber as an edge's shards are: it knows who is in which room, and hands on what the
// feed has for them. What contradicts the feed's promises is a fault, and fails the test.
type shard struct {
	feed   *mesh.Feed
	number int

	gate    sync.Mutex // held by a test that keeps Post from returning
	waiting atomic.Bool
	offered int // the feed's

	mu      sync.Mutex // guards what follows and the members
	members map[subjects.Room][]*member
	events  int // deliveries of events
	faults  []string
}

// Offer implements mesh.Subscriber. It takes every other one.
func (s *shard) Offer(deliveries []mesh.Delivery) bool {
	if s.offered++; s.offered%2 == 0 || !s.gate.TryLock() {
		return false
	}
	defer s.gate.Unlock()
	s.deliver(deliveries)
	return true
}

// Post implements mesh.Subscriber.
func (s *shard) Post(deliveries []mesh.Delivery) {
	s.waiting.Store(true)
	s.gate.Lock()
	s.waiting.Store(false)
	defer s.gate.Unlock()
	s.deliver(deliveries)
}

func (s *shard) deliver(deliveries []mesh.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range deliveries {
		switch d.Kind {
		case mesh.DeliverEvent:
			s.events++
			if len(s.members[d.Room]) == 0 && !s.expected(d.Room) {
				s.fault("%s: event %d for nobody", d.Room, d.Entry.Seq)
			}
			for _, m := range s.members[d.Room] {
				m.event(d.Entry)
			}
		case mesh.DeliverReset:
			for _, m := range s.members[d.Room] {
				m.reset(*d.Answer)
			}
		case mesh.DeliverJoined:
			m, _ := d.Ticket.(*member)
			if m == nil || m.room != d.Room {
				s.fault("%s: answer for %v", d.Room, d.Ticket)
				continue
			}
			m.joined(*d.Answer)
		}
	}
}

// expected tells whether somebody has just left a room, so that what the feed had for it may still
// come. It needs mu.
func (s *shard) expected(r subjects.Room) bool {
	_, known := s.members[r]
	return known
}

func (s *shard) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// delivered is how many deliveries of events there were.
func (s *shard) delivered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events
}

// hold keeps the feed's loop in Post until the caller releases it. Meanwhile requests and live
// messages gather.
func (s *shard) hold(t testing.TB) (release func()) {
	t.Helper()
	s.gate.Lock()
	m := s.ask(room(t, "hold:"+subjects.NewID()), nil)
	meshtest.Eventually(t, s.waiting.Load, "the loop waits in Post")
	return func() {
		s.gate.Unlock()
		m.answered(t)
		m.leave()
	}
}

// join brings a new member into a room and waits for the answer.
func (s *shard) join(t testing.TB, r subjects.Room, since *continuity.Position) *member {
	t.Helper()
	m := s.ask(r, since)
	m.answered(t)
	return m
}

// ask is join without waiting.
func (s *shard) ask(r subjects.Room, since *continuity.Position) *member {
	m := &member{shard: s, room: r}
	m.ask(mesh.Join{Since: since})
	return m
}

// member is a client in a room. It checks and applies what it gets by the rules of the protocol, but
// for those that let it pass over repeated events: the feed never repeats one.
type member struct {
	shard *shard
	room  subjects.Room

	// Guarded by the shard's mu.
	since    *continuity.Position // of the join that is asked for
	waits    bool                 // for an answer
	in       bool
	lags     bool              // passes over events until it has caught up
	answer   continuity.Answer // the last one
	position continuity.Position
	chained  bool // the last thing was a live event
	log      []continuity.Entry
	resets   []continuity.Reason
}

func (m *member) ask(j mesh.Join) {
	m.shard.mu.Lock()
	if j.Since != nil {
		since := *j.Since
		m.since = &since
	} else {
		m.since = nil
	}
	m.waits = true
	m.shard.mu.Unlock()
	j.Room, j.Ticket = m.room, m
	m.shard.feed.Join(m.shard.number, j)
}

// answered waits for the answer of a join.
func (m *member) answered(t testing.TB) continuity.Answer {
	t.Helper()
	meshtest.Eventually(t, func() bool { return !m.isWaiting() }, "answer for %s", m.room)
	return m.last()
}

func (m *member) isWaiting() bool {
	m.shard.mu.Lock()
	defer m.shard.mu.Unlock()
	return m.waits
}

// last is the last answer.
func (m *member) last() continuity.Answer {
	m.shard.mu.Lock()
	defer m.shard.mu.Unlock()
	return m.answer
}

// at is where it stands.
func (m *member) at() *continuity.Position {
	m.shard.mu.Lock()
	defer m.shard.mu.Unlock()
	position := m.position
	return &position
}

func (m *member) leave() {
	m.shard.mu.Lock()
	m.in = false
	others := m.shard.members[m.room][:0]
	for _, other := range m.shard.members[m.room] {
		if other != m {
			others = append(others, other)
		}
	}
	m.shard.members[m.room] = others
	m.shard.mu.Unlock()
	m.shard.feed.Leave(m.shard.number, m.room)
}

// rejoin joins again from where it stands.
func (m *member) rejoin(t testing.TB) continuity.Answer {
	t.Helper()
	m.ask(mesh.Join{Since: m.at()})
	return m.answered(t)
}

// move makes it a client of another shard, maybe of another edge. It must have left.
func (m *member) move(to *shard) { m.shard = to }

// lag makes it pass over events, as one whose socket is full.
func (m *member) lag() {
	m.shard.mu.Lock()
	defer m.shard.mu.Unlock()
	m.lags = true
}

// catchUp asks for what it passed over.
func (m *member) catchUp(t testing.TB) continuity.Answer {
	t.Helper()
	m.ask(mesh.Join{Since: m.at(), CatchUp: true})
	return m.answered(t)
}

// entries are the events that it has applied.
func (m *member) entries() []continuity.Entry {
	m.shard.mu.Lock()
	defer m.shard.mu.Unlock()
	return append([]continuity.Entry{}, m.log...)
}

// places are the same, by their places.
func (m *member) places() []place {
	places := []place{}
	for _, e := range m.entries() {
		places = append(places, place{e.Seq, e.ID})
	}
	return places
}

// wants waits until it has applied as many events as expected, and compares.
func (m *member) wants(t testing.TB, expected []place) {
	t.Helper()
	meshtest.Eventually(t, func() bool { return len(m.places()) >= len(expected) }, "%d events of %s", len(expected), m.room)
	got := m.places()
	for i, p := range expected {
		require.Equal(t, p, got[i], "event %d of %s", i, m.room)
	}
	assert.Len(t, got, len(expected), "%s", m.room)
}

// told are the resets that it was told of.
func (m *member) told() []continuity.Reason {
	m.shard.mu.Lock()
	defer m.shard.mu.Unlock()
	return append([]continuity.Reason{}, m.resets...)
}

// joined takes an answer.
func (m *member) joined(a continuity.Answer) {
	if !m.waits {
		m.shard.fault("%s: an answer that nobody waits for", m.room)
	}
	if m.in != m.lags {
		m.shard.fault("%s: joined twice", m.room)
	}
	if a.First != (m.since == nil) {
		m.shard.fault("%s: first %v with position %v", m.room, a.First, m.since)
	}
	if len(a.Replay) > 0 && (a.First || a.Reason != "") {
		m.shard.fault("%s: %d events for one who missed none or is not told", m.room, len(a.Replay))
	}
	if a.Position.Epoch == "" || a.Position.Seq == 0 || a.Position.TS == 0 {
		m.shard.fault("%s: answer without a position: %+v", m.room, a.Position)
	}
	if !m.in {
		m.shard.members[m.room] = append(m.shard.members[m.room], m)
	}
	m.waits, m.lags, m.in, m.answer, m.chained = false, false, true, a, false
	for _, e := range a.Replay {
		if e.Seq <= m.since.Seq {
			m.shard.fault("%s: replay of %d, older than %d", m.room, e.Seq, m.since.Seq)
		}
		m.since = &continuity.Position{Seq: e.Seq}
		m.apply(e)
	}
	if n := len(a.Replay); n > 0 && a.Replay[n-1].Seq > a.Position.Seq {
		m.shard.fault("%s: replay beyond the position %d", m.room, a.Position.Seq)
	}
	m.position = a.Position
}

// event takes a live event.
func (m *member) event(e continuity.Entry) {
	switch {
	case m.lags:
		return
	case e.Prev > m.position.Seq, m.chained && e.Prev != m.position.Seq:
		m.shard.fault("%s: gap, %d says %d, stands at %d", m.room, e.Seq, e.Prev, m.position.Seq)
	case e.Seq <= m.position.Seq:
		m.shard.fault("%s: %d again, stands at %d", m.room, e.Seq, m.position.Seq)
	}
	m.chained = true
	m.apply(e)
	m.position = continuity.Position{Epoch: m.position.Epoch, Seq: e.Seq, ID: e.ID, TS: e.Time}
}

// apply takes an event into the log. Its frame must be the event's.
func (m *member) apply(e continuity.Entry) {
	var f frame
	if err := json.Unmarshal(e.Frame, &f); err != nil || f.Room != m.room.String() || f.Seq != e.Seq ||
		f.Prev != e.Prev || f.Time != e.Time || f.Event.ID != e.ID {
		m.shard.fault("%s: frame %s for %d after %d, id %s (%v)", m.room, e.Frame, e.Seq, e.Prev, e.ID, err)
	}
	m.log = append(m.log, e)
}

// reset takes the news that continuity was lost.
func (m *member) reset(a continuity.Answer) {
	if a.First || a.Reason == "" || len(a.Replay) > 0 {
		m.shard.fault("%s: reset %+v", m.room, a)
	}
	m.resets, m.position, m.chained = append(m.resets, a.Reason), a.Position, false
}

// frame is what the feeds of these tests make of an event.
type frame struct {
	Room  string
	Seq   uint64
	Prev  uint64
	Time  int64
	Event subjects.Event
}

func encode(r subjects.Room, m continuity.Message, prev uint64) []byte {
	return fmt.Appendf(nil, `{"Room":%q,"Seq":%d,"Prev":%d,"Time":%d,"Event":%s}`, r.String(), m.Seq, prev, m.Time, m.Event)
}
