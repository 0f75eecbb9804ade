package mesh_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

func TestFeed_JoinOfAnEmptyRoom(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t)
	r := room(t, "campaign:1")
	m := f.join(t, r, nil)

	a := m.last()
	assert.True(t, a.First)
	assert.Empty(t, a.Reason)
	assert.Empty(t, a.Replay)
	assert.Empty(t, a.Position.ID, "there is no event")
	assert.Less(t, time.Since(time.UnixMilli(a.Position.TS)).Abs(), time.Minute)
	info, err := mesh.FetchStreamInfo(within(t), s.conn, subjects.StreamName)
	require.NoError(t, err)
	assert.Equal(t, info.Epoch, a.Position.Epoch)

	sent := placesOf(s.publish(t, r, 5))
	m.wants(t, sent)

	// The place where nothing was yet is a position like any other.
	back := f.join(t, r, &a.Position)
	assert.Empty(t, back.last().Reason)
	back.wants(t, sent)
	sent = append(sent, placesOf(s.publish(t, r, 2))...)
	m.wants(t, sent)
	back.wants(t, sent)
}

func TestFeed_JoinOfARoomWithHistory(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	// A room larger than a page of a read, and another one in between.
	const events = 600
	f := s.follow(t, func(c *setup) { c.Stream.MaxMsgsPerSubject, c.RingEntries = 1000, 10 })
	r, other := room(t, "campaign:1"), room(t, "campaign:2")
	var history []place
	for range events / 100 {
		history = append(history, placesOf(s.publish(t, r, 100))...)
		s.publish(t, other, 3)
	}

	first := f.join(t, r, nil)
	p := first.last().Position
	assert.Equal(t, history[events-1], placeOf(p))
	assert.Empty(t, first.places(), "a first join has missed nothing")
	assert.Zero(t, f.metric(t, "fetches_total"))

	position := func(i int) *continuity.Position {
		return &continuity.Position{Epoch: p.Epoch, Seq: history[i].seq, ID: history[i].id, TS: p.TS}
	}
	for _, i := range []int{0, 1, 255, 256, 257, events - 12, events - 2, events - 1} {
		m := f.join(t, r, position(i))
		assert.Empty(t, m.last().Reason, i)
		m.wants(t, append([]place{}, history[i+1:]...))
		assert.Equal(t, history[events-1], placeOf(m.last().Position), i)
	}
	assert.Equal(t, 8, f.metric(t, "resumes_total", "recovered"))

	history = append(history, placesOf(s.publish(t, r, 2))...)
	first.wants(t, history[events:])
	f.join(t, r, position(events-12)).wants(t, history[events-11:])
}

func TestFeed_ShardsGetWhatTheirMembersNeed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t, func(c *setup) { c.shards = 3 })
	a, b := room(t, "campaign:a"), room(t, "campaign:b")
	inA := f.shards[0].join(t, a, nil)
	alsoInA := f.shards[0].join(t, a, nil)
	inBothA, inBothB := f.shards[1].join(t, a, nil), f.shards[1].join(t, b, nil)

	sentA, sentB := placesOf(s.publish(t, a, 3)), placesOf(s.publish(t, b, 2))
	inA.wants(t, sentA)
	alsoInA.wants(t, sentA)
	inBothA.wants(t, sentA)
	inBothB.wants(t, sentB)
	f.settle(t)
	assert.Equal(t, 3, f.shards[0].delivered(), "once, however many members a shard has")
	assert.Equal(t, 5, f.shards[1].delivered())
	assert.Zero(t, f.shards[2].delivered())

	alsoInA.leave()
	inBothA.leave()
	f.settle(t)
	more := placesOf(s.publish(t, a, 2))
	inA.wants(t, append(sentA, more...))
	f.settle(t)
	assert.Equal(t, 5, f.shards[1].delivered(), "nobody of it is in the room any more")
	assert.Equal(t, sentA, alsoInA.places())

	// A position works at every shard alike.
	moved := f.shards[2].join(t, a, &continuity.Position{Epoch: inA.last().Position.Epoch, Seq: sentA[2].seq, ID: sentA[2].id})
	moved.wants(t, more)
	assert.Equal(t, 7, f.metric(t, "events_total"), "counted once per room")
}

func TestFeed_WhoComesBackInTimeFindsEverythingInMemory(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t, func(c *setup) { c.Linger = time.Hour })
	r := room(t, "campaign:1")
	m, second := f.join(t, r, nil), f.join(t, r, nil)
	sent := placesOf(s.publish(t, r, 3))
	m.wants(t, sent)
	second.wants(t, sent)
	f.await(t, 1, "rounds_total")

	second.leave()
	m.leave()
	away := placesOf(s.publish(t, r, 3))
	assert.Empty(t, m.rejoin(t).Reason)
	m.wants(t, append(sent, away...))
	assert.Equal(t, 1, f.metric(t, "rounds_total"))
	assert.Zero(t, f.metric(t, "fetches_total"))
}

