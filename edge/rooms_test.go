package edge_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/subjects"
)

func TestRooms_ForbiddenLooksLikeUnknown(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) {
			s.edge.Rules.Public, _ = authz.ParsePatterns([]string{"broadcast:*"})
		})
		mine, theirs := room(t), room(t)
		inTheirs := n.join(t, theirs)
		w.publish(t, theirs, 1, 10)
		inTheirs.want(t, wire.OpEvent)

		c := n.dial(t, nil)
		c.hello(t, token(t, mine.String()))
		forbidden := c.denied(t, theirs.String(), wire.DeniedForbidden)
		unknown := c.denied(t, "nowhere:never", wire.DeniedForbidden)
		forbidden.Room, unknown.Room = "", ""
		assert.Equal(t, unknown, forbidden, "a refusal must not tell whether the room exists")
		assert.False(t, forbidden.Retryable)
		w.publish(t, theirs, 1, 10)
		inTheirs.want(t, wire.OpEvent)
		c.quiet(t)

		c.frame(t, wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: mine.String()}, {Room: "broadcast:all"}}})
		assert.Equal(t, []string{mine.String(), "broadcast:all"}, sorted(c.want(t, wire.OpJoined).Room, c.want(t, wire.OpJoined).Room))
	})
}

// sorted puts broadcast last; answers for several rooms come in any order.
func sorted(a, b string) []string {
	if strings.HasPrefix(a, "broadcast") {
		a, b = b, a
	}
	return []string{a, b}
}

