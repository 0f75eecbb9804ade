package mesh_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/subjects"
)

func series(t testing.TB, n int) []subjects.Event {
	t.Helper()
	events := make([]subjects.Event, n)
	for i := range events {
		events[i] = event(t)
	}
	return events
}

func TestPublishSeries_ReachesFollowersInOrderAndWithoutARead(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t)
	r := room(t, "campaign:1")
	m := f.join(t, r, nil)
	var want []place
	for range 3 {
		events := series(t, 10)
		acks, err := s.publisher.PublishSeries(within(t), r, events...)
		require.NoError(t, err)
		require.Len(t, acks, len(events))
		for i, ack := range acks {
			assert.Equal(t, events[i].ID, ack.ID)
			assert.Equal(t, acks[0].Seq+uint64(i), ack.Seq, "nothing is in between")
			want = append(want, place{ack.Seq, ack.ID})
		}
		s.publish(t, room(t, "campaign:2"), 1)
	}
	m.wants(t, want)
	assert.Zero(t, f.metric(t, "repairs_total"))
}

func TestPublishSeries_RepeatedStoresOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	r, events := room(t, "campaign:1"), series(t, 4)
	second, err := p.Publish(within(t), r, events[1])
	require.NoError(t, err)

	first, err := p.PublishSeries(within(t), r, events...)
	require.NoError(t, err)
	require.Len(t, first, 4)
	assert.Equal(t, mesh.Ack{Seq: second.Seq, Duplicate: true, ID: events[1].ID}, first[1])
	assert.Equal(t, uint64(4), lastSeq(t, nc))

	again, err := p.PublishSeries(within(t), r, events...)
	require.NoError(t, err)
	for i, ack := range again {
		assert.Equal(t, mesh.Ack{Seq: first[i].Seq, Duplicate: true, ID: events[i].ID}, ack)
	}
	assert.Equal(t, uint64(4), lastSeq(t, nc))
}

func TestPublishSeries_RefusesWhatCannotBeStored(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	r, events := room(t, "campaign:1"), series(t, 2)
	for name, bad := range map[string][]subjects.Event{
		"none":         nil,
		"one too many": series(t, mesh.MaxBatch+1),
		"one twice":    {events[0], events[1], events[0]},
	} {
		_, err := p.PublishSeries(within(t), r, bad...)
		require.ErrorIs(t, err, mesh.ErrBatch, name)
	}
	_, err := p.PublishSeries(within(t), r, events[0], subjects.Event{})
	var invalid *subjects.InvalidEventError
	require.ErrorAs(t, err, &invalid)
	_, err = p.PublishSeries(within(t), subjects.Room{Kind: "campaign"}, events...)
	require.ErrorIs(t, err, subjects.ErrInvalidRoom)
	assert.Zero(t, lastSeq(t, nc))

	acks, err := p.PublishSeries(within(t), r, events[0])
	require.NoError(t, err)
	assert.Equal(t, []mesh.Ack{{Seq: 1, ID: events[0].ID}}, acks, "one event is an ordinary publish")
}
