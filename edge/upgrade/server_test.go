package upgrade_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidingsmesh/tidings/edge/upgrade"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds waits for things that happen at once.
const patience = 20 * time.Second

// server is an Acceptor on a loopback port with an HTTP server behind it that
// echoes bodies and has the Acceptor mounted at /ws.
type server struct {
	*upgrade.Acceptor
	addr     string
	conns    chan upgrade.Conn
	refusals chan string
}

// bothWays runs a test with connections accepted as net.Conns and, where that exists, as descriptors.
func bothWays(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Run("conn", test)
	if runtime.GOOS == "linux" {
		t.Run(directly, test)
	}
}

const directly = "descriptor"

func serve(t *testing.T, change func(*upgrade.Config)) *server {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveOn(t, ln, slog.New(slog.DiscardHandler), change)
}

func serveOn(t *testing.T, ln net.Listener, log *slog.Logger, change func(*upgrade.Config)) *server {
	t.Helper()
	s := &server{
		addr:     ln.Addr().String(),
		conns:    make(chan upgrade.Conn, 1000),
		refusals: make(chan string, 1000),
	}
	cfg := upgrade.DefaultConfig()
	cfg.Timeout = patience // a busy machine is no slow client
	cfg.Deliver = func(conn upgrade.Conn) { s.conns <- conn }
	if strings.Contains(t.Name(), "/"+directly) {
		cfg.DeliverDescriptor = func(fd int, early []byte, r *upgrade.Request) {
			file := os.NewFile(uintptr(fd), "delivered")
			defer func() { _ = file.Close() }()
			conn, err := net.FileConn(file)
			if assert.NoError(t, err) {
				s.conns <- upgrade.Conn{Conn: conn, Early: early, Request: r}
			}
		}
	}
	cfg.OnRefuse = func(reason string) { s.refusals <- reason }
	if change != nil {
		change(&cfg)
	}
	var err error
	s.Acceptor, err = upgrade.New(cfg, log)
	require.NoError(t, err)

	mux := http.NewServeMux()
	mux.Handle("/ws", s.Acceptor)
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // before answering, or net/http would drop the rest
		_, _ = fmt.Fprintf(w, "%s %s %s tls=%t:%s", r.Method, r.Host, r.Proto, r.TLS != nil, body)
	})
	httpServer := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- s.Serve(ctx, ln) }()
	go func() { done <- httpServer.Serve(s.HTTPListener()) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, httpServer.Close())
		for range 2 {
			if err := <-done; err != nil {
				require.ErrorIs(t, err, http.ErrServerClosed)
			}
		}
		close(s.conns)
		for conn := range s.conns {
			_ = conn.Close()
		}
	})
	return s
}

// dial connects; the connection is closed with the test and has a deadline.
func (s *server) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.addr)
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// delivered waits for the next upgraded connection.
func (s *server) delivered(t *testing.T) upgrade.Conn {
	t.Helper()
	select {
	case conn := <-s.conns:
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	case reason := <-s.refusals:
		require.FailNow(t, "refused", reason)
	case <-time.After(patience):
		require.FailNow(t, "nothing delivered")
	}
	return upgrade.Conn{}
}

// refused waits for the reason of the next refusal.
func (s *server) refused(t *testing.T) string {
	t.Helper()
	select {
	case reason := <-s.refusals:
		return reason
	case <-time.After(patience):
		require.FailNow(t, "nothing refused")
	}
	return ""
}

// answer is an HTTP response read to its end.
type answer struct {
	*http.Response
	body string
	rest *bufio.Reader // what follows it
}

func readAnswer(t *testing.T, r io.Reader) answer {
	t.Helper()
	buffered, ok := r.(*bufio.Reader)
	if !ok {
		buffered = bufio.NewReader(r)
	}
	response, err := http.ReadResponse(buffered, nil)
	require.NoError(t, err)
	a := answer{Response: response, rest: buffered}
	if response.StatusCode != http.StatusSwitchingProtocols {
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		a.body = string(body)
	}
	require.NoError(t, response.Body.Close())
	return a
}

// send writes in the background, whole or in single bytes, and ignores that the
// server may stop reading.
func send(t *testing.T, conn net.Conn, data string, bytewise bool) {
	t.Helper()
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		if !bytewise {
			_, _ = io.WriteString(conn, data)
			return
		}
		for i := range len(data) {
			if _, err := conn.Write([]byte{data[i]}); err != nil {
				return
			}
		}
	}()
}

// handshake is the example of RFC 6455, section 1.3, with our subprotocol.
var handshake = request("GET /ws HTTP/1.1",
	"Host: server.example.com",
	"Upgrade: websocket",
	"Connection: Upgrade",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	"Origin: http://server.example.com",
	"Sec-WebSocket-Protocol: chat, tidings.v1",
	"Sec-WebSocket-Version: 13",
)

func request(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// with is the handshake with something replaced.
func with(oldNew ...string) string {
	changed := handshake
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(changed, oldNew[i]) {
			panic("nothing to replace: " + oldNew[i])
		}
		changed = strings.Replace(changed, oldNew[i], oldNew[i+1], 1)
	}
	return changed
}

// plus is the handshake with a header more.
func plus(line string) string { return with("\r\n\r\n", "\r\n"+line+"\r\n\r\n") }

// hello is a masked text frame.
var hello = []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")

// assertNext checks that the next bytes of a delivered connection are want,
// some of which may be early.
func assertNext(t *testing.T, want []byte, conn upgrade.Conn) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	buf := make([]byte, len(want))
	_, err := io.ReadFull(io.MultiReader(bytes.NewReader(conn.Early), conn), buf)
	require.NoError(t, err)
	require.Equal(t, want, buf)
}
