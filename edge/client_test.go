package edge_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/subjects"
)

// token is a token of alice that lasts an hour.
func token(t testing.TB, rooms ...string) string {
	t.Helper()
	return tokenOf(t, "alice", time.Now().Add(time.Hour), rooms...)
}

func tokenOf(t testing.TB, sub string, expires time.Time, rooms ...string) string {
	t.Helper()
	s, err := authz.Sign(testSecret, authz.TokenClaims{Subject: sub, Rooms: rooms, Expires: expires})
	require.NoError(t, err)
	return s
}

// client is a WebSocket client that is not ours.
type client struct {
	conn  *websocket.Conn
	pings int
	pos   map[string]wire.Position // by room, as it was joined first
}

func (n *node) dialOptions(header http.Header) *websocket.DialOptions {
	return &websocket.DialOptions{HTTPClient: n.http, HTTPHeader: header, Subprotocols: []string{wire.Subprotocol}}
}

// dial opens a connection; header may be nil.
func (n *node) dial(t testing.TB, header http.Header) *client {
	t.Helper()
	c, _ := n.dialWith(t, n.dialOptions(header))
	return c
}

// dialWith opens a connection and returns the edge's answer as well.
func (n *node) dialWith(t testing.TB, options *websocket.DialOptions) (*client, http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, n.url(), options) //nolint:bodyclose // the connection took it
	require.NoError(t, err)
	conn.SetReadLimit(-1)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &client{conn: conn, pos: make(map[string]wire.Position)}, resp.Header
}

// refused dials and wants a plain HTTP answer.
func (n *node) refused(t testing.TB, header http.Header) (status int, body string, got http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, n.url(), n.dialOptions(header)) //nolint:bodyclose // the package closed it
	if err == nil {
		_ = conn.CloseNow()
		require.Fail(t, "the handshake was accepted")
	}
	require.NotNil(t, resp, "%v", err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b), resp.Header
}

// join opens a connection and joins rooms with a token for just these; it returns when it is in.
func (n *node) join(t testing.TB, rooms ...subjects.Room) *client {
	t.Helper()
	c := n.dial(t, nil)
	c.enter(t, rooms...)
	return c
}

// enter says hello, joins rooms with a token for just these and returns when it is in.
func (c *client) enter(t testing.TB, rooms ...subjects.Room) {
	t.Helper()
	names := make([]string, len(rooms))
	refs := make([]wire.RoomRef, len(rooms))
	for i, r := range rooms {
		names[i], refs[i] = r.String(), wire.RoomRef{Room: r.String()}
	}
	c.hello(t, token(t, names...), refs...)
	for range rooms {
		joined := c.want(t, wire.OpJoined)
		c.pos[joined.Room] = *joined.Position
	}
}

// hello says hello and awaits the welcome.
func (c *client) hello(t testing.TB, token string, rooms ...wire.RoomRef) wire.ServerFrame {
	t.Helper()
	c.frame(t, wire.ClientFrame{Op: wire.OpHello, Token: token, Rooms: rooms})
	return c.want(t, wire.OpWelcome)
}

// resume says hello with one room and a position, and returns the answer.
func (c *client) resume(t testing.TB, r subjects.Room, since *wire.Position) wire.ServerFrame {
	t.Helper()
	c.hello(t, token(t, r.String()), wire.RoomRef{Room: r.String(), Since: since})
	f := c.want(t, wire.OpJoined)
	require.Equal(t, r.String(), f.Room)
	return f
}

func (c *client) frame(t testing.TB, f wire.ClientFrame) {
	t.Helper()
	b, err := json.Marshal(f)
	require.NoError(t, err)
	c.send(t, string(b))
}

func (c *client) send(t testing.TB, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, c.conn.Write(ctx, websocket.MessageText, []byte(text)))
}

