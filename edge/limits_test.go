package edge_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
)

func TestLimits_ConnectionsPerUser(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.PerUser = 2 })
		one := n.join(t)
		n.join(t)
		c := n.dial(t, nil)
		c.frame(t, wire.ClientFrame{Op: wire.OpHello, Token: token(t)})
		reason := c.closed(t, 4429)
		assert.Contains(t, reason, "retry_after=30")
		assert.Contains(t, reason, "connections per user is 2")

		other := n.dial(t, nil)
		other.hello(t, tokenOf(t, "bob", time.Now().Add(time.Hour)))
		one.bye(t)
		n.await(t, 2, "tidings_edge_connections")
		n.join(t)
	})
}

func TestLimits_ConnectionsPerAddress(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.PerAddress = 2 })
		n.dial(t, nil) // counts before it has said anything
		two := n.join(t)
		n.await(t, 2, "tidings_edge_connections") // the first has its answer a moment before it is counted
		status, body, header := n.refused(t, nil)
		assert.Equal(t, http.StatusTooManyRequests, status)
		assert.Contains(t, body, "connections per address is 2")
		assert.Equal(t, "30", header.Get("Retry-After"))
		assert.InDelta(t, 1, n.metric(t, "tidings_edge_handshakes_refused_total", "address_limit"), 0)
		two.bye(t)
		n.await(t, 1, "tidings_edge_connections")
		n.join(t)
	})
}

// Those who come at the same moment may all pass the check before the upgrade.
func TestLimits_AddressLimitHoldsForThoseWhoComeTogether(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.PerAddress = 5 })
		const crowd = 20
		conns := make([]*wireConn, crowd)
		for i := range conns {
			conns[i] = n.connect(t)
		}
		var all sync.WaitGroup
		welcomed := make(chan bool, crowd)
		hello := helloFrame(t)
		for _, c := range conns {
			all.Go(func() { welcomed <- c.welcomed(hello) })
		}
		all.Wait()
		in := 0
		for range crowd {
			if <-welcomed {
				in++
			}
		}
		assert.Equal(t, 5, in)
		for _, c := range conns {
			require.NoError(t, c.Close())
		}
		n.await(t, 0, "tidings_edge_connections")
		for range 5 {
			n.join(t)
		}
	})
}

// welcomed says hello and reports whether the answer was a welcome. It is for other goroutines than
// the test's.
func (c *wireConn) welcomed(hello string) bool {
	if _, err := c.Write([]byte(handshake + hello)); err != nil {
		return false
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return false
	}
	first, err := c.in.Peek(1)
	return err == nil && first[0] == 0x81
}

func TestLimits_OriginsThatAreNotListedAreRefused(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Origins = []string{"https://app.example.org"} })
		for _, origin := range []string{"https://evil.example.org", "http://app.example.org", "https://app.example.org:8443", "null"} {
			status, _, _ := n.refused(t, http.Header{"Origin": {origin}})
			assert.Equal(t, http.StatusForbidden, status, origin)
		}
		n.dial(t, http.Header{"Origin": {"https://app.example.org"}}).hello(t, token(t))
		n.dial(t, nil).hello(t, token(t)) // not a browser
	})
}

func TestLiveness_PongKeepsAConnectionAndSilenceEndsIt(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) {
			s.edge.Limits.Ping, s.edge.Limits.PongTimeout = 200*time.Millisecond, 2*time.Second
		})
		alive, silent := n.upgrade(t, helloFrame(t)), n.dial(t, nil)
		silent.hello(t, token(t))
		alive.want(t, wire.OpWelcome)
		begin := time.Now()
		answered := 0
		for n.metric(t, "tidings_edge_connections_closed_total", "4410") == 0 {
			f := alive.want(t, wire.OpPing)
			assert.InDelta(t, time.Now().UnixMilli(), f.TS, 60_000)
			alive.put(t, textFrame(`{"op":"pong"}`))
			answered++
		}
		assert.GreaterOrEqual(t, time.Since(begin), time.Duration(answered)*200*time.Millisecond)
		assert.Contains(t, silent.closed(t, websocket.StatusCode(wire.CodeNoPong)), "2s")
		assert.Positive(t, silent.pings)
		alive.want(t, wire.OpPing)
		alive.put(t, masked(0xa, true, "")) // the WebSocket's own pong serves as well
		alive.want(t, wire.OpPing)
	})
}
