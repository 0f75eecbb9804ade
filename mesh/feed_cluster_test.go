package mesh_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
)

// TestFeed_CrashOfTheLeaderLosesNothing kills the stream's leader in the midst of events for 20 rooms. One
// edge was connected to it, another one was not.
func TestFeed_CrashOfTheLeaderLosesNothing(t *testing.T) {
	t.Parallel()
	const rooms, perRoom = 20, 20
	cluster := meshtest.StartCluster(t, 3)
	conn := cluster.Dial(t, mesh.DialConfig{})
	stream := mesh.DefaultStreamConfig()
	stream.Replicas = 3
	meshtest.EnsureStream(t, conn, stream)
	leader := cluster.Leader(t, conn, stream.Name)
	s := sceneAt(t, &scene{url: cluster.URL, conn: cluster.Others(leader)[0].Dial(t, mesh.DialConfig{})})
	// Who is connected to one node learns of the others from it.
	atLeader := s.follow(t, func(c *setup) { c.Dial.URL, c.Stream, c.Audit = leader.URL, stream, time.Second })
	elsewhere := s.follow(t, func(c *setup) {
		c.Dial.URL, c.Stream, c.Audit = cluster.Others(leader)[1].URL, stream, time.Second
	})
	edges := []*follower{atLeader, elsewhere}
	var members []*member
	for i := range rooms {
		for _, f := range edges {
			members = append(members, f.join(t, room(t, fmt.Sprintf("campaign:%d", i)), nil))
		}
	}
	start := members[0].at().Seq

	// Half of the events are acked when the leader is killed, and publishing goes on.
	var publishing, half sync.WaitGroup
	half.Add(rooms)
	acked := make([][]place, rooms)
	for i := range rooms {
		publishing.Go(func() {
			for n := range perRoom {
				if n == perRoom/2 {
					half.Done()
				}
				ack, err := s.publisher.Publish(context.Background(), members[2*i].room, event(t))
				if assert.NoError(t, err) {
					acked[i] = append(acked[i], place{ack.Seq, ack.ID})
				}
			}
		})
	}
	half.Wait()
	leader.Kill()
	publishing.Wait()

	for i, m := range members {
		require.Equal(t, acked[i/2], s.history(t, m.room, start), "the stream has what was acked")
		m.wants(t, acked[i/2])
		assert.Empty(t, m.told())
	}
	for _, f := range edges {
		meshtest.Eventually(t, func() bool { return f.feed.Ready() == nil }, "ready again")
		assert.Equal(t, rooms*perRoom, f.metric(t, "events_total"))
	}
	// And it goes on, also when the node is back.
	leader.Restart(t)
	acked[0] = append(acked[0], placesOf(s.publish(t, members[0].room, 1))...)
	members[0].wants(t, acked[0])
	members[1].wants(t, acked[0])
}