func TestFeed_LingersInSoManyRoomsAndNoMore(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t, func(c *setup) { c.Linger, c.Lingering = time.Hour, 3 })
	interest := func(r subjects.Room) int { return s.nats.Server().Interest(r.Live()) }
	for i := range 5 {
		m := f.join(t, room(t, fmt.Sprintf("campaign:%d", i)), nil)
		m.leave()
	}
	f.await(t, 3, "rooms")
	for i := range 5 {
		assert.Equal(t, min(1, max(0, 3-i)), interest(room(t, fmt.Sprintf("campaign:%d", i))), "room %d", i)
	}
	again := f.join(t, room(t, "campaign:4"), nil)
	again.wants(t, placesOf(s.publish(t, again.room, 1)))
}

func TestFeed_GivesARoomUpAfterLingerAndNotBefore(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const linger = 1500 * time.Millisecond
	f := s.follow(t, func(c *setup) { c.Linger = linger })
	r := room(t, "campaign:1")
	interest := func() int { return s.nats.Server().Interest(r.Live()) }
	assert.Zero(t, interest())
	m, second := f.join(t, r, nil), f.join(t, r, nil)
	assert.Equal(t, 1, interest(), "one subscription for all")
	f.await(t, 1, "rooms")
	sent := placesOf(s.publish(t, r, 3))
	m.wants(t, sent)
	second.leave()

	// As long as somebody stays, the room is followed: that it was empty once does not count.
	m.leave()
	assert.Empty(t, m.rejoin(t).Reason)
	passing := f.join(t, room(t, "campaign:2"), nil)
	passing.leave()
	meshtest.Eventually(t, func() bool { return s.nats.Server().Interest(passing.room.Live()) == 0 }, "the other room is given up")
	assert.Equal(t, 1, interest())

	left := time.Now()
	m.leave()
	meshtest.Eventually(t, func() bool { return interest() == 0 }, "unsubscribed")
	assert.GreaterOrEqual(t, time.Since(left), linger)
	f.await(t, 0, "rooms")

	// After that it is followed anew.
	missed := placesOf(s.publish(t, r, 2))
	assert.Empty(t, m.rejoin(t).Reason)
	m.wants(t, append(sent, missed...))
	assert.Equal(t, 1, f.metric(t, "fetches_total"))
}

func TestFeed_QuickJoinsAndLeavesOfOneRoom(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t, func(c *setup) { c.shards, c.Stream.MaxMsgsPerSubject = 2, 1_000_000 })
	r := room(t, "campaign:1")
	m := f.join(t, r, nil)
	start := m.at().Seq
	var publishing sync.WaitGroup
	stop := make(chan struct{})
	publishing.Go(func() {
		for range 5000 {
			select {
			case <-stop:
				return
			default:
				if _, err := s.publisher.Publish(t.Context(), r, event(t)); !assert.NoError(t, err) {
					return
				}
			}
		}
	})
	for i := range 100 {
		passing := f.shards[i%2].ask(r, m.at())
		m.leave()
		assert.Empty(t, m.rejoin(t).Reason)
		passing.answered(t)
		passing.leave()
	}
	close(stop)
	publishing.Wait()
	m.wants(t, s.history(t, r, start))
	assert.NotEmpty(t, m.places())

	// Each leave was worth one join.
	m.leave()
	f.await(t, 0, "rooms")
	meshtest.Eventually(t, func() bool { return s.nats.Server().Interest(r.Live()) == 0 }, "unsubscribed")
	for range 2 { // and it is given up and followed again
		m.rejoin(t)
		s.publish(t, r, 1)
		m.wants(t, s.history(t, r, start))
		m.leave()
		f.await(t, 0, "rooms")
	}
}

func TestFeed_LeavesThatAreOwedToNobodyChangeNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t, func(c *setup) { c.shards = 2 })
	m := f.join(t, room(t, "campaign:1"), nil)
	f.feed.Leave(1, m.room)                      // this shard is not in it
	f.feed.Leave(0, room(t, "campaign:unknown")) // nobody is
	f.settle(t)
	m.wants(t, placesOf(s.publish(t, m.room, 2)))
	m.leave()
	f.feed.Leave(0, m.room)
	f.await(t, 0, "rooms")
	m.rejoin(t)
	s.publish(t, m.room, 1)
	m.wants(t, s.history(t, m.room, 0))
}

func TestFeed_BurstOfJoinsCostsFewRounds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t)
	const count = 2000
	var withHistory []place
	rooms := make([]subjects.Room, count)
	for i := range rooms {
		rooms[i] = room(t, fmt.Sprintf("campaign:%d", i))
		if i%20 == 0 {
			withHistory = append(withHistory, placesOf(s.publish(t, rooms[i], 1))...)
		}
	}
	release := f.shards[0].hold(t)
	before := f.metric(t, "rounds_total")
	members := make([]*member, count)
	for i, r := range rooms {
		members[i] = f.shards[0].ask(r, nil)
	}
	release()
	for i, m := range members {
		p := m.answered(t).Position
		if i%20 == 0 {
			assert.Equal(t, withHistory[i/20], placeOf(p))
		} else {
			assert.Empty(t, p.ID)
		}
	}
	assert.Equal(t, 3, f.metric(t, "rounds_total")-before, "999 rooms each")
	for i := 0; i < count; i += 100 {
		members[i].wants(t, placesOf(s.publish(t, rooms[i], 1)))
	}
	for _, m := range members {
		m.leave()
	}
	f.await(t, 0, "rooms")
}

