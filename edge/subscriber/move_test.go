package subscriber_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/follow"
	"github.com/tidingsmesh/tidings/edge/subscriber"
	"github.com/tidingsmesh/tidings/edge/wire"
)

const (
	patience = 20 * time.Second
	room     = "campaign:42"
)

// edge lets a test say word by word what an edge says, so that frames of two connections come in the order
// that matters.
type edge struct {
	url   string
	conns chan *conn
	over  chan struct{} // closed when the subscriber has been stopped
}

// conn is one connection of a client, from the edge's side.
type conn struct {
	t *testing.T
	*websocket.Conn
}

func startEdge(t *testing.T) *edge {
	e := &edge{conns: make(chan *conn, 4), over: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}})
		if err != nil {
			return
		}
		e.conns <- &conn{t, c}
		<-e.over
		_ = c.CloseNow()
	}))
	t.Cleanup(server.Close)
	e.url = "ws" + strings.TrimPrefix(server.URL, "http")
	return e
}

// accept waits for a connection and its hello.
func (e *edge) accept(t *testing.T) (*conn, wire.ClientFrame) {
	select {
	case c := <-e.conns:
		hello := c.read()
		require.Equal(t, wire.OpHello, hello.Op)
		return c, hello
	case <-time.After(patience):
		require.Fail(t, "no connection came")
		return nil, wire.ClientFrame{}
	}
}

func (c *conn) read() wire.ClientFrame {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	_, text, err := c.Read(ctx)
	require.NoError(c.t, err)
	f, err := wire.DecodeClient(text)
	require.NoError(c.t, err)
	return f
}

func (c *conn) send(frames ...wire.ServerFrame) {
	for _, f := range frames {
		text, err := json.Marshal(f)
		require.NoError(c.t, err)
		require.NoError(c.t, c.Write(c.t.Context(), websocket.MessageText, text))
	}
}

// sync returns when the client has taken everything that was sent before.
func (c *conn) sync() {
	c.send(wire.ServerFrame{Op: wire.OpPing})
	require.Equal(c.t, wire.OpPong, c.read().Op)
}

func position(seq uint64) *wire.Position {
	return &wire.Position{Epoch: "e", Seq: seq, ID: fmt.Sprint("evt-", seq)}
}

func joined(name string, seq uint64) wire.ServerFrame {
	return wire.ServerFrame{Op: wire.OpJoined, Room: name, Position: position(seq)}
}

func event(seq, prev uint64) wire.ServerFrame {
	return wire.ServerFrame{Op: wire.OpEvent, Room: room, Seq: seq, Prev: prev, Event: fmt.Appendf(nil, `{"id":"evt-%d"}`, seq)}
}

var (
	welcome = wire.ServerFrame{Op: wire.OpWelcome, Session: "s", Edge: "edge-1", TTL: 3600, Ping: 25}
	drain   = wire.ServerFrame{Op: wire.OpDrain, Within: 1}
)

// applied is an observer that hands on the events to apply.
type applied chan uint64

func (a applied) Frame(f wire.ServerFrame, _ []byte, outcome follow.Outcome, _ bool) error {
	if f.Op == wire.OpEvent && outcome == follow.New {
		a <- f.Seq
	}
	return nil
}

func (applied) Sending(wire.ClientFrame)  {}
func (applied) Link(subscriber.LinkEvent) {}

func (a applied) next(t *testing.T) uint64 {
	select {
	case seq := <-a:
		return seq
	case <-time.After(patience):
		require.Fail(t, "no event came")
		return 0
	}
}

// subscribe runs a subscriber until the test ends.
func subscribe(t *testing.T, e *edge) (*subscriber.Subscriber, applied) {
	return subscribeWith(t, e, func(string) string { return "token" })
}

// subscribeWith has tokens given out by a function of the one that was refused.
func subscribeWith(t *testing.T, e *edge, token func(refused string) string) (*subscriber.Subscriber, applied) {
	events := make(applied, 16)
	s := subscriber.New(subscriber.Config{
		URLs: []string{e.url}, Rooms: []string{room}, Observer: events,
		Token: func(_ context.Context, refused string) (string, error) { return token(refused), nil },
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		close(e.over)
		assert.NoError(t, <-ended)
	})
	return s, events
}

func names(refs []wire.RoomRef) []string {
	var names []string
	for _, ref := range refs {
		names = append(names, ref.Room)
	}
	return names
}

// TestSubscriber_AMoveBeforeTheFirstAnswerLosesNothing: the second connection was opened without a position, the
// first one brought one afterwards, and an event that neither brought is in between.
func TestSubscriber_AMoveBeforeTheFirstAnswerLosesNothing(t *testing.T) {
	e := startEdge(t)
	_, events := subscribe(t, e)
	old, _ := e.accept(t)
	old.send(welcome, drain)
	next, hello := e.accept(t)
	require.Nil(t, hello.Rooms[0].Since)

	old.send(joined(room, 7), event(8, 7))
	old.sync()
	next.send(welcome, joined(room, 12))
	again := next.read()
	assert.Equal(t, wire.OpJoin, again.Op)
	assert.Equal(t, uint64(8), again.Rooms[0].Since.Seq)

	answer := joined(room, 12)
	answer.Recovered, answer.Replay = new(true), 2
	next.send(answer, event(10, 8), event(12, 10), event(13, 12))
	for _, seq := range []uint64{8, 10, 12, 13} {
		assert.Equal(t, seq, events.next(t))
	}
}

// TestSubscriber_ARoomJoinedDuringAMoveIsJoinedOnTheNewConnection: its hello was sent before.
func TestSubscriber_ARoomJoinedDuringAMoveIsJoinedOnTheNewConnection(t *testing.T) {
	e := startEdge(t)
	s, _ := subscribe(t, e)
	old, _ := e.accept(t)
	old.send(welcome, joined(room, 7), drain)
	next, hello := e.accept(t)
	assert.Equal(t, []string{room}, names(hello.Rooms))

	s.Join("campaign:9")
	assert.Equal(t, []string{"campaign:9"}, names(old.read().Rooms))
	f := next.read()
	assert.Equal(t, wire.OpJoin, f.Op)
	assert.Equal(t, []string{"campaign:9"}, names(f.Rooms))

	s.Leave(room)
	for _, c := range []*conn{old, next} {
		f := c.read()
		assert.Equal(t, wire.OpLeave, f.Op)
		assert.Equal(t, []string{room}, names(f.Rooms))
	}
}

// TestSubscriber_ARoomJoinedBeforeTheWelcomeIsJoined: hello has gone without it.
func TestSubscriber_ARoomJoinedBeforeTheWelcomeIsJoined(t *testing.T) {
	e := startEdge(t)
	s, _ := subscribe(t, e)
	c, _ := e.accept(t)
	s.Join("campaign:9")
	f := c.read()
	assert.Equal(t, wire.OpJoin, f.Op)
	assert.Equal(t, []string{"campaign:9"}, names(f.Rooms))
}
