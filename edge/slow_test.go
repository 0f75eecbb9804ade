package edge_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
)

func TestSlowClient_LosesNothingAndDelaysNobody(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.ClientBuffer = 128 << 10 })
		r, quiet := room(t), room(t)
		slow, fast := n.join(t, r, quiet), n.join(t, r)
		start := slow.pos[r.String()].Seq

		const events = 160
		reading := fast.collect(t, events)
		seqs := w.publish(t, r, events, 8<<10)
		got := <-reading
		require.NoError(t, got.err)
		assert.Equal(t, seqs, got.seqs, "others are not held up by one who does not read")
		n.awaitAtLeast(t, 1, "tidings_edge_lags_total")
		assert.Less(t, n.metric(t, "tidings_edge_queued_bytes"), float64(192<<10), "the queue was given up")
		other := w.publish(t, quiet, 1, 10)

		// Now it reads. Some more come meanwhile.
		seqs = append(seqs, w.publish(t, r, 10, 8<<10)...)
		follow := follower{room: r, pos: start}
		lags, elsewhere := 0, []uint64(nil)
		for len(follow.seqs) < len(seqs) || len(elsewhere) == 0 {
			f := slow.next(t)
			switch {
			case f.Op == wire.OpLag:
				assert.Contains(t, []string{r.String(), quiet.String()}, f.Room)
				lags++
			case f.Room == quiet.String():
				require.Equal(t, wire.OpEvent, f.Op)
				elsewhere = append(elsewhere, f.Seq)
			default:
				follow.take(t, f)
			}
		}
		assert.Equal(t, seqs, follow.seqs, "every event, in order, once")
		assert.Equal(t, other, elsewhere)
		assert.Positive(t, lags)
		last := w.publish(t, r, 1, 10)
		follow.take(t, slow.next(t))
		assert.Equal(t, last[0], follow.pos)
		slow.quiet(t)
		n.await(t, 0, "tidings_edge_queued_bytes")
		assert.Zero(t, n.metric(t, "tidings_edge_connections_closed_total", "4508"))
	})
}

// A client that reads now and then falls behind again and again, also in the middle of a replay.
func TestSlowClient_CatchesUpInSteps(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) {
			s.edge.Limits.ClientBuffer = 1 // nothing is ever queued
			s.feed.RingEntries = 4         // and most is read from the stream
		})
		r := room(t)
		slow := n.join(t, r)
		follow := follower{room: r, pos: slow.pos[r.String()].Seq}
		var seqs []uint64
		for range 4 {
			seqs = append(seqs, w.publish(t, r, 50, 8<<10)...)
			for len(follow.seqs) < len(seqs)-10 {
				if f := slow.next(t); f.Op != wire.OpLag {
					follow.take(t, f)
				}
			}
		}
		for len(follow.seqs) < len(seqs) {
			if f := slow.next(t); f.Op != wire.OpLag {
				follow.take(t, f)
			}
		}
		assert.Equal(t, seqs, follow.seqs)
		slow.quiet(t)
	})
}

func TestSlowClient_ThatLeavesTheRoomIsSentNoMoreOfIt(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.ClientBuffer = 128 << 10 })
		r := room(t)
		slow := n.join(t, r)
		w.publish(t, r, 120, 8<<10)
		n.awaitAtLeast(t, 1, "tidings_edge_lags_total")
		slow.frame(t, wire.ClientFrame{Op: wire.OpLeave, Rooms: []wire.RoomRef{{Room: r.String()}}})
		slow.frame(t, wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: ":"}}})
		n.await(t, 1, "tidings_edge_joins_denied_total", wire.DeniedBadRoom)
		events := 0
		for f := slow.next(t); f.Op != wire.OpDenied; f = slow.next(t) {
			if f.Op == wire.OpEvent {
				events++
			}
		}
		assert.Less(t, events, 120)
		n.await(t, 0, "tidings_mesh_rooms")
		slow.quiet(t)
	})
}

func TestSlowClient_ThatNeverReadsIsDisconnected(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) {
			s.edge.Limits.ClientBuffer = 128 << 10
			s.edge.Limits.SlowTimeout = time.Second
		})
		r := room(t)
		n.join(t, r)
		fast := n.join(t, r)
		for range 120 { // one at a time: whoever waits with nothing queued is not slow, however busy the machine is
			assert.Equal(t, w.publish(t, r, 1, 8<<10)[0], fast.want(t, wire.OpEvent).Seq)
		}
		n.await(t, 1, "tidings_edge_connections_closed_total", "4508") // before or after it has fallen behind
		n.await(t, 1, "tidings_edge_connections")
		n.await(t, 0, "tidings_edge_queued_bytes")
		fast.quiet(t)
	})
}

// What is no event cannot be read again later, so it is not queued without bound either.
func TestSlowClient_ThatAsksWithoutReadingIsDisconnected(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.ClientBuffer = 8 << 10 })
		c := n.upgrade(t, helloFrame(t))
		c.want(t, wire.OpWelcome)
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		ask := textFrame(`{"op":"join","rooms":["k:` + strings.Repeat("x", 500) + `"]}`) // no room, and sent back
		for n.metric(t, "tidings_edge_connections_closed_total", "4508") == 0 {
			if _, err := c.Write([]byte(ask)); err != nil {
				break
			}
		}
		n.await(t, 1, "tidings_edge_connections_closed_total", "4508")
		n.await(t, 0, "tidings_edge_connections")
		n.await(t, 0, "tidings_edge_queued_bytes")
	})
}

func TestSlowClient_AllTogetherKeepToTheTotal(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.TotalBuffer = 64 << 10 })
		r := room(t)
		const clients = 4
		slow := make([]*client, clients)
		for i := range slow {
			slow[i] = n.join(t, r)
		}
		fast := n.join(t, r)
		reading := fast.collect(t, 120)
		seqs := w.publish(t, r, 120, 8<<10)
		assert.Equal(t, seqs, (<-reading).seqs)
		n.awaitAtLeast(t, clients, "tidings_edge_lags_total")
		assert.LessOrEqual(t, n.metric(t, "tidings_edge_queued_bytes"), float64((64+clients+16*clients)<<10))
		for _, c := range slow {
			follow := follower{room: r, pos: c.pos[r.String()].Seq}
			for len(follow.seqs) < len(seqs) {
				if f := c.next(t); f.Op != wire.OpLag {
					follow.take(t, f)
				}
			}
			assert.Equal(t, seqs, follow.seqs)
		}
		n.await(t, 0, "tidings_edge_queued_bytes")
	})
}