func TestRooms_NastyNames(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		c := n.dial(t, nil)
		c.hello(t, token(t, "k:*"))

		for _, name := range []string{
			"", ":", "k:", ":x", "k", "K:x", "_fence:x", "_mark:edge-1", "k:\x00", "k:a\nb", "k:\x7f", "room.k.x",
			"k:" + strings.Repeat("x", 129), strings.Repeat("k", 200) + ":x", strings.Repeat("é", 4000),
		} {
			f := c.denied(t, name, wire.DeniedBadRoom)
			assert.NotEmpty(t, f.Message, "%q", name)
			assert.LessOrEqual(t, len(f.Room), 520, "what is sent back is cut")
		}

		// What only looks like a subject or a wildcard is an id like any other, and no other room's.
		innocent := subjects.Room{Kind: "k", ID: "innocent"}
		for _, id := range []string{
			"*", ">", "a.b", "a b", "%2E", "%", "$SYS", "é", "日本", "a:b", "💥", "-", "_", "~", `"\`,
			strings.Repeat("x", 128),
		} {
			r := subjects.Room{Kind: "k", ID: id}
			c.frame(t, wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: r.String()}}})
			require.Equal(t, r.String(), c.want(t, wire.OpJoined).Room)
			w.publish(t, innocent, 1, 10)
			w.publish(t, r, 1, 10)
			got := c.want(t, wire.OpEvent)
			require.Equal(t, r.String(), got.Room, "an event of another room")
			c.frame(t, wire.ClientFrame{Op: wire.OpLeave, Rooms: []wire.RoomRef{{Room: r.String()}}})
			c.quiet(t)
		}
	})
}

func TestRooms_PerConnectionLimit(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.Rooms = 3 })
		c := n.dial(t, nil)
		c.hello(t, token(t, "k:*"))
		join := func(name string) {
			t.Helper()
			c.frame(t, wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: name}}})
			require.Equal(t, name, c.want(t, wire.OpJoined).Room)
		}
		join("k:1")
		join("k:2")
		join("k:3")
		f := c.denied(t, "k:4", wire.DeniedLimit)
		assert.Contains(t, f.Message, "3")
		assert.False(t, f.Retryable)
		join("k:3") // again, which takes no further place
		c.frame(t, wire.ClientFrame{Op: wire.OpLeave, Rooms: []wire.RoomRef{{Room: "k:1"}}})
		join("k:4")
		c.denied(t, "k:1", wire.DeniedLimit)
	})
}

func TestRooms_JoinRate(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.JoinBurst, s.edge.Limits.JoinRate = 5, 1 })
		c := n.dial(t, nil)
		refs := make([]wire.RoomRef, 7)
		for i := range refs {
			refs[i].Room = "k:" + strconv.Itoa(i)
		}
		c.hello(t, token(t, "k:*"), refs...)
		joined, denied := 0, 0
		for range refs {
			switch f := c.next(t); f.Op {
			case wire.OpJoined:
				joined++
			case wire.OpDenied:
				denied++
				assert.Equal(t, wire.DeniedRate, f.Code)
				assert.True(t, f.Retryable)
			default:
				require.Fail(t, "unexpected", "%+v", f)
			}
		}
		assert.Equal(t, 5, joined)
		assert.Equal(t, 2, denied)
	})
}

func TestRooms_AHundredJoinsInOneFrame(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		base := room(t).String()
		refs := make([]wire.RoomRef, 100)
		for i := range refs {
			refs[i].Room = fmt.Sprintf("%s-%d", base, i)
		}
		c := n.dial(t, nil)
		c.hello(t, token(t, "campaign:*"), refs...)
		got := make(map[string]bool)
		for range refs {
			got[c.want(t, wire.OpJoined).Room] = true
		}
		assert.Len(t, got, 100)
		n.await(t, 100, "tidings_edge_joins_total")
		for _, i := range []int{0, 50, 99} {
			r, err := subjects.ParseRoom(refs[i].Room)
			require.NoError(t, err)
			w.publish(t, r, 1, 10)
			assert.Equal(t, r.String(), c.want(t, wire.OpEvent).Room)
		}
		c.bye(t)
		n.await(t, 0, "tidings_mesh_rooms")
	})
}

func TestRooms_LeaveAndJoinInQuickAlternation(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		r := room(t)
		c := n.join(t, r)
		start := c.pos[r.String()]

		const rounds, events = 100, 250
		var publishing sync.WaitGroup
		var seqs []uint64
		publishing.Go(func() { seqs = w.publish(t, r, events, 10) })
		join := wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: r.String()}}}
		leave := wire.ClientFrame{Op: wire.OpLeave, Rooms: []wire.RoomRef{{Room: r.String()}}}
		for range rounds {
			c.frame(t, leave)
			c.frame(t, join)
		}
		c.frame(t, leave)
		publishing.Wait()
		join.Rooms[0].Since = &start
		c.frame(t, join)

		// Until the last join is answered, events come in order within each stay.
		var pos uint64
		joined, last := 0, wire.ServerFrame{}
		for last.Recovered == nil {
			f := c.next(t)
			switch f.Op {
			case wire.OpJoined:
				joined++
				pos, last = f.Position.Seq, f
			case wire.OpEvent:
				require.Greater(t, f.Seq, pos, "twice or out of order")
				pos = f.Seq
			default:
				require.Fail(t, "unexpected", "%+v", f)
			}
		}
		assert.LessOrEqual(t, joined, rounds+1)
		// The last one is in, and brings all events once.
		if assert.True(t, *last.Recovered, last.Reason) {
			got := c.events(t, r, start.Seq, events)
			assert.Equal(t, seqs, got)
		}
		live := w.publish(t, r, 3, 10)
		assert.Equal(t, live, c.events(t, r, seqs[events-1], 3))
		c.quiet(t)

		c.frame(t, leave)
		n.await(t, 0, "tidings_mesh_rooms") // the feed counts no membership any more
		w.publish(t, r, 1, 10)
		c.quiet(t)
	})
}

func TestRooms_FeedForgetsRoomsOfThoseWhoVanish(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		for range 5 {
			c := n.join(t, room(t), room(t))
			require.NoError(t, c.conn.CloseNow())
		}
		n.await(t, 0, "tidings_edge_connections")
		n.await(t, 0, "tidings_mesh_rooms")
	})
}
