package mesh_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// rooms are n rooms, not in the order of their subjects.
func rooms(t testing.TB, n int) []subjects.Room {
	t.Helper()
	rooms := make([]subjects.Room, n)
	for i := range rooms {
		rooms[i] = room(t, fmt.Sprintf("campaign:%d", n-i))
	}
	return rooms
}

// assertStored compares acks of one event with what the stream holds of the rooms.
func assertStored(t testing.TB, nc *nats.Conn, rooms []subjects.Room, acks []mesh.Ack, e subjects.Event) {
	t.Helper()
	require.Len(t, acks, len(rooms))
	for i, r := range rooms {
		stored := history(t, nc, r)
		require.Len(t, stored, 1, "%s", r)
		assert.Equal(t, stored[0].Seq, acks[i].Seq, "%s", r)
		assert.Equal(t, e.ID, acks[i].ID)
		assert.Equal(t, e.ID, decode(t, stored[0]).ID)
	}
}

func TestPublishAll_AcksAreInTheOrderOfTheRooms(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	live, err := nc.SubscribeSync(subjects.LiveWildcard)
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	all, e := rooms(t, 7), event(t)
	acks, err := p.PublishAll(within(t), all, e)
	require.NoError(t, err)
	assertStored(t, nc, all, acks, e)
	assert.Equal(t, uint64(len(all)), lastSeq(t, nc))
	for _, r := range all {
		m, err := live.NextMsgWithContext(within(t))
		require.NoError(t, err)
		assert.Equal(t, r.Live(), m.Subject, "each is announced")
	}
}

func TestPublishAll_OneRoomIsAnOrdinaryPublish(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	one, e := rooms(t, 1), event(t)
	acks, err := p.PublishAll(within(t), one, e)
	require.NoError(t, err)
	assert.Equal(t, []mesh.Ack{{Seq: 1, ID: e.ID}}, acks)
	acks, err = p.PublishAll(within(t), one, e)
	require.NoError(t, err)
	assert.Equal(t, []mesh.Ack{{Seq: 1, Duplicate: true, ID: e.ID}}, acks)
	assertStored(t, nc, one, acks, e)
}

func TestPublishAll_AThousandRoomsAtMost(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	most := rooms(t, mesh.MaxBatch)
	for name, bad := range map[string][]subjects.Room{
		"none":         nil,
		"one too many": rooms(t, mesh.MaxBatch+1),
		"one twice":    {most[0], most[1], most[0]},
	} {
		_, err := p.PublishAll(within(t), bad, event(t))
		require.ErrorIs(t, err, mesh.ErrBatch, name)
	}
	_, err := p.PublishAll(within(t), append(slices.Clone(most[:3]), subjects.Room{Kind: "campaign"}), event(t))
	require.ErrorIs(t, err, subjects.ErrInvalidRoom)
	require.Zero(t, lastSeq(t, nc))

	e := event(t)
	acks, err := p.PublishAll(within(t), most, e)
	require.NoError(t, err)
	assert.Equal(t, uint64(mesh.MaxBatch), lastSeq(t, nc))
	subjectsOf := make([]string, len(most))
	for i, r := range most {
		subjectsOf[i] = r.Subject()
	}
	stored, _, err := mesh.MultiLast(within(t), nc, subjectsOf, 0)
	require.NoError(t, err)
	require.Len(t, stored, len(most))
	for i, m := range stored { // in the order of the stream, which is that of the rooms
		assert.Equal(t, subjectsOf[i], m.Subject)
		assert.Equal(t, mesh.Ack{Seq: m.Seq, ID: e.ID}, acks[i])
		assert.Equal(t, e.ID, decode(t, m).ID)
	}
}

