package link_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidingsmesh/tidings/loadtest/link"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// echo serves lines back until the test ends.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() { // after the link, which ends the connections
		_ = listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}

func open(t *testing.T) *link.Link {
	t.Helper()
	l, err := link.Listen(t.Context(), echo(t), nil)
	require.NoError(t, err)
	t.Cleanup(l.Close)
	return l
}

type conn struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, l *link.Link) *conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return &conn{c, bufio.NewReader(c)}
}

// say sends a line and returns what comes back within a time.
func (c *conn) say(text string, within time.Duration) (string, error) {
	if _, err := fmt.Fprintln(c, text); err != nil {
		return "", err
	}
	return c.hear(within)
}

func (c *conn) hear(within time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	line, err := c.r.ReadString('\n')
	return strings.TrimSpace(line), err
}

func TestLink_PassesBothWays(t *testing.T) {
	l := open(t)
	c := dial(t, l)
	heard, err := c.say("hello", patience)
	require.NoError(t, err)
	assert.Equal(t, "hello", heard)
	assert.Equal(t, int64(6), l.Passed(link.Up))
	assert.Equal(t, int64(6), l.Passed(link.Down))
	assert.Equal(t, 1, l.Open())

	tcp, ok := c.Conn.(*net.TCPConn)
	require.True(t, ok)
	require.NoError(t, tcp.CloseWrite())
	_, err = c.hear(patience)
	assert.ErrorIs(t, err, io.EOF, "the end of one direction is passed on, and comes back")
	meshtest.Eventually(t, func() bool { return l.Open() == 0 }, "forgotten")
}

func TestLink_CutEndsConnectionsUntilMended(t *testing.T) {
	l := open(t)
	c := dial(t, l)
	_, err := c.say("hello", patience)
	require.NoError(t, err)
	l.Cut()
	_, err = c.hear(patience)
	require.Error(t, err)
	assert.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	again, err := net.Dial("tcp", l.Address)
	if err == nil { // the reset may come before the connection counts as open
		_, err = (&conn{again, bufio.NewReader(again)}).say("hello", patience)
		_ = again.Close()
	}
	require.Error(t, err)
	l.Mend()
	_, err = dial(t, l).say("hello", patience)
	require.NoError(t, err)
}

func TestLink_HoldIsDeafInOneDirectionAndLosesNothing(t *testing.T) {
	for _, d := range []link.Direction{link.Up, link.Down} {
		l := open(t)
		c := dial(t, l)
		_, err := c.say("before", patience)
		require.NoError(t, err)
		l.Set(d, link.Condition{Hold: true})
		passed := l.Passed(link.Up)
		_, err = c.say("meanwhile", 50*time.Millisecond)
		var timeout net.Error
		require.True(t, errors.As(err, &timeout) && timeout.Timeout(), "%v", err)
		if d == link.Down {
			meshtest.Eventually(t, func() bool { return l.Passed(link.Up) > passed }, "the other direction works")
		} else {
			assert.Equal(t, passed, l.Passed(link.Up))
		}
		l.Mend()
		heard, err := c.hear(patience)
		require.NoError(t, err)
		assert.Equal(t, "meanwhile", heard)
	}
}

func TestLink_DelayAndRateTakeTime(t *testing.T) {
	l := open(t)
	c := dial(t, l)
	l.Set(link.Down, link.Condition{Delay: 60 * time.Millisecond})
	start := time.Now()
	_, err := c.say("hello", patience)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, time.Since(start), 60*time.Millisecond)

	l.Set(link.Down, link.Condition{Rate: 10_000})
	start = time.Now()
	_, err = c.say(strings.Repeat("x", 2000), patience)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, time.Since(start), 100*time.Millisecond, "all but the last piece have been waited for")
}

func TestDropMessages_TakesOutWhatItIsTold(t *testing.T) {
	nats := meshtest.Start(t)
	dropped := 0
	l, err := link.Listen(t.Context(), strings.TrimPrefix(nats.URL, "nats://"), func(d link.Direction) link.Filter {
		if d == link.Up {
			return nil
		}
		return link.DropMessages(func(subject string) bool {
			if subject == "odd" {
				dropped++
				return true
			}
			return false
		})
	})
	require.NoError(t, err)
	t.Cleanup(l.Close)
	through := meshtest.Dial(t, mesh.DialConfig{URL: "nats://" + l.Address})
	sub, err := through.SubscribeSync(">")
	require.NoError(t, err)
	require.NoError(t, through.Flush())
	worker := nats.Conn(t)
	for i := range 400 {
		require.NoError(t, worker.Publish([]string{"even", "odd"}[i%2], []byte(strings.Repeat("MSG even 1 5\r\n", i))))
	}
	require.NoError(t, worker.Flush())
	for i := 0; i < 400; i += 2 {
		m, err := sub.NextMsg(patience)
		require.NoError(t, err)
		require.Equal(t, "even", m.Subject)
		require.Len(t, m.Data, 14*i)
	}
	require.NoError(t, through.Flush())
	assert.Equal(t, 200, dropped)
}
