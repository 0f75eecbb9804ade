package mesh_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

func TestPublisher_AckNamesTheStoredEvent(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	r := room(t, "campaign:42")
	at := time.Date(2026, 5, 6, 7, 8, 9, 10, time.UTC)
	events := []subjects.Event{
		{ID: "only-what-is-needed", Source: "/s", Type: "t"},
		{
			ID: "everything", Source: "/workers/a?b=c", Type: "de.example.t", Subject: "what it is about",
			DataContentType: "application/vnd.x+json", DataSchema: "https://example.com/s", Time: at,
			Data:       json.RawMessage(`{"big":123456789012345678901234567890,"text":"ä\u0041"}`),
			Extensions: map[string]json.RawMessage{"traceparent": json.RawMessage(`"00-1-2-01"`), "n": json.RawMessage(`7`)},
		},
		{ID: "not JSON", Source: "/s", Type: "t", DataContentType: "image/png", DataBase64: "iVBORw0KGgo=", Time: at},
		{ID: "ids may be \"strange\"/%2F ☃ + a=b&c", Source: "/s", Type: "t", Time: at},
	}
	for i, e := range events {
		ack, err := p.Publish(within(t), r, e)
		require.NoError(t, err)
		assert.Equal(t, mesh.Ack{Seq: uint64(i + 1), ID: e.ID}, ack)
	}
	got := history(t, nc, r)
	require.Len(t, got, len(events))
	for i, want := range events {
		assert.Equal(t, uint64(i+1), got[i].Seq)
		e := decode(t, got[i])
		if want.Time.IsZero() {
			want.Time = got[i].Time // a reader takes the stream's
		}
		assert.Equal(t, want, e)
	}
}

func TestPublisher_DataOfTheCatalogueBecomesACompleteEvent(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{Source: "/workers/tester"})
	ids := make(map[string]bool)
	for _, data := range subjects.Catalogue() {
		r := room(t, "campaign:"+data.EventType())
		ack, err := p.PublishData(within(t), r, data)
		require.NoError(t, err)
		ids[ack.ID] = true
		stored := history(t, nc, r)
		require.Len(t, stored, 1)
		e := decode(t, stored[0])
		assert.Equal(t, ack.Seq, stored[0].Seq)
		assert.Equal(t, ack.ID, e.ID)
		assert.Equal(t, "/workers/tester", e.Source)
		assert.Equal(t, data.EventType(), e.Type)
		assert.WithinDuration(t, stored[0].Time, e.Time, time.Minute)
		want, err := json.Marshal(data)
		require.NoError(t, err)
		assert.JSONEq(t, string(want), string(e.Data))
	}
	assert.Len(t, ids, len(subjects.Catalogue()), "each event has an id of its own")
}

// announcement is an application's own event type.
type announcement struct {
	Text any `json:"text"`
}

func (announcement) EventType() string { return "announcement" }

func TestPublisher_DataOfTheApplicationsOwnType(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	r := room(t, "campaign:42")
	_, err := p.PublishData(within(t), r, announcement{Text: "<hello>"})
	require.NoError(t, err)
	e := decode(t, history(t, nc, r)[0])
	assert.Equal(t, "announcement", e.Type)
	assert.Equal(t, subjects.DefaultSource, e.Source)
	assert.JSONEq(t, `{"text":"<hello>"}`, string(e.Data))

	_, err = p.PublishData(within(t), r, announcement{Text: func() {}})
	require.ErrorContains(t, err, "announcement", "data that is no JSON is refused")
	assert.Equal(t, uint64(1), lastSeq(t, nc))
}

// stalled is a publisher whose acks are kept back, and what it publishes to.
type stalled struct {
	*mesh.Publisher
	wire *wire
}

// stall returns a publisher that hears nothing from the server until its wire heals.
func stall(t testing.TB, n *meshtest.NATS, cfg mesh.PublisherConfig) stalled {
	t.Helper()
	w := newWire(t, n.URL)
	p := newPublisher(t, w.dial(t), cfg)
	w.hold()
	return stalled{p, w}
}

