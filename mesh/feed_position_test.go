package mesh_test

import (
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
)

func TestFeed_LongerAwayThanTheHistoryIsTold(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t, func(c *setup) { c.Stream.MaxMsgsPerSubject = 5 })
	r := room(t, "campaign:1")
	m := f.join(t, r, nil)
	empty := *m.at()
	sent := placesOf(s.publish(t, r, 2))
	m.wants(t, sent)
	m.leave()
	f.await(t, 0, "rooms")
	s.publish(t, r, 3)
	inTime := f.join(t, r, m.at())
	assert.Empty(t, inTime.last().Reason, "three events were missed, and five are kept")
	inTime.wants(t, s.history(t, r, sent[1].seq))
	inTime.leave()
	f.await(t, 0, "rooms")
	s.publish(t, r, 3)
	newest := s.history(t, r, 0)[4]

	for name, since := range map[string]*continuity.Position{"an event": m.at(), "the room was empty": &empty} {
		away := f.join(t, r, since)
		a := away.last()
		assert.Equal(t, continuity.ReasonTruncated, a.Reason, name)
		assert.Empty(t, away.places(), name)
		assert.Equal(t, newest, placeOf(a.Position), name)
		live := placesOf(s.publish(t, r, 1))
		away.wants(t, live)
		newest = live[0]
	}
	assert.Equal(t, 2, f.metric(t, "resumes_total", "truncated"))
	assert.Equal(t, 1, f.metric(t, "resumes_total", "recovered"))
	assert.Len(t, s.history(t, r, 0), 5)
}

// TestFeed_QuietRoomsOutliveTheirEvents: what counts is when a position was last known to be the
// newest of its room, and not how old the room's last event is.
func TestFeed_QuietRoomsOutliveTheirEvents(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	// The second edge only comes into play later and has nothing in memory.
	first, second := s.follow(t, func(c *setup) { c.Audit = 100 * time.Millisecond }), s.follow(t)
	// All that follows the end of the first events has to happen within this time again.
	s.edit(t, func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = 10*time.Second, time.Second })
	quiet, busy := room(t, "campaign:quiet"), room(t, "campaign:busy")
	inQuiet, inBusy := first.join(t, quiet, nil), first.join(t, busy, nil)
	inQuiet.wants(t, placesOf(s.publish(t, quiet, 1)))
	inBusy.wants(t, placesOf(s.publish(t, busy, 2)))
	stale := *inQuiet.at()
	inBusy.leave()
	meshtest.Eventually(t, func() bool { return len(s.history(t, quiet, 0))+len(s.history(t, busy, 0)) == 0 }, "the events are too old")
	missed := placesOf(s.publish(t, busy, 1))

	// The first edge has seen all along that nothing else happened.
	fresh := *first.join(t, quiet, nil).at()
	assert.Equal(t, stale.Seq, fresh.Seq)
	assert.Greater(t, fresh.TS, stale.TS+5000)
	for name, f := range map[string]*follower{"from memory": first, "from the stream": second} {
		kept := f.join(t, quiet, &fresh)
		assert.Empty(t, kept.last().Reason, name)
		kept.wants(t, []place{})
	}
	// The second one cannot know what happened after the position, if anything did.
	assert.Equal(t, continuity.ReasonExpired, second.join(t, quiet, &stale).last().Reason)
	assert.Equal(t, continuity.ReasonExpired, second.join(t, busy, inBusy.at()).last().Reason)
	assert.Equal(t, 2, second.metric(t, "resumes_total", "expired"))
	assert.Equal(t, missed, s.history(t, busy, 0), "although something is left of it")

	again := placesOf(s.publish(t, quiet, 1))
	inQuiet.wants(t, append(inQuiet.places()[:1], again...))
	assert.Empty(t, inQuiet.told())
}