func (c *client) read(t testing.TB) (wire.ServerFrame, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		_, b, err := c.conn.Read(ctx)
		if err != nil {
			return wire.ServerFrame{}, err
		}
		f, err := wire.DecodeServer(b)
		require.NoError(t, err)
		if f.Op != wire.OpPing {
			return f, nil
		}
		c.pings++
	}
}

// next is the next frame that is no ping.
func (c *client) next(t testing.TB) wire.ServerFrame {
	t.Helper()
	f, err := c.read(t)
	require.NoError(t, err)
	return f
}

// want is next, which must be of that op.
func (c *client) want(t testing.TB, op wire.Op) wire.ServerFrame {
	t.Helper()
	f := c.next(t)
	require.Equal(t, op, f.Op, "%+v", f)
	return f
}

// denied joins a room and wants to be refused; it shows as well that nothing else had been sent.
func (c *client) denied(t testing.TB, room, code string) wire.ServerFrame {
	t.Helper()
	c.frame(t, wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: room}}})
	f := c.want(t, wire.OpDenied)
	assert.Equal(t, code, f.Code, "%q: %+v", room, f)
	return f
}

// quiet shows that the edge has sent nothing more until now.
func (c *client) quiet(t testing.TB) {
	t.Helper()
	c.denied(t, "no room", wire.DeniedBadRoom)
}

// closed reads until the connection ends and wants a close frame.
func (c *client) closed(t testing.TB, want websocket.StatusCode) (reason string) {
	t.Helper()
	for {
		_, err := c.read(t)
		if err == nil {
			continue
		}
		var closed websocket.CloseError
		require.ErrorAs(t, err, &closed)
		assert.Equal(t, want, closed.Code, closed.Reason)
		return closed.Reason
	}
}

// bye closes in order and waits until that is done.
func (c *client) bye(t testing.TB) {
	t.Helper()
	require.NoError(t, c.conn.Close(websocket.StatusNormalClosure, ""))
}

// follower checks the events of one room: in order, each once, each after the one before.
type follower struct {
	room subjects.Room
	pos  uint64
	seqs []uint64
}

// take takes an event frame.
func (f *follower) take(t testing.TB, frame wire.ServerFrame) {
	t.Helper()
	require.Equal(t, wire.OpEvent, frame.Op, "%+v", frame)
	require.Equal(t, f.room.String(), frame.Room)
	require.LessOrEqual(t, frame.Prev, f.pos, "a gap")
	require.Greater(t, frame.Seq, f.pos, "twice or out of order")
	f.pos = frame.Seq
	f.seqs = append(f.seqs, frame.Seq)
}

// events reads n events of a room.
func (c *client) events(t testing.TB, r subjects.Room, pos uint64, n int) []uint64 {
	t.Helper()
	f := follower{room: r, pos: pos}
	for range n {
		f.take(t, c.next(t))
	}
	return f.seqs
}

// collected is what a client got that read all the time.
type collected struct {
	seqs []uint64
	lags int
	err  error
}

// collect begins to read n events beside the test.
func (c *client) collect(t testing.TB, n int) <-chan collected {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	out := make(chan collected, 1)
	go func() {
		defer cancel()
		var got collected
		for len(got.seqs) < n && got.err == nil {
			var b []byte
			if _, b, got.err = c.conn.Read(ctx); got.err != nil {
				break
			}
			var f wire.ServerFrame
			f, got.err = wire.DecodeServer(b)
			switch f.Op {
			case wire.OpEvent:
				got.seqs = append(got.seqs, f.Seq)
			case wire.OpLag:
				got.lags++
			default:
			}
		}
		out <- got
	}()
	return out
}

// publish stores n events of size bytes and more in a room and returns their sequences.
func (w *world) publish(t testing.TB, r subjects.Room, n, size int) []uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seqs := make([]uint64, n)
	for i := range seqs {
		ack, err := w.publisher.Publish(ctx, r, event(size))
		require.NoError(t, err)
		seqs[i] = ack.Seq
	}
	return seqs
}