func TestPublisher_OneRoomIsStoredInTheOrderOfTheCalls(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := stall(t, n, mesh.PublisherConfig{Retry: mesh.MaxRetry}) // the first one's time runs while the others come
	r := room(t, "campaign:42")
	const callers = 10
	var (
		wg   sync.WaitGroup
		want []string
		acks [callers]mesh.Ack
		errs [callers]error
	)
	for i := range callers {
		e := event(t)
		want = append(want, e.ID)
		wg.Go(func() { acks[i], errs[i] = p.Publish(within(t), r, e) })
		if i == 0 {
			meshtest.Eventually(t, func() bool { return lastSeq(t, nc) == 1 }, "the first one is stored")
		} else {
			meshtest.Eventually(t, func() bool { return mesh.Waiting(p.Publisher) == i }, "call %d waits", i)
		}
	}
	assert.Equal(t, uint64(1), lastSeq(t, nc), "the others wait for the first one's ack")
	p.wire.heal()
	wg.Wait()
	require.NoError(t, errors.Join(errs[:]...))
	assert.Equal(t, want, idsIn(t, nc, r))
	for i, ack := range acks {
		assert.Equal(t, mesh.Ack{Seq: uint64(i + 1), ID: want[i]}, ack)
	}
	assert.Zero(t, mesh.Waiting(p.Publisher))
}

func TestPublisher_OneRoomDoesNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := stall(t, n, mesh.PublisherConfig{})
	const rooms = 20
	var (
		wg   sync.WaitGroup
		errs [2 * rooms]error
	)
	for i := range 2 * rooms { // two for each room
		r := room(t, fmt.Sprintf("campaign:%d", i%rooms))
		e := event(t)
		wg.Go(func() { _, errs[i] = p.Publish(within(t), r, e) })
	}
	meshtest.Eventually(t, func() bool {
		return lastSeq(t, nc) == rooms && mesh.Waiting(p.Publisher) == rooms
	}, "one of each room is stored, one waits")
	p.wire.heal()
	wg.Wait()
	require.NoError(t, errors.Join(errs[:]...))
	assert.Equal(t, uint64(2*rooms), lastSeq(t, nc))
}

func TestPublisher_TooManyWaitingCallsAreTurnedAway(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := stall(t, n, mesh.PublisherConfig{MaxWaiting: 3})
	r, other := room(t, "campaign:42"), room(t, "campaign:43")
	var wg sync.WaitGroup
	for range 1 + 3 {
		e := event(t)
		wg.Go(func() {
			_, err := p.Publish(within(t), r, e)
			assert.NoError(t, err)
		})
	}
	meshtest.Eventually(t, func() bool { return lastSeq(t, nc) == 1 && mesh.Waiting(p.Publisher) == 3 }, "one on its way, three wait")
	_, err := p.Publish(within(t), r, event(t))
	require.ErrorIs(t, err, mesh.ErrBusy)
	require.ErrorContains(t, err, "campaign:42")
	_, err = p.PublishAll(within(t), []subjects.Room{other, r}, event(t))
	require.ErrorIs(t, err, mesh.ErrBusy)

	// A room in which nobody is busy needs no waiting, not even one whose turn was
	// given back just now.
	free := event(t)
	wg.Go(func() {
		_, err := p.Publish(within(t), other, free)
		assert.NoError(t, err)
	})
	meshtest.Eventually(t, func() bool { return lastSeq(t, nc) == 2 }, "stored")
	p.wire.heal()
	wg.Wait()
	_, err = p.Publish(within(t), r, event(t))
	require.NoError(t, err)
	assert.Equal(t, uint64(6), lastSeq(t, nc), "nothing of those turned away")
}

