package edge_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/subjects"
)

// deflateFrom is where compression begins in these tests.
const deflateFrom = 400

func withDeflate(s *settings) { s.edge.DeflateFrom = deflateFrom }

const deflateAnswer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// dialDeflate opens a connection that compresses everything it sends.
func (n *node) dialDeflate(t testing.TB, mode websocket.CompressionMode) *client {
	t.Helper()
	options := n.dialOptions(nil)
	options.CompressionMode, options.CompressionThreshold = mode, 1
	c, answer := n.dialWith(t, options)
	require.Equal(t, deflateAnswer, answer.Get("Sec-WebSocket-Extensions"))
	return c
}

// upgradeDeflate is upgrade as Chromium does it.
func (n *node) upgradeDeflate(t testing.TB, glued string) *wireConn {
	t.Helper()
	offer := strings.Replace(handshake, "\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", 1)
	c, answer := n.upgradeBy(t, offer, glued)
	require.Equal(t, deflateAnswer, answer.Get("Sec-WebSocket-Extensions"))
	return c
}

// plain returns a frame decompressed, and whether it was compressed.
func plain(t testing.TB, f ws.Frame) (payload []byte, compressed bool) {
	t.Helper()
	compressed, err := wsflate.IsCompressed(f.Header)
	require.NoError(t, err)
	if compressed {
		f, err = wsflate.DecompressFrame(f)
		require.NoError(t, err)
	}
	return f.Payload, compressed
}

// packed is a message compressed by the standard library.
func packed(t testing.TB, message string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	require.NoError(t, err)
	_, err = w.Write([]byte(message))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// rsv1Frame builds a client's frame with the bit of compressed messages.
func rsv1Frame(op ws.OpCode, fin bool, payload string) string {
	b := []byte(masked(op, fin, payload))
	b[0] |= 0x40
	return string(b)
}

// noise is an event of about size bytes that compresses to some three quarters.
func noise(size int) subjects.Event {
	b := make([]byte, size*3/4)
	for i := range b {
		b[i] = byte(rand.IntN(256))
	}
	return subjects.Event{
		ID: subjects.NewID(), Source: "/tests", Type: "note", Time: time.Now().UTC(),
		Data: json.RawMessage(`{"text":"` + base64.StdEncoding.EncodeToString(b) + `"}`),
	}
}

func (w *world) publishNoise(t testing.TB, r subjects.Room, n, size int) []uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seqs := make([]uint64, n)
	for i := range seqs {
		ack, err := w.publisher.Publish(ctx, r, noise(size))
		require.NoError(t, err)
		seqs[i] = ack.Seq
	}
	return seqs
}

func TestDeflate_ForeignClientsOfAllKindsGetTheSameEvents(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, withDeflate)
		r := room(t)
		clients := map[string]*client{
			"without":            n.dial(t, nil),
			"with takeover":      n.dialDeflate(t, websocket.CompressionContextTakeover),
			"without takeover":   n.dialDeflate(t, websocket.CompressionNoContextTakeover),
			"without takeover 2": n.dialDeflate(t, websocket.CompressionNoContextTakeover),
		}
		var start uint64
		for _, c := range clients {
			c.enter(t, r)
			start = c.pos[r.String()].Seq
		}
		var seqs []uint64
		for _, size := range []int{0, 100, 300, 1000, 10, 5000, 60_000, 200} {
			seqs = append(seqs, w.publish(t, r, 3, size)...)
			seqs = append(seqs, w.publishNoise(t, r, 2, size)...)
		}
		for name, c := range clients {
			assert.Equal(t, seqs, c.events(t, r, start, len(seqs)), name)
			c.quiet(t)
			c.bye(t)
		}
	})
}