// event is an event with a payload of size bytes.
func event(size int) subjects.Event {
	return subjects.Event{
		ID: subjects.NewID(), Source: "/tests", Type: "note", Time: time.Now().UTC(),
		Data: json.RawMessage(`{"text":"` + strings.Repeat("x", size) + `"}`),
	}
}

// wireConn is a client that sees bytes.
type wireConn struct {
	net.Conn
	in *bufio.Reader
}

// connect opens a bare connection.
func (n *node) connect(t testing.TB) *wireConn {
	t.Helper()
	conn, err := net.Dial("tcp", n.addr)
	require.NoError(t, err)
	if n.world.tls {
		_, cfg := certificate(t)
		cfg.ServerName = "127.0.0.1"
		conn = tls.Client(conn, cfg)
	}
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return &wireConn{Conn: conn, in: bufio.NewReader(conn)}
}

const handshake = "GET /ws HTTP/1.1\r\nHost: tests\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: " + wire.Subprotocol + "\r\n\r\n"

// upgrade opens a connection, sends a handshake and, in the same write, whatever follows it.
func (n *node) upgrade(t testing.TB, glued string) *wireConn {
	t.Helper()
	c, _ := n.upgradeBy(t, handshake, glued)
	return c
}

// upgradeBy is upgrade with a handshake of one's own. It returns the answer as well.
func (n *node) upgradeBy(t testing.TB, handshake, glued string) (*wireConn, http.Header) {
	t.Helper()
	c := n.connect(t)
	c.put(t, handshake+glued)
	resp, err := http.ReadResponse(c.in, nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	return c, resp.Header
}

func (c *wireConn) put(t testing.TB, b string) {
	t.Helper()
	_, err := io.WriteString(c, b)
	require.NoError(t, err)
}

// next reads one frame of the server.
func (c *wireConn) next(t testing.TB) ws.Frame {
	t.Helper()
	f, err := ws.ReadFrame(c.in) //nolint:staticcheck // the server under test is no attacker
	require.NoError(t, err)
	require.False(t, f.Header.Masked)
	return f
}

// want reads one text frame of the protocol.
func (c *wireConn) want(t testing.TB, op wire.Op) wire.ServerFrame {
	t.Helper()
	f := c.next(t)
	require.Equal(t, ws.OpText, f.Header.OpCode, "%s", f.Payload)
	got, err := wire.DecodeServer(f.Payload)
	require.NoError(t, err)
	require.Equal(t, op, got.Op, "%s", f.Payload)
	return got
}

// closed reads until the close frame and the end of the connection after it.
func (c *wireConn) closed(t testing.TB, want ws.StatusCode) (reason string) {
	t.Helper()
	for {
		f := c.next(t)
		if f.Header.OpCode != ws.OpClose {
			continue
		}
		code, reason := ws.ParseCloseFrameData(f.Payload)
		assert.Equal(t, want, code, reason)
		_, err := c.in.ReadByte()
		assert.ErrorIs(t, err, io.EOF, "nothing follows a close frame")
		return reason
	}
}

// masked builds a client's frame.
func masked(op ws.OpCode, fin bool, payload string) string {
	f := ws.MaskFrame(ws.NewFrame(op, fin, []byte(payload)))
	return string(ws.MustCompileFrame(f))
}

func textFrame(payload string) string { return masked(ws.OpText, true, payload) }

// helloFrame is a hello of alice.
func helloFrame(t testing.TB, rooms ...subjects.Room) string {
	t.Helper()
	names := make([]string, len(rooms))
	refs := make([]string, len(rooms))
	for i, r := range rooms {
		names[i], refs[i] = r.String(), strconv.Quote(r.String())
	}
	return textFrame(fmt.Sprintf(`{"op":"hello","token":%q,"rooms":[%s]}`, token(t, names...), strings.Join(refs, ",")))
}
