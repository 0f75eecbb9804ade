package edge_test

import (
	"net"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
)

func TestViolations_GetTheirDocumentedCloseCode(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.Message = 1000 })
		hello := helloFrame(t)
		for name, c := range map[string]struct {
			send string
			code ws.StatusCode
		}{
			"no JSON":                   {textFrame("{{"), 4400},
			"no object":                 {textFrame("[]"), 4400},
			"empty message":             {textFrame(""), 4400},
			"two objects":               {textFrame(`{"op":"pong"}{"op":"pong"}`), 4400},
			"no op":                     {textFrame(`{}`), 4400},
			"unknown op":                {textFrame(`{"op":"publish"}`), 4400},
			"op of the wrong type":      {textFrame(`{"op":7}`), 4400},
			"join before hello":         {textFrame(`{"op":"join","rooms":["k:1"]}`), 4400},
			"leave before hello":        {textFrame(`{"op":"leave","rooms":["k:1"]}`), 4400},
			"token before hello":        {textFrame(`{"op":"token","token":"x"}`), 4400},
			"second hello":              {hello + hello, 4400},
			"second hello without":      {hello + textFrame(`{"op":"hello"}`), 4400},
			"join without rooms":        {hello + textFrame(`{"op":"join"}`), 4400},
			"rooms of the wrong type":   {hello + textFrame(`{"op":"join","rooms":"k:1"}`), 4400},
			"since of the wrong type":   {hello + textFrame(`{"op":"join","rooms":[{"room":"k:1","since":"x"}]}`), 4400},
			"unmasked":                  {string(ws.MustCompileFrame(ws.NewTextFrame([]byte("{}")))), 1002},
			"reserved bits":             {"\xf1\x80\x00\x00\x00\x00", 1002},
			"compressed, not agreed on": {"\xc1\x87\x00\x00\x00\x00\xf2\x48\xcd\xc9\xc9\x07\x00", 1002},
			"reserved opcode":           {"\x83\x80\x00\x00\x00\x00", 1002},
			"continuation of nothing":   {masked(ws.OpContinuation, true, "x"), 1002},
			"message inside another":    {masked(ws.OpText, false, "{") + textFrame("{}"), 1002},
			"fragmented ping":           {masked(ws.OpPing, false, "x"), 1002},
			"length not minimal":        {"\x81\xfe\x00\x01\x00\x00\x00\x00x", 1002},
			"close of one byte":         {masked(ws.OpClose, true, "x"), 1002},
			"close with a code of none": {masked(ws.OpClose, true, "\x03\xed"), 1002},
			"binary":                    {masked(ws.OpBinary, true, "{}"), 1003},
			"not UTF-8":                 {textFrame("\xff"), 1007},
			"too large":                 {textFrame(strings.Repeat(" ", 1001)), 4413},
			"too large in fragments":    {masked(ws.OpText, false, strings.Repeat(" ", 600)) + masked(ws.OpContinuation, true, strings.Repeat(" ", 401)), 4413},
			"too large, announced":      {"\x81\xff\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00", 4413},
			"close, normal":             {masked(ws.OpClose, true, "\x03\xe8bye"), 1000},
			"close, without code":       {masked(ws.OpClose, true, ""), 1000},
			"close, own code":           {masked(ws.OpClose, true, "\x0f\xa0"), 4000},
		} {
			// At once with the handshake, then in single bytes.
			whole := n.upgrade(t, c.send)
			reason := whole.closed(t, c.code)
			if c.code == 4400 || c.code == 1002 || c.code == 1003 || c.code == 1007 || c.code == 4413 {
				assert.NotEmpty(t, reason, name)
			}
			bytewise := n.upgrade(t, "")
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

func TestViolations_NothingAfterOneCounts(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		c := n.upgrade(t, textFrame("{{")+helloFrame(t, room(t)))
		f := c.next(t)
		assert.Equal(t, ws.OpClose, f.Header.OpCode)
		c.put(t, helloFrame(t)) // still read, and dropped, so that the close frame is not lost
		require.NoError(t, c.Close())
		n.await(t, 0, "tidings_edge_connections")
		assert.Zero(t, n.metric(t, "tidings_edge_joins_total"))
	})
}

func TestMessages_AnySplitIsUnderstood(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		r := room(t)
		glued := n.upgrade(t, helloFrame(t, r)+textFrame(`{"op":"join","rooms":[":"]}`))
		glued.want(t, wire.OpWelcome)
		ops := []wire.Op{glued.text(t).Op, glued.text(t).Op}
		assert.ElementsMatch(t, []wire.Op{wire.OpJoined, wire.OpDenied}, ops)

		single := n.upgrade(t, "")
		for _, b := range []byte(helloFrame(t, r)) {
			single.put(t, string([]byte{b}))
		}
		single.want(t, wire.OpWelcome)
		single.want(t, wire.OpJoined)

		// In fragments, with a ping between them.
		hello := `{"op":"hello","token":"` + token(t, r.String()) + `","rooms":["` + r.String() + `"]}`
		fragments := n.upgrade(t, masked(ws.OpText, false, hello[:10]))
		fragments.put(t, masked(ws.OpPing, true, "are you there"))
		fragments.put(t, masked(ws.OpContinuation, false, hello[10:20])+masked(ws.OpContinuation, true, hello[20:]))
		pong := fragments.next(t)
		assert.Equal(t, ws.OpPong, pong.Header.OpCode)
		assert.Equal(t, "are you there", string(pong.Payload))
		fragments.want(t, wire.OpWelcome)
		fragments.want(t, wire.OpJoined)

		seqs := w.publish(t, r, 1, 10)
		for _, c := range []*wireConn{glued, single, fragments} {
			assert.Equal(t, seqs[0], c.want(t, wire.OpEvent).Seq)
		}
	})
}

// text reads one text frame.
func (c *wireConn) text(t testing.TB) wire.ServerFrame {
	t.Helper()
	f, err := wire.DecodeServer(c.next(t).Payload)
	require.NoError(t, err)
	return f
}

func TestMessages_SizeLimit(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		hello := `{"op":"hello","token":"` + token(t) + `"}`
		for size, accepted := range map[int]bool{16<<10 - 1: true, 16 << 10: true, 16<<10 + 1: false} {
			c := n.dial(t, nil)
			c.send(t, hello+strings.Repeat(" ", size-len(hello)))
			if accepted {
				c.want(t, wire.OpWelcome)
			} else {
				assert.Contains(t, c.closed(t, 4413), "limit")
			}
		}
	})
}

func TestMessages_AClientThatVanishesIsForgotten(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.PerAddress, s.edge.Limits.PerUser = 3, 3 })
		r := room(t)
		hello := helloFrame(t, r)
		opened := 0.0
		for _, sent := range []string{"", "\x81", hello[:len(hello)/2], hello, hello + hello[:5], hello + textFrame("{{"), masked(ws.OpText, false, "{")} {
			for _, abort := range []bool{true, false} {
				c := n.upgrade(t, sent)
				if tcp, ok := c.Conn.(*net.TCPConn); ok && abort {
					require.NoError(t, tcp.SetLinger(0)) // a reset instead of an end
				}
				require.NoError(t, c.Close())
				opened++
				n.await(t, opened, "tidings_edge_connections_opened_total") // its answer came a moment before
				n.await(t, 0, "tidings_edge_connections")
			}
		}
		n.await(t, 0, "tidings_mesh_rooms")
		for range 3 { // no place was lost
			n.join(t, r)
		}
	})
}