func TestPublisher_WaitingForATurnEndsWithItsContext(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := stall(t, n, mesh.PublisherConfig{})
	r := room(t, "campaign:42")
	why := errors.New("tired of waiting")
	ctx, cancel := context.WithCancelCause(t.Context())
	var (
		wg                 sync.WaitGroup
		first, third       = event(t), event(t)
		single, all, later error
	)
	wg.Go(func() {
		_, err := p.Publish(within(t), r, first)
		assert.NoError(t, err)
	})
	meshtest.Eventually(t, func() bool { return lastSeq(t, nc) == 1 }, "the first one has the turn")
	wg.Go(func() { _, single = p.Publish(ctx, r, event(t)) })
	wg.Go(func() { _, all = p.PublishAll(ctx, []subjects.Room{room(t, "a:1"), r}, event(t)) })
	meshtest.Eventually(t, func() bool { return mesh.Waiting(p.Publisher) == 2 }, "both wait")
	wg.Go(func() { _, later = p.Publish(within(t), r, third) })
	meshtest.Eventually(t, func() bool { return mesh.Waiting(p.Publisher) == 3 }, "a third waits")
	cancel(why)
	meshtest.Eventually(t, func() bool { return mesh.Waiting(p.Publisher) == 1 }, "they have gone")
	p.wire.heal()
	wg.Wait()
	require.ErrorIs(t, single, why)
	require.ErrorIs(t, all, why)
	require.NoError(t, later, "who goes away leaves the turn to the next")
	assert.Equal(t, []string{first.ID, third.ID}, idsIn(t, nc, r))
}

func TestPublisher_AnEndedContextSendsNothing(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // it would be a matter of chance
		_, err := p.Publish(ctx, room(t, "campaign:42"), event(t))
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, mesh.ErrUnavailable, "nothing is wrong with NATS")
	}
	assert.Zero(t, lastSeq(t, nc))
}

func TestPublisher_TheSameIDTwiceIsStoredOnceAndAsksForALook(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	r := room(t, "campaign:42")
	watcher := n.Conn(t)
	nudges, err := watcher.SubscribeSync(subjects.NudgeWildcard)
	require.NoError(t, err)
	require.NoError(t, watcher.Flush())

	e := event(t)
	first, err := p.Publish(within(t), r, e)
	require.NoError(t, err)
	assert.False(t, first.Duplicate)
	again, err := p.Publish(within(t), r, e)
	require.NoError(t, err)
	assert.Equal(t, mesh.Ack{Seq: first.Seq, Duplicate: true, ID: e.ID}, again)
	assert.Equal(t, []string{e.ID}, idsIn(t, nc, r))

	nudge, err := nudges.NextMsgWithContext(within(t))
	require.NoError(t, err)
	assert.Equal(t, r.Nudge(), nudge.Subject)
	require.NoError(t, nc.Flush())
	require.NoError(t, watcher.Flush())
	more, _, err := nudges.Pending()
	require.NoError(t, err)
	assert.Zero(t, more, "one for the second, none for the first")
}

func TestPublisher_TheSameIDInAnotherRoomIsNoDuplicate(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	e := event(t)
	// The last two would be one message id if room and event were just put together.
	ids := map[string]string{"campaign:42": e.ID, "campaign:43": e.ID, "party:42": e.ID, "a:b": "c/d", "a:b/c": "d"}
	for name, id := range ids {
		e.ID = id
		ack, err := p.Publish(within(t), room(t, name), e)
		require.NoError(t, err)
		assert.False(t, ack.Duplicate, name)
	}
	for name, id := range ids {
		assert.Equal(t, []string{id}, idsIn(t, nc, room(t, name)))
	}
}

func TestPublisherConfig_Validate(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]mesh.PublisherConfig{
		"negative retry": {Retry: -time.Second},
		"retries for longer than ids are remembered": {Retry: mesh.MaxRetry + time.Millisecond},
		"negative ack wait":                          {AckWait: -time.Second},
		"negative bound":                             {MaxWaiting: -1},
	} {
		assert.ErrorIs(t, cfg.Validate(), mesh.ErrConfig, name)
		_, err := mesh.NewPublisher(nil, cfg)
		assert.ErrorIs(t, err, mesh.ErrConfig, name)
	}
	assert.NoError(t, mesh.PublisherConfig{}.Validate())
	assert.NoError(t, mesh.PublisherConfig{Retry: mesh.MaxRetry, AckWait: time.Second, MaxWaiting: 1}.Validate())
}
