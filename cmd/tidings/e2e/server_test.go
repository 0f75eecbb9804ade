// Package e2e tries the finished binary from outside, as its users do: a real process, foreign clients and workers,
// and more connections than one test process could serve itself.
package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
)

const (
	secret = "0123456789abcdef0123456789abcdef"
	// patience bounds every wait of these tests. Machines that run them may be busy.
	patience = 60 * time.Second
)

var program string

func TestMain(m *testing.M) {
	os.Exit(run(m)) //nolint:forbidigo // TestMain has no other way to tell
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tidings-e2e")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "tidings")
	build := exec.Command("go", "build", "-o", program, "github.com/tidingsmesh/tidings/cmd/tidings")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 1
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// server is a running `tidings serve`.
type server struct {
	cmd               *exec.Cmd
	http, admin, nats string // nats is "" when it is another process
	log               *lockedBuffer
	ended             chan struct{} // closed when the process has ended
	err               error         // how, after that
}

// serve starts the binary with NATS inside and waits until it is ready.
func serve(t testing.TB, flags ...string) *server {
	t.Helper()
	address := port.Address(t)
	s := launch(t, append([]string{"--data", t.TempDir(), "--nats-listen", address}, flags...)...)
	s.nats = address
	s.awaitReady(t)
	return s
}

// launch starts the binary. Unless flags say otherwise it is silent towards silent clients: those of most of these tests
// answer no pings.
func launch(t testing.TB, flags ...string) *server {
	t.Helper()
	s := &server{http: port.Address(t), admin: port.Address(t), log: &lockedBuffer{}, ended: make(chan struct{})}
	s.cmd = exec.Command(program, append([]string{"serve", "--http", s.http, "--admin", s.admin, "--drain", "0s", "--ping", "1h"}, flags...)...)
	s.cmd.Env = append(os.Environ(), "TIDINGS_JWT_SECRET="+secret)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	require.NoError(t, s.cmd.Start())
	go func() {
		defer close(s.ended)
		s.err = s.cmd.Wait()
	}()
	t.Cleanup(func() { s.stop(t) })
	return s
}

func (s *server) awaitReady(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, _ := s.get(t, "/readyz")
		return status == http.StatusOK
	}, patience, 20*time.Millisecond, "not ready: %s", s.log)
}

// awaitNotReady waits until /readyz gives a reason.
func (s *server) awaitNotReady(t testing.TB, why string) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, body := s.get(t, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, why)
	}, patience, 20*time.Millisecond, "not %q: %s", why, s.log)
}

// stop ends the process in an orderly way, if it has not ended, and requires that it was one.
func (s *server) stop(t testing.TB) {
	t.Helper()
	select {
	case <-s.ended:
	default:
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	}
	s.awaitEnd(t)
}

// awaitEnd requires that the process ends, and with status 0.
func (s *server) awaitEnd(t testing.TB) {
	t.Helper()
	select {
	case <-s.ended:
		require.NoError(t, s.err, "%s", s.log)
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		require.Fail(t, "the server did not stop", "%s", s.log)
	}
}

// get asks the operators' listener.
func (s *server) get(t testing.TB, path string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.admin+path, nil)
	require.NoError(t, err)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

func (s *server) natsURL() string { return "nats://" + s.nats }

func token(t testing.TB, rooms ...string) string {
	t.Helper()
	text, err := authz.Sign([]byte(secret), authz.TokenClaims{
		Subject: "alice", Rooms: rooms, Expires: time.Now().Add(time.Hour),
	})
	require.NoError(t, err)
	return text
}

// client is a foreign WebSocket client.
type client struct{ conn *websocket.Conn }

// dial connects and sends a hello for the rooms.
func (s *server) dial(t testing.TB, ctx context.Context, rooms ...string) *client { //nolint:revive // t goes first in helpers
	t.Helper()
	conn, response, err := websocket.Dial(ctx, "ws://"+s.http+"/ws", &websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}})
	require.NoError(t, err)
	if response.Body != nil {
		defer func() { _ = response.Body.Close() }()
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	quoted := make([]string, 0, len(rooms))
	for _, room := range rooms {
		quoted = append(quoted, strconv.Quote(room))
	}
	hello := fmt.Sprintf(`{"op":"hello","token":%q,"rooms":[%s]}`, token(t, rooms...), strings.Join(quoted, ","))
	require.NoError(t, conn.Write(ctx, websocket.MessageText, []byte(hello)))
	return &client{conn}
}

// next returns the next frame of an op and passes over others.
func (c *client) next(t testing.TB, ctx context.Context, op wire.Op) wire.ServerFrame { //nolint:revive // t goes first in helpers
	t.Helper()
	for {
		_, text, err := c.conn.Read(ctx)
		require.NoError(t, err, "waiting for %s", op)
		frame, err := wire.DecodeServer(text)
		require.NoError(t, err)
		if frame.Op == op {
			return frame
		}
	}
}

// lines sends what is read from r, line by line, until it ends.
func lines(r io.Reader) <-chan string {
	out := make(chan string, 64)
	go func() {
		defer close(out)
		scanner := bufio.NewScanner(r)
		for scanner.Scan() {
			out <- scanner.Text()
		}
	}()
	return out
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