func TestFeed_ManyClientsFromOnePositionCostOneRead(t *testing.T) {
	t.Parallel()
	server := meshtest.StartProcess(t, meshtest.ProcessConfig{})
	s := sceneAt(t, &scene{url: server.URL, conn: server.Dial(t, mesh.DialConfig{})})
	f := s.follow(t)
	r := room(t, "campaign:1")
	gone := f.join(t, r, nil)
	start := *gone.at()
	sent := placesOf(s.publish(t, r, 50))
	gone.wants(t, sent)
	gone.leave()
	f.await(t, 0, "rooms")
	stay := f.join(t, r, nil) // so that the room is followed, but from later on

	// Most come while the read is under way.
	server.Pause(t)
	all := []*member{f.shards[0].ask(r, &start)}
	f.await(t, 1, "fetches_total")
	for range 499 {
		all = append(all, f.shards[0].ask(r, &start))
	}
	f.join(t, r, nil) // is answered from memory, after those were looked at
	server.Resume(t)
	for _, m := range all {
		m.wants(t, sent)
	}
	assert.Equal(t, 1, f.metric(t, "fetches_total"))

	// Now the ring reaches back as far.
	for range 100 {
		f.join(t, r, &continuity.Position{Epoch: start.Epoch, Seq: sent[0].seq, ID: sent[0].id}).wants(t, sent[1:])
	}
	assert.Equal(t, 1, f.metric(t, "fetches_total"), "this position is in the ring")
	assert.Equal(t, 600, f.metric(t, "resumes_total", "recovered"))

	// What comes live is the same for all.
	live := placesOf(s.publish(t, r, 2))
	stay.wants(t, live)
	for _, m := range all {
		m.wants(t, append(sent, live...))
	}
}

func TestFeed_ManyPositionsCostOneRead(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t, func(c *setup) { c.RingEntries = 1 }) // no position is in the ring
	r := room(t, "campaign:1")
	start := *f.join(t, r, nil).at()
	sent := placesOf(s.publish(t, r, 100))
	f.settle(t)
	release := f.shards[0].hold(t)
	members := make([]*member, len(sent)-2)
	for i := range members {
		members[i] = f.shards[0].ask(r, &continuity.Position{Epoch: start.Epoch, Seq: sent[i].seq, ID: sent[i].id})
	}
	release()
	for i, m := range members {
		m.wants(t, sent[i+1:])
	}
	assert.Equal(t, 1, f.metric(t, "fetches_total"))
}

func TestFeed_AllRingsTogetherAreBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t, func(c *setup) { c.TotalRingBytes = 20_000 }) // some 50 events
	members := make([]*member, 20)
	starts := make([]continuity.Position, len(members))
	for i := range members {
		members[i] = f.join(t, room(t, fmt.Sprintf("campaign:%d", i)), nil)
		starts[i] = *members[i].at()
	}
	sent := make([][]place, len(members))
	for range 20 {
		for i, m := range members {
			sent[i] = append(sent[i], placesOf(s.publish(t, m.room, 1))...)
		}
	}
	for i, m := range members {
		m.wants(t, sent[i])
		f.join(t, m.room, &starts[i]).wants(t, sent[i])
	}
	assert.GreaterOrEqual(t, f.metric(t, "fetches_total"), 15, "what memory has no room for is read")
}

func TestFeed_CatchUpBringsWhatWasPassedOver(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follow(t, func(c *setup) { c.RingEntries = 4 })
	r := room(t, "campaign:1")
	m := f.join(t, r, nil)
	sent := placesOf(s.publish(t, r, 2))
	m.wants(t, sent)

	for _, missed := range []int{0, 3, 20} { // nothing, what the ring has, more than that
		m.lag()
		sent = append(sent, placesOf(s.publish(t, r, missed))...)
		f.settle(t)
		assert.Empty(t, m.catchUp(t).Reason)
		m.wants(t, sent)
		sent = append(sent, placesOf(s.publish(t, r, 2))...)
		m.wants(t, sent)
	}
	m.leave() // one for all
	f.await(t, 0, "rooms")

	// Who has left before the answer is no member by it.
	release := f.shards[0].hold(t)
	f.feed.Join(0, mesh.Join{Room: r, Since: m.at(), Ticket: &member{shard: f.shards[0], room: r, waits: true, since: m.at()}, CatchUp: true})
	release()
	f.settle(t)
	f.await(t, 0, "rooms")
}