// TestFeed_LyingPositions: a position comes from a client. Whatever it says, the answer is true, and
// nobody gets more than the history of the room.
func TestFeed_LyingPositions(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	early := s.follow(t, func(c *setup) { c.Stream.MaxMsgsPerSubject = 20 })
	r, other := room(t, "campaign:1"), room(t, "campaign:2")
	before := placesOf(s.publish(t, other, 1))[0]
	stay := early.join(t, r, nil)
	var sent []place
	for range 4 {
		sent = append(sent, placesOf(s.publish(t, r, 3))...)
		s.publish(t, other, 1)
	}
	stay.wants(t, sent)
	between := s.history(t, other, sent[2].seq)[0]
	require.Less(t, between.seq, sent[3].seq)
	p := *stay.at()
	now := p.TS

	all := sent
	for name, c := range map[string]struct {
		since  continuity.Position
		reason continuity.Reason
		replay []place // when there is no reason
	}{
		"no sequence":                    {continuity.Position{Epoch: p.Epoch, TS: now}, continuity.ReasonPosition, nil},
		"no sequence but an id":          {continuity.Position{Epoch: p.Epoch, ID: p.ID, TS: now}, continuity.ReasonPosition, nil},
		"nothing at all":                 {continuity.Position{}, continuity.ReasonPosition, nil},
		"beyond the last":                {continuity.Position{Epoch: p.Epoch, Seq: p.Seq + 1_000_000, TS: now}, continuity.ReasonBehind, nil},
		"beyond the last, with id":       {continuity.Position{Epoch: p.Epoch, Seq: p.Seq + 1_000_000, ID: p.ID, TS: now}, continuity.ReasonBehind, nil},
		"2^53+1":                         {continuity.Position{Epoch: p.Epoch, Seq: 1<<53 + 1, TS: now}, continuity.ReasonBehind, nil},
		"2^64-1":                         {continuity.Position{Epoch: p.Epoch, Seq: math.MaxUint64, TS: now}, continuity.ReasonBehind, nil},
		"2^64-1, with id":                {continuity.Position{Epoch: p.Epoch, Seq: math.MaxUint64, ID: "x", TS: now}, continuity.ReasonBehind, nil},
		"another epoch":                  {continuity.Position{Epoch: "zzz", Seq: p.Seq, ID: p.ID, TS: now}, continuity.ReasonEpoch, nil},
		"no epoch":                       {continuity.Position{Seq: p.Seq, ID: p.ID, TS: now}, continuity.ReasonEpoch, nil},
		"another epoch, beyond the last": {continuity.Position{Epoch: "zzz", Seq: math.MaxUint64, TS: now}, continuity.ReasonEpoch, nil},
		"wrong id of the newest":         {continuity.Position{Epoch: p.Epoch, Seq: p.Seq, ID: "x", TS: now}, continuity.ReasonEpoch, nil},
		"wrong id in the middle":         {continuity.Position{Epoch: p.Epoch, Seq: sent[4].seq, ID: sent[5].id, TS: now}, continuity.ReasonEpoch, nil},
		"another room's event":           {continuity.Position{Epoch: p.Epoch, Seq: between.seq, ID: between.id, TS: now}, continuity.ReasonEpoch, nil},
		"another room's, before all":     {continuity.Position{Epoch: p.Epoch, Seq: before.seq, ID: before.id, TS: now}, continuity.ReasonEpoch, nil},
		"another room's sequence":        {continuity.Position{Epoch: p.Epoch, Seq: between.seq, TS: now}, "", sent[3:]},
		"another's sequence, before all": {continuity.Position{Epoch: p.Epoch, Seq: before.seq, TS: now}, "", all},
		"before all, in the future":      {continuity.Position{Epoch: p.Epoch, Seq: before.seq, TS: now + 3_600_000}, continuity.ReasonPosition, nil},
		"before all, at the end of time": {continuity.Position{Epoch: p.Epoch, Seq: before.seq, TS: math.MaxInt64}, continuity.ReasonPosition, nil},
		"before all, of 1970":            {continuity.Position{Epoch: p.Epoch, Seq: before.seq}, continuity.ReasonExpired, nil},
		"before all, before all time":    {continuity.Position{Epoch: p.Epoch, Seq: before.seq, TS: math.MinInt64}, continuity.ReasonExpired, nil},
		"right, but of 1970":             {continuity.Position{Epoch: p.Epoch, Seq: sent[4].seq, ID: sent[4].id}, "", sent[5:]},
		"right, but in the future":       {continuity.Position{Epoch: p.Epoch, Seq: sent[4].seq, ID: sent[4].id, TS: math.MaxInt64}, "", sent[5:]},
		"right":                          {continuity.Position{Epoch: p.Epoch, Seq: sent[0].seq, ID: sent[0].id, TS: now}, "", sent[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			// One edge has all of it in memory, the other one has to ask the stream.
			for _, f := range []*follower{early, s.follow(t)} {
				m := f.join(t, r, &c.since)
				a := m.last()
				assert.Equal(t, c.reason, a.Reason)
				assert.Equal(t, placeOf(p), placeOf(a.Position), "it is told where the room is")
				m.wants(t, append([]place{}, c.replay...))
				m.leave()
			}
		})
	}
	live := placesOf(s.publish(t, r, 1))
	stay.wants(t, append(sent, live...))
	assert.Empty(t, stay.told())
}

// TestFeed_ClientAheadOfItsEdge: a client that comes from another edge may know of an event before this
// edge does. It is not behind.
func TestFeed_ClientAheadOfItsEdge(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t)
	r := room(t, "campaign:1")
	m := f.join(t, r, nil)
	var sent []place
	s.unannounced(t, func() { sent = placesOf(s.publish(t, r, 3)) })
	at := func(p place) *continuity.Position {
		return &continuity.Position{Epoch: m.last().Position.Epoch, Seq: p.seq, ID: p.id}
	}
	for i, p := range sent {
		ahead := f.join(t, r, at(p))
		assert.Empty(t, ahead.last().Reason, i)
		ahead.wants(t, append([]place{}, sent[i+1:]...))
	}
	m.wants(t, sent)
	liar := at(sent[2])
	liar.Seq++
	assert.Equal(t, continuity.ReasonEpoch, f.join(t, r, liar).last().Reason, "nothing of this room is there")
}
