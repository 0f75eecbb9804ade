package mesh_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
	"github.com/tidingsmesh/tidings/subjects/schema"
)

// quarantine hears what edges put into quarantine.
func (s *scene) quarantine(t testing.TB) <-chan *nats.Msg {
	t.Helper()
	heard := make(chan *nats.Msg, 1024)
	_, err := s.conn.ChanSubscribe(subjects.QuarantineWildcard, heard)
	require.NoError(t, err)
	require.NoError(t, s.conn.Flush())
	return heard
}

func quarantined(t testing.TB, heard <-chan *nats.Msg) *nats.Msg {
	t.Helper()
	select {
	case m := <-heard:
		return m
	case <-within(t).Done():
		require.Fail(t, "nothing comes into quarantine")
		return nil
	}
}

// unfit is what a worker can store and no browser should get, with the reason.
func unfit() map[string]struct {
	header  nats.Header
	payload string
	reason  string
} {
	many := nats.Header{"Ce-Type": {"x"}}
	for i := range 40 {
		many.Set(fmt.Sprintf("ce-ext%d", i), "1")
	}
	return map[string]struct {
		header  nats.Header
		payload string
		reason  string
	}{
		"nothing":              {nil, "", "not_json"},
		"no JSON":              {nil, "hello", "not_json"},
		"half an object":       {nil, `{"type":"x"`, "not_json"},
		"two objects":          {nil, `{"type":"x"}{"type":"x"}`, "not_json"},
		"an array":             {nil, `[{"type":"x"}]`, "not_object"},
		"null":                 {nil, `null`, "not_object"},
		"no type":              {nil, `{"data":{}}`, "no_type"},
		"no UTF-8":             {nil, "{\"type\":\"\xff\"}", "bad_utf8"},
		"other version":        {nil, `{"specversion":"2.0","type":"x"}`, "bad_version"},
		"type given twice":     {nil, `{"type":"x","type":"y"}`, "duplicate"},
		"type is a number":     {nil, `{"type":7}`, "bad_attribute"},
		"id too long":          {nil, `{"type":"x","id":"` + strings.Repeat("i", 257) + `"}`, "bad_attribute"},
		"nested too deep":      {nil, `{"type":"x","data":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, "too_deep"},
		"a batch":              {nats.Header{"Content-Type": {"application/cloudevents-batch+json"}}, `[]`, "bad_format"},
		"binary, no JSON":      {nats.Header{"Ce-Type": {"x"}}, `{`, "bad_data"},
		"binary, type twice":   {nats.Header{"ce-type": {"x", "y"}}, `{}`, "duplicate"},
		"header id too large":  {nats.Header{"ce-type": {"x"}, "ce-id": {strings.Repeat("i", 60_000)}}, `{}`, "bad_attribute"},
		"too many extensions":  {many, `{}`, "bad_attribute"},
		"breaks its schema":    {nil, `{"type":"settlement_updated","data":{"id":{}}}`, "schema"},
		"refused by the house": {nil, `{"type":"forbidden"}`, "other"},
	}
}

// validate is the built-in catalogue and a rule of the house.
func validate(t testing.TB) func(subjects.Event) error {
	t.Helper()
	registry, err := schema.Load("")
	require.NoError(t, err)
	return func(e subjects.Event) error {
		if e.Type == "forbidden" {
			return errors.New("not\r\nin this house")
		}
		return registry.Check(e)
	}
}

func TestFeed_UnfitEventsGoToQuarantineAndNowhereElse(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t, func(c *setup) { c.Validate = validate(t) })
	heard := s.quarantine(t)
	m := f.join(t, room(t, "campaign:42.7"), nil)
	start := *m.at()
	var healthy []place
	counts := make(map[string]int)
	for name, c := range unfit() {
		healthy = append(healthy, placesOf(s.publish(t, m.room, 1))...)
		began := time.Now().Truncate(time.Millisecond)
		seq := s.store(t, m.room, c.header, c.payload)
		counts[c.reason]++

		q := quarantined(t, heard)
		assert.Equal(t, "mesh.quarantine.campaign.42%2E7", q.Subject, name)
		assert.Equal(t, c.payload, string(q.Data), name)
		assert.Equal(t, c.reason, q.Header.Get("Tidings-Reason"), name)
		assert.Equal(t, strconv.FormatUint(seq, 10), q.Header.Get("Tidings-Sequence"), name)
		assert.Equal(t, f.name, q.Header.Get("Tidings-Edge"), name)
		detail := q.Header.Get("Tidings-Detail")
		assert.NotEmpty(t, detail, name)
		assert.LessOrEqual(t, len(detail), 520, name)
		stored, err := time.Parse(time.RFC3339Nano, q.Header.Get("Tidings-Time"))
		require.NoError(t, err, name)
		assert.False(t, stored.Before(began) || stored.After(time.Now()), "%s: %s", name, stored)
		for key, values := range c.header {
			assert.Equal(t, values, q.Header[key], "%s: as the publisher sent it", name)
		}
		for key := range q.Header {
			assert.False(t, strings.HasPrefix(key, "Nats-"), "%s: %s", name, key)
		}
		healthy = append(healthy, placesOf(s.publish(t, m.room, 1))...)
	}
	m.wants(t, healthy)
	for reason, n := range counts {
		assert.Equal(t, n, f.metric(t, "quarantined_total", reason), reason)
	}
	assert.Zero(t, f.metric(t, "repairs_total"), "they have their place in the order")

	// Those who resume do not get them either, and they are not reported again.
	last := s.store(t, m.room, nil, "the newest is none")
	quarantined(t, heard)
	back := f.join(t, m.room, &start)
	back.wants(t, healthy)
	assert.Equal(t, last, back.last().Position.Seq)
	fresh := s.follow(t, func(c *setup) { c.Validate = validate(t) })
	for _, since := range []continuity.Position{start, *back.at(), *m.at()} {
		elsewhere := fresh.join(t, m.room, &since)
		assert.Empty(t, elsewhere.last().Reason)
		var expected []place
		for _, p := range healthy {
			if p.seq > since.Seq {
				expected = append(expected, p)
			}
		}
		sent := placesOf(s.publish(t, m.room, 1))
		elsewhere.wants(t, append(expected, sent...))
		healthy = append(healthy, sent...)
	}
	m.wants(t, healthy)
	fresh.settle(t)
	require.NoError(t, s.conn.Flush())
	assert.Empty(t, heard)
}

// TestFeed_UnfitEventsAreReportedOncePerEdge: also when they are the reason to look into the stream, or
// are found there.
func TestFeed_UnfitEventsAreReportedOncePerEdge(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	edges := []*follower{s.follow(t), s.follow(t)}
	heard := s.quarantine(t)
	r := room(t, "campaign:1")
	members := []*member{edges[0].join(t, r, nil), edges[1].join(t, r, nil)}
	sent := placesOf(s.publish(t, r, 1))
	var unfit []uint64
	bad := func() { unfit = append(unfit, s.store(t, r, nil, "no event")) }

	bad() // as it comes
	s.unannounced(t, func() {
		bad() // found by the repair
		sent = append(sent, placesOf(s.publish(t, r, 1))...)
		bad()
	})
	bad() // causes the repair
	bad() // comes while it is under way
	sent = append(sent, placesOf(s.publish(t, r, 1))...)
	for _, m := range members {
		m.wants(t, sent)
	}
	bad()
	s.unannounced(t, bad)
	sent = append(sent, placesOf(s.publish(t, r, 1))...) // causes the next one
	for i, m := range members {
		m.wants(t, sent)
		edges[i].settle(t)
		assert.Equal(t, 2, edges[i].metric(t, "repairs_total"))
		assert.Equal(t, len(unfit), edges[i].metric(t, "quarantined_total", "not_json"))
	}

	got := make(map[string][]string)
	for range len(unfit) * len(edges) {
		q := quarantined(t, heard)
		by := q.Header.Get("Tidings-Edge")
		got[by] = append(got[by], q.Header.Get("Tidings-Sequence"))
	}
	assert.Empty(t, heard)
	var want []string
	for _, seq := range unfit {
		want = append(want, strconv.FormatUint(seq, 10))
	}
	for _, f := range edges {
		assert.ElementsMatch(t, want, got[f.name])
	}
}

// TestFeed_ForgedHeadersAreNotBelieved: a worker may send headers of the names that the stream appends,
// which come first then.
func TestFeed_ForgedHeadersAreNotBelieved(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t)
	heard := s.quarantine(t)
	m := f.join(t, room(t, "campaign:1"), nil)
	start := *m.at()
	// store stores an event with a header and returns its place.
	store := func(i int, header nats.Header) place {
		id := "forged-" + strconv.Itoa(i)
		return place{s.store(t, m.room, header, `{"type":"x","id":"`+id+`"}`), id}
	}
	forgeries := []nats.Header{
		{"Nats-Sequence": {"7777"}},
		{"Nats-Sequence": {"1"}, "Nats-Last-Sequence": {"0"}},
		{"Nats-Sequence": {"7777"}, "Nats-Last-Sequence": {"7776"}, "Nats-Time-Stamp": {"1999-01-02T03:04:05Z"}},
		{"Nats-Last-Sequence": {"7777"}},
		{"Nats-Time-Stamp": {"x"}, "Nats-Sequence": {"x"}, "Nats-Last-Sequence": {"x"}, "Nats-Subject": {"room.other.1"}},
		{"Nats-Num-Pending": {"5"}, "Nats-UpTo-Sequence": {"1"}},
		{"Status": {"404"}, "Description": {"Message Not Found"}},
		{"Status": {"204"}, "Description": {"EOB"}, "Nats-Num-Pending": {"0"}, "Nats-Last-Sequence": {"0"}},
		{"Status": {"503"}},
		{"Tidings-Reason": {"none"}, "Tidings-Sequence": {"1"}},
	}
	var sent []place
	round := func() {
		for _, header := range forgeries {
			sent = append(sent, store(len(sent), header))
			sent = append(sent, placesOf(s.publish(t, m.room, 1))...)
		}
	}
	round()
	m.wants(t, sent)
	assert.Zero(t, f.metric(t, "repairs_total"))
	for _, e := range m.entries() {
		assert.Less(t, time.Since(time.UnixMilli(e.Time)).Abs(), time.Hour, "%s: stored now", e.ID)
	}
	s.unannounced(t, round) // and so for what a repair reads
	sent = append(sent, placesOf(s.publish(t, m.room, 1))...)
	m.wants(t, sent)
	assert.Equal(t, 1, f.metric(t, "repairs_total"))

	// And for what a resume reads, with a forgery as the newest message of the room.
	sent = append(sent, store(len(sent), forgeries[2]))
	fresh := s.follow(t)
	back := fresh.join(t, m.room, &start)
	assert.Empty(t, back.last().Reason)
	back.wants(t, sent)
	assert.Empty(t, heard)

	// What is none is told with the true values.
	seq := s.store(t, m.room, nats.Header{"Tidings-Reason": {"none"}, "Nats-Sequence": {"7777"}, "Tidings-Sequence": {"1"}}, "no event")
	for range 2 {
		q := quarantined(t, heard)
		assert.Equal(t, []string{"not_json"}, q.Header["Tidings-Reason"])
		assert.Equal(t, []string{strconv.FormatUint(seq, 10)}, q.Header["Tidings-Sequence"])
		assert.Empty(t, q.Header["Nats-Sequence"])
	}
}

// TestFeed_HandmadeHeadersHideNothing: by hand a worker can send header blocks that client libraries
// cannot read, or that end before what the stream appends.
func TestFeed_HandmadeHeadersHideNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f, fresh := s.follow(t), s.follow(t)
	heard := s.quarantine(t)
	m := f.join(t, room(t, "campaign:1"), nil)
	start := *m.at()
	var sent []place
	reported := make(map[string]int)
	for block, readable := range mesh.Forgeries() {
		sent = append(sent, placesOf(s.publish(t, m.room, 1))...)
		for range 2 { // next to each other they hide each other's place, too
			mesh.PublishByHand(t, s.nats.Server(), m.room.Subject(), block, "forged")
			q := quarantined(t, heard)
			assert.Equal(t, "forged", string(q.Data))
			reason := "bad_header"
			if readable {
				reason = "not_json"
			}
			assert.Equal(t, reason, q.Header.Get("Tidings-Reason"), "%q", block)
			reported[q.Header.Get("Tidings-Sequence")]++
		}
	}
	sent = append(sent, placesOf(s.publish(t, m.room, 1))...)
	m.wants(t, sent)
	assert.Len(t, reported, 2*len(mesh.Forgeries()), "each at its own sequence")
	back := fresh.join(t, m.room, &start)
	assert.Empty(t, back.last().Reason)
	back.wants(t, sent)

	// As the newest message of its room such a one is a place like any other.
	for block := range mesh.Forgeries() {
		r := room(t, "campaign:"+subjects.NewID())
		mesh.PublishByHand(t, s.nats.Server(), r.Subject(), block, "forged")
		s.publish(t, room(t, "campaign:other"), 1) // it is stored when this is
		for _, f := range []*follower{f, fresh} {
			at := f.join(t, r, nil).last().Position
			back := f.join(t, r, &at)
			assert.Empty(t, back.last().Reason, "%q", block)
			back.wants(t, []place{})
		}
	}
	f.settle(t)
	fresh.settle(t)
	require.NoError(t, s.conn.Flush())
	assert.Empty(t, heard, "nothing is reported of the past")
	assert.Empty(t, m.told())
}