func TestPublishAll_OneRoomsMessageTooLargeLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	n := meshtest.Start(t)
	cfg := mesh.DefaultStreamConfig()
	cfg.MaxMsgSize = 4096
	n.Stream(t, cfg)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	// The message id holds the name of the room, so the long one's is larger.
	long := room(t, "campaign:"+strings.Repeat("x", 128))
	short := rooms(t, 3)
	e := sized(t, refusedAbove(t, p, room(t, "campaign:1"), 4096)-120) // the headers of a batch are within that
	for place := range 4 {
		all := slices.Insert(slices.Clone(short), place, long)
		var err error
		atOnce(t, func() { _, err = p.PublishAll(within(t), all, e) })
		require.ErrorIs(t, err, mesh.ErrTooLarge, "place %d", place)
		require.NotErrorIs(t, err, mesh.ErrUnknownOutcome)
		got, limit := sizes(t, err)
		assert.Equal(t, 4096, limit)
		assert.Greater(t, got, limit, "the size is that of the message that is too large")
		assert.Zero(t, lastSeq(t, nc), "place %d", place)
	}
	acks, err := p.PublishAll(within(t), short, e)
	require.NoError(t, err, "it is the room's name")
	assertStored(t, nc, short, acks, e)
}

// batchAck is part of the ack of a batch, and of nothing that comes before it.
const batchAck = `"count":`

func TestPublishAll_RepeatAfterALostAckStoresEverythingOnce(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	watcher := n.Conn(t)
	nudges, err := watcher.SubscribeSync(subjects.NudgeWildcard)
	require.NoError(t, err)
	require.NoError(t, watcher.Flush())
	w := newWire(t, n.URL)
	p := newPublisher(t, w.dial(t), hasty())
	all, e := rooms(t, 5), event(t)

	w.deafenAt(batchAck)
	var (
		wg   sync.WaitGroup
		acks []mesh.Ack
	)
	wg.Go(func() { acks, err = p.PublishAll(within(t), all, e) })
	meshtest.Eventually(t, func() bool { return lastSeq(t, nc) == uint64(len(all)) }, "stored, and the ack lost")
	w.cut()
	w.heal()
	wg.Wait()
	require.NoError(t, err)
	assertStored(t, nc, all, acks, e)
	var nudged, want []string
	for i, r := range all {
		assert.True(t, acks[i].Duplicate)
		m, err := nudges.NextMsgWithContext(within(t))
		require.NoError(t, err)
		nudged, want = append(nudged, m.Subject), append(want, r.Nudge())
	}
	assert.Equal(t, want, nudged)
	assert.Equal(t, uint64(len(all)), lastSeq(t, nc))
}

func TestPublishAll_SentWithoutAnAnswerMayBeStored(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	w := newWire(t, n.URL)
	p := newPublisher(t, w.dial(t), brief())
	all := rooms(t, 3)

	// Nothing is stored before the last message, so a batch whose first one is not
	// answered is certainly not.
	w.deafen()
	_, err := p.PublishAll(within(t), all, event(t))
	require.ErrorIs(t, err, mesh.ErrUnavailable)
	require.NotErrorIs(t, err, mesh.ErrUnknownOutcome)
	assert.Zero(t, lastSeq(t, nc))

	w.cut()
	w.heal()
	w.deafenAt(batchAck)
	e := event(t)
	p = newPublisher(t, w.dial(t), mesh.PublisherConfig{Retry: 8 * time.Second}) // the answers before that one may take a while
	_, err = p.PublishAll(within(t), all, e)
	require.ErrorIs(t, err, mesh.ErrUnknownOutcome)
	w.cut()
	w.heal()
	acks, err := newPublisher(t, w.dial(t), hasty()).PublishAll(within(t), all, e)
	require.NoError(t, err, "the caller may repeat it")
	assertStored(t, nc, all, acks, e)
}