// What is an event, large enough and live is compressed; nothing else is.
func TestDeflate_CompressesLargeLiveEventsOnly(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, withDeflate)
		r := room(t)
		other := n.upgrade(t, helloFrame(t, r))
		c := n.upgradeDeflate(t, helloFrame(t, r))
		for _, conn := range []*wireConn{other, c} {
			conn.want(t, wire.OpWelcome)
			conn.want(t, wire.OpJoined)
		}
		before := n.metric(t, "tidings_edge_delivered_bytes_total")
		sent := 0
		for _, size := range []int{10, 2000, 20} {
			w.publish(t, r, 1, size)
			want, f := other.next(t), c.next(t)
			payload, compressed := plain(t, f)
			assert.Equal(t, string(want.Payload), string(payload), "byte for byte what others get")
			assert.Equal(t, size > deflateFrom, compressed, "%d", size)
			if compressed {
				assert.Less(t, len(f.Payload), 400)
			}
			sent += len(ws.MustCompileFrame(want)) + len(ws.MustCompileFrame(f))
		}
		n.await(t, before+float64(sent), "tidings_edge_delivered_bytes_total") // as they were sent, at the end of the turn

		again := n.upgradeDeflate(t, textFrame(`{"op":"hello","token":"`+token(t, r.String())+`","rooms":[{"room":"`+r.String()+`","since":{"epoch":"x","seq":1}}]}`))
		for _, op := range []wire.Op{wire.OpWelcome, wire.OpJoined} {
			payload, compressed := plain(t, again.next(t))
			assert.False(t, compressed, "%s", op)
			assert.Contains(t, string(payload), `"op":"`+string(op)+`"`)
		}
		c.put(t, masked(ws.OpPing, true, strings.Repeat("p", 125)))
		pong := c.next(t)
		assert.Equal(t, ws.OpPong, pong.Header.OpCode)
		assert.Zero(t, pong.Header.Rsv)
		c.put(t, textFrame(`{"op":"join","rooms":["`+strings.Repeat("x", 1000)+`"]}`))
		denied := c.next(t)
		assert.Greater(t, len(denied.Payload), deflateFrom)
		assert.Zero(t, denied.Header.Rsv)
		c.put(t, masked(ws.OpClose, true, "\x03\xe8"))
		closing := c.next(t)
		assert.Equal(t, ws.OpClose, closing.Header.OpCode)
		assert.Zero(t, closing.Header.Rsv)
	})
}

func TestDeflate_OffIsDeclined(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		options := n.dialOptions(nil)
		options.CompressionMode, options.CompressionThreshold = websocket.CompressionContextTakeover, 1
		c, answer := n.dialWith(t, options)
		assert.NotContains(t, answer, "Sec-Websocket-Extensions")
		r := room(t)
		c.enter(t, r)
		seqs := w.publish(t, r, 2, 5000)
		assert.Equal(t, seqs, c.events(t, r, c.pos[r.String()].Seq, 2))
	})
}

func TestDeflate_ViolationsGetTheirDocumentedCloseCode(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, withDeflate, func(s *settings) { s.edge.Limits.Message = 1000 })
		bomb := packed(t, strings.Repeat(" ", 500_000))
		require.Less(t, len(bomb), 1000)
		for name, c := range map[string]struct {
			send string
			code ws.StatusCode
		}{
			"bomb":                      {rsv1Frame(ws.OpText, true, bomb), 4413},
			"bomb in fragments":         {rsv1Frame(ws.OpText, false, bomb[:20]) + masked(ws.OpContinuation, true, bomb[20:]), 4413},
			"too large":                 {rsv1Frame(ws.OpText, true, packed(t, strings.Repeat(" ", 1001))), 4413},
			"too large, compressed":     {rsv1Frame(ws.OpText, true, strings.Repeat("x", 1001)), 4413},
			"too large, plain":          {textFrame(strings.Repeat(" ", 1001)), 4413},
			"no JSON":                   {rsv1Frame(ws.OpText, true, packed(t, strings.Repeat(" ", 1000))), 4400},
			"not UTF-8":                 {rsv1Frame(ws.OpText, true, packed(t, "\xff")), 1007},
			"not compressed":            {rsv1Frame(ws.OpText, true, `{"op":"pong"}`), 1007},
			"cut short":                 {rsv1Frame(ws.OpText, true, packed(t, `{"op":"pong"}`)[:8]), 1007},
			"compressed ping":           {rsv1Frame(ws.OpPing, true, ""), 1002},
			"compressed close":          {rsv1Frame(ws.OpClose, true, ""), 1002},
			"compressed later fragment": {rsv1Frame(ws.OpText, false, bomb[:20]) + rsv1Frame(ws.OpContinuation, true, bomb[20:]), 1002},
			"other reserved bits":       {"\xe1\x80\x00\x00\x00\x00", 1002},
			"compressed binary":         {rsv1Frame(ws.OpBinary, true, packed(t, "{}")), 1003},
		} {
			whole := n.upgradeDeflate(t, c.send)
			assert.NotEmpty(t, whole.closed(t, c.code), name)
			bytewise := n.upgradeDeflate(t, "")
			for i := range len(c.send) {
				if _, err := bytewise.Write([]byte{c.send[i]}); err != nil {
					break // it was refused before its end
				}
			}
			bytewise.closed(t, c.code)
			require.NoError(t, whole.Close(), name)
			require.NoError(t, bytewise.Close(), name)
		}
		n.await(t, 0, "tidings_edge_connections")
	})
}

