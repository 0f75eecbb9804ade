package edge_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
)

func TestDrain_ClientsAreAskedOneAfterTheOther(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		const lasts = 4 * time.Second
		n := w.start(t, func(s *settings) { s.edge.Drain = lasts })
		r := room(t)
		clients := make([]*client, 24)
		for i := range clients {
			clients[i] = n.join(t, r)
		}
		n.stop()
		within := make(chan int64, len(clients))
		for _, c := range clients {
			go func() {
				var f wire.ServerFrame
				_, text, err := c.conn.Read(t.Context())
				if err == nil {
					f, err = wire.DecodeServer(text)
				}
				if assert.NoError(t, err) && assert.Equal(t, wire.OpDrain, f.Op) {
					assert.NoError(t, c.conn.Close(websocket.StatusNormalClosure, ""))
				}
				within <- f.Within
			}()
		}
		var times []int64
		for range clients {
			times = append(times, <-within)
		}
		slices.Sort(times)
		slices.Reverse(times)
		assert.Equal(t, lasts.Milliseconds(), times[0], "the first is asked at once")
		// Two shards have half of them each. Those who are late, the machine being busy, are not asked before their turn either.
		for i, within := range times {
			turn := lasts.Milliseconds() / 2 * int64(i/2) / int64(len(clients)/2)
			assert.LessOrEqual(t, within, lasts.Milliseconds()-turn, "client %d of %v: over half of the time", i, times)
		}
		assert.Positive(t, times[len(times)-1], "the last one is asked while there is time")
		require.NoError(t, n.ended(t), "all have moved: it does not wait any longer")
	})
}

func TestDrain_EventsGoOnUntilTheClientHasGone(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Drain = patience })
		r := room(t)
		stays, idle := n.join(t, r), n.dial(t, nil)
		n.stop()
		stays.want(t, wire.OpDrain)
		status, body := n.get("/readyz")
		assert.Equal(t, http.StatusServiceUnavailable, status)
		assert.Contains(t, body, "draining")
		refused, why, header := n.refused(t, nil)
		assert.Equal(t, http.StatusServiceUnavailable, refused)
		assert.Contains(t, why, "draining")
		assert.NotEmpty(t, header.Get("Retry-After"))
		idle.frame(t, wire.ClientFrame{Op: wire.OpHello, Token: token(t)})
		idle.closed(t, websocket.StatusCode(wire.CodeDraining))

		seqs := w.publish(t, r, 3, 10)
		assert.Equal(t, seqs, stays.events(t, r, stays.pos[r.String()].Seq, 3))
		stays.bye(t)
		require.NoError(t, n.ended(t))
	})
}

func TestDrain_WhoStaysIsClosedInTheEnd(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Drain = time.Second })
		c := n.join(t, room(t))
		n.stop()
		c.want(t, wire.OpDrain)
		c.closed(t, websocket.StatusCode(wire.CodeDraining))
		require.NoError(t, n.ended(t))
	})
}

func TestDrain_AnOperatorInAHurryCutsItShort(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Drain = time.Hour })
		c := n.join(t, room(t))
		n.stop()
		c.want(t, wire.OpDrain)
		n.hard()
		require.NoError(t, n.ended(t))
	})
}
