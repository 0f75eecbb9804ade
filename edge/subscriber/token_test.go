package subscriber_test

import (
	"context"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/subscriber"
	"github.com/tidingsmesh/tidings/edge/wire"
)

// refuse ends a connection as an edge does that does not accept the token, or not any more.
func (c *conn) refuse() {
	require.NoError(c.t, c.Close(websocket.StatusCode(wire.CodeUnauthorized), "token expired"))
}

// cached gives out one token until it is refused, as an application does that keeps it.
func cached(refused string) string {
	if refused == "" {
		return "old"
	}
	return refused + "+"
}

func TestSubscriber_ARefusedTokenIsReplacedOnce(t *testing.T) {
	e := startEdge(t)
	_, events := subscribeWith(t, e, cached)
	first, hello := e.accept(t)
	assert.Equal(t, "old", hello.Token)
	first.refuse()
	second, hello := e.accept(t)
	assert.Equal(t, "old+", hello.Token)
	second.send(welcome, joined(room, 7), event(8, 7))
	assert.Equal(t, uint64(8), events.next(t))
	second.refuse() // in its time: another one is asked for again
	third, hello := e.accept(t)
	assert.Equal(t, "old++", hello.Token)
	third.send(welcome)
	third.sync()
}

func TestSubscriber_ASecondRefusalEndsIt(t *testing.T) {
	e := startEdge(t)
	defer close(e.over)
	s := subscriber.New(subscriber.Config{
		URLs: []string{e.url}, Rooms: []string{room}, Observer: make(applied, 1),
		Token: func(_ context.Context, refused string) (string, error) { return cached(refused), nil },
	})
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	for range 2 {
		c, _ := e.accept(t)
		c.refuse()
	}
	end := &subscriber.EndError{}
	require.ErrorAs(t, <-ended, &end)
	assert.True(t, end.Token)
}

// The connection that is left and the one that takes its place show the same token, which is over for both.
func TestSubscriber_OneTokenRefusedTwiceInAMoveIsOneRefusal(t *testing.T) {
	e := startEdge(t)
	_, events := subscribeWith(t, e, cached)
	old, _ := e.accept(t)
	old.send(welcome, joined(room, 7), drain)
	next, hello := e.accept(t)
	assert.Equal(t, "old", hello.Token)
	next.refuse()
	old.sync() // the refusal of the other one has been heard, or will be after this one
	old.refuse()
	again, hello := e.accept(t)
	assert.Equal(t, "old+", hello.Token)
	again.send(welcome)
	answer := joined(room, 8)
	answer.Recovered, answer.Replay = new(true), 1
	again.send(answer, event(8, 7))
	assert.Equal(t, uint64(8), events.next(t))
}