func TestDeflate_MessagesOfClientsInAnySplit(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, withDeflate)
		r := room(t)
		hello := packed(t, `{"op":"hello","token":"`+token(t, r.String())+`","rooms":["`+r.String()+`"]}`)
		whole := rsv1Frame(ws.OpText, true, hello)
		fragments := rsv1Frame(ws.OpText, false, hello[:10]) + masked(ws.OpPing, true, "") + masked(ws.OpContinuation, true, hello[10:])
		for _, sent := range []string{whole, fragments, whole[:len(whole)/2]} {
			c := n.upgradeDeflate(t, sent)
			if len(sent) < len(whole) {
				for _, b := range []byte(whole[len(sent):]) {
					c.put(t, string([]byte{b}))
				}
			}
			if len(sent) > len(whole) {
				assert.Equal(t, ws.OpPong, c.next(t).Header.OpCode)
			}
			c.want(t, wire.OpWelcome)
			c.want(t, wire.OpJoined)
		}
	})
}

// Compressed frames that a slow client was sent a part of are finished, those that were queued follow, and what
// it missed comes from the log, plain.
func TestDeflate_SlowClientsLoseNothing(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, withDeflate, func(s *settings) { s.edge.Limits.ClientBuffer = 128 << 10 })
		r := room(t)
		slow, fast := n.upgradeDeflate(t, helloFrame(t, r)), n.dialDeflate(t, websocket.CompressionNoContextTakeover)
		slow.want(t, wire.OpWelcome)
		start := slow.want(t, wire.OpJoined).Position.Seq
		fast.enter(t, r)

		const events = 200
		reading := fast.collect(t, events)
		seqs := w.publishNoise(t, r, events, 12<<10)
		got := <-reading
		require.NoError(t, got.err)
		assert.Equal(t, seqs, got.seqs)
		n.awaitAtLeast(t, 1, "tidings_edge_lags_total")

		follow := follower{room: r, pos: start}
		kinds := map[bool]int{}
		for len(follow.seqs) < events {
			payload, compressed := plain(t, slow.next(t))
			f, err := wire.DecodeServer(payload)
			require.NoError(t, err)
			if f.Op != wire.OpLag {
				follow.take(t, f)
				kinds[compressed]++
			}
		}
		assert.Equal(t, seqs, follow.seqs, "every event, in order, once")
		assert.Positive(t, kinds[true])
		assert.Positive(t, kinds[false])
		seqs = w.publishNoise(t, r, 1, 12<<10)
		payload, compressed := plain(t, slow.next(t))
		f, err := wire.DecodeServer(payload)
		require.NoError(t, err)
		follow.take(t, f)
		assert.Equal(t, seqs[0], follow.pos)
		assert.True(t, compressed, "live again")
		n.await(t, 0, "tidings_edge_queued_bytes")
	})
}
