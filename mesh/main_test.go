package mesh

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// quiet is the log of tests that look at something else.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// within bounds everything that a test waits for.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// startServer starts an embedded server that listens on a loopback port.
func startServer(t testing.TB) *Server {
	t.Helper()
	srv, err := StartServer(within(t), ServerConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0"}, quiet())
	require.NoError(t, err)
	t.Cleanup(srv.Close)
	return srv
}

// dial connects to srv in process.
func dial(t testing.TB, srv *Server) *nats.Conn {
	t.Helper()
	nc, err := Dial(within(t), DialConfig{Server: srv, Name: t.Name(), Log: quiet()})
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// startStream starts a server with the stream of cfg.
func startStream(t testing.TB, cfg StreamConfig) (*Server, *nats.Conn) {
	t.Helper()
	srv := startServer(t)
	nc := dial(t, srv)
	_, err := EnsureStream(within(t), nc, cfg, quiet())
	require.NoError(t, err)
	return srv, nc
}