func TestPublishAll_RoomsThatHaveTheEventDoNotGetItTwice(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	all, e := rooms(t, 4), event(t)
	early, err := p.Publish(within(t), all[2], e)
	require.NoError(t, err)
	for range 2 {
		acks, err := p.PublishAll(within(t), all, e)
		require.NoError(t, err)
		assertStored(t, nc, all, acks, e)
		assert.Equal(t, mesh.Ack{Seq: early.Seq, Duplicate: true, ID: e.ID}, acks[2])
	}
}

func TestPublishAll_RidesOutARestartOfNATS(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	told := newRetries()
	cfg := hasty()
	cfg.OnRetry = told.note
	p := newPublisher(t, nc, cfg)
	all, e := rooms(t, 5), event(t)
	n.Stop()
	var (
		wg   sync.WaitGroup
		acks []mesh.Ack
		err  error
	)
	wg.Go(func() { acks, err = p.PublishAll(within(t), all, e) })
	<-told.some
	n.Restart(t)
	wg.Wait()
	require.NoError(t, err)
	assertStored(t, nc, all, acks, e)
	assert.Equal(t, all[0], told.all()[0].room)
}

func TestPublishAll_AStreamWithoutBatchesStoresNothing(t *testing.T) {
	t.Parallel()
	n := meshtest.Start(t)
	nc := n.Conn(t)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.CreateStream(within(t), jetstream.StreamConfig{Name: subjects.StreamName, Subjects: []string{subjects.RoomWildcard}, AllowDirect: true})
	require.NoError(t, err)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	atOnce(t, func() { _, err = p.PublishAll(within(t), rooms(t, 3), event(t)) })
	require.ErrorContains(t, err, "atomic publish is disabled")
	assert.Zero(t, lastSeq(t, nc))
}

// TestPublishAll_OverlappingCallsDoNotWaitForEachOther publishes to many choices of
// the same few rooms at once, each in an order of its own.
func TestPublishAll_OverlappingCallsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	all := rooms(t, 8)
	const callers, each = 16, 10
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed error
		want   = make(map[subjects.Room][]mesh.Ack)
	)
	for range callers {
		wg.Go(func() {
			for range each {
				some := slices.Clone(all)
				rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
				some = some[:1+rand.IntN(len(some))]
				acks, err := p.PublishAll(within(t), some, event(t))
				mu.Lock()
				failed = errors.Join(failed, err)
				for i, ack := range acks {
					want[some[i]] = append(want[some[i]], ack)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.NoError(t, failed)
	total := 0
	for r, acks := range want {
		slices.SortFunc(acks, func(a, b mesh.Ack) int { return int(a.Seq) - int(b.Seq) })
		got := make([]mesh.Ack, 0, len(acks))
		for _, m := range history(t, nc, r) {
			got = append(got, mesh.Ack{Seq: m.Seq, ID: decode(t, m).ID})
		}
		assert.Equal(t, acks, got, "%s", r)
		total += len(acks)
	}
	assert.Equal(t, uint64(total), lastSeq(t, nc))
	assert.Zero(t, mesh.Waiting(p))
}

func TestPublishAll_WaitsForTheTurnOfEachRoom(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := stall(t, n, mesh.PublisherConfig{})
	all := rooms(t, 3)
	busy, e := event(t), event(t)
	single := later(t, p.Publisher, all[1], busy)
	meshtest.Eventually(t, func() bool { return lastSeq(t, nc) == 1 }, "one room is busy")
	var (
		wg  sync.WaitGroup
		err error
	)
	wg.Go(func() { _, err = p.PublishAll(within(t), all, e) })
	meshtest.Eventually(t, func() bool { return mesh.Waiting(p.Publisher) == 1 }, "the batch waits")
	assert.Equal(t, uint64(1), lastSeq(t, nc))
	p.wire.heal()
	require.NoError(t, (<-single).err)
	wg.Wait()
	require.NoError(t, err)
	assert.Equal(t, []string{busy.ID, e.ID}, idsIn(t, nc, all[1]))
	assert.Equal(t, []string{e.ID}, idsIn(t, nc, all[0]))
}
