package mesh

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServer_InProcessOnlyDoesNotListen(t *testing.T) {
	srv, err := StartServer(within(t), ServerConfig{Dir: t.TempDir()}, quiet())
	require.NoError(t, err)
	defer srv.Close()
	assert.Empty(t, srv.ClientURL())
	nc := dial(t, srv)
	_, err = EnsureStream(within(t), nc, DefaultStreamConfig(), quiet())
	require.NoError(t, err)
}

func TestServer_WorkersReachItsAddress(t *testing.T) {
	srv := startServer(t)
	nc, err := nats.Connect(srv.ClientURL())
	require.NoError(t, err)
	nc.Close()
}

func TestServer_KeepsEventsAcrossRestarts(t *testing.T) {
	cfg := ServerConfig{Dir: t.TempDir(), SyncAlways: true}
	var before StreamInfo
	for run := range 2 {
		srv, err := StartServer(within(t), cfg, quiet())
		require.NoError(t, err)
		nc, err := Dial(within(t), DialConfig{Server: srv})
		require.NoError(t, err)
		info, err := EnsureStream(within(t), nc, DefaultStreamConfig(), quiet())
		require.NoError(t, err)
		if run == 0 {
			store(t, nc, "room.a.b", 3)
			before = info
		} else {
			assert.Equal(t, uint64(3), info.LastSeq)
			assert.Equal(t, before.Epoch, info.Epoch)
		}
		nc.Close()
		srv.Close()
	}
}

func TestServer_CloseMayBeRepeated(t *testing.T) {
	srv, err := StartServer(within(t), ServerConfig{Dir: t.TempDir()}, quiet())
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(srv.Close)
	}
	wg.Wait()
	srv.Close()
}

func TestServer_SaysThatItsPortIsTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	dir := t.TempDir()
	_, err = StartServer(within(t), ServerConfig{Dir: dir, Listen: ln.Addr().String()}, quiet())
	require.ErrorIs(t, err, ErrServerStart)
	assert.ErrorContains(t, err, ln.Addr().String())
	assert.ErrorContains(t, err, "listen elsewhere")

	// The folder was not taken for nothing.
	srv, err := StartServer(within(t), ServerConfig{Dir: dir}, quiet())
	require.NoError(t, err)
	srv.Close()
}

func TestServer_SaysThatItsFolderIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := StartServer(within(t), ServerConfig{Dir: file}, quiet())
	require.ErrorIs(t, err, ErrServerStart)
	require.ErrorContains(t, err, file)
	require.ErrorContains(t, err, "not a directory")
	_, err = StartServer(within(t), ServerConfig{Dir: "/dev/null/data"}, quiet())
	require.ErrorIs(t, err, ErrServerStart)
}

func TestServer_SaysThatItsFolderIsNotWritable(t *testing.T) {
	// Nobody may create a file in /proc, not even root.
	_, err := StartServer(within(t), ServerConfig{Dir: "/proc/self"}, quiet())
	require.ErrorIs(t, err, ErrServerStart)
	require.ErrorContains(t, err, "/proc/self")
}

func TestServer_SaysWhoHoldsItsFolder(t *testing.T) {
	dir := t.TempDir()
	holder := exec.Command(os.Args[0], "-test.run=TestServer_HoldsAFolder$") //nolint:noctx // ended below
	holder.Env = append(os.Environ(), "TIDINGS_TEST_HOLD="+dir)
	in, err := holder.StdinPipe()
	require.NoError(t, err)
	out, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	defer func() {
		_ = in.Close() // lets it end
		_ = holder.Wait()
	}()
	ready := make([]byte, 1)
	_, err = out.Read(ready)
	require.NoError(t, err)

	_, err = StartServer(within(t), ServerConfig{Dir: dir}, quiet())
	require.ErrorIs(t, err, ErrServerStart)
	assert.ErrorContains(t, err, dir)
	assert.ErrorContains(t, err, "held by process "+strconv.Itoa(holder.Process.Pid))

	// A lock ends with its process, however that ends.
	require.NoError(t, holder.Process.Kill())
	_ = holder.Wait()
	srv, err := StartServer(within(t), ServerConfig{Dir: dir}, quiet())
	require.NoError(t, err)
	srv.Close()
}

// TestServer_HoldsAFolder is the other process of TestServer_SaysWhoHoldsItsFolder;
// by itself it only starts and stops a server.
func TestServer_HoldsAFolder(t *testing.T) {
	dir := os.Getenv("TIDINGS_TEST_HOLD")
	held := dir != ""
	if !held {
		dir = t.TempDir()
	}
	srv, err := StartServer(within(t), ServerConfig{Dir: dir}, quiet())
	require.NoError(t, err)
	defer srv.Close()
	if held {
		_, err := os.Stdout.WriteString("!")
		require.NoError(t, err)
		_, _ = os.Stdin.Read(make([]byte, 1))
	}
}

func TestServer_StartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := StartServer(ctx, ServerConfig{Dir: t.TempDir()}, quiet())
	require.ErrorIs(t, err, context.Canceled)
}

func TestServer_DamagedStoreIsReported(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "jetstream"), nil, 0o600)) // where a folder belongs
	_, err := StartServer(within(t), ServerConfig{Dir: dir}, quiet())
	require.ErrorIs(t, err, ErrServerStart)
	assert.ErrorContains(t, err, dir)
	assert.ErrorContains(t, err, "not a directory")
}

func TestServerConfig_Validate(t *testing.T) {
	for name, cfg := range map[string]ServerConfig{
		"no folder":       {},
		"no port":         {Dir: "d", Listen: "127.0.0.1"},
		"port too large":  {Dir: "d", Listen: "127.0.0.1:70000"},
		"port by name":    {Dir: "d", Listen: "127.0.0.1:nats"},
		"negative store":  {Dir: "d", MaxStore: -1},
		"negative sync":   {Dir: "d", SyncInterval: -time.Second},
		"URL, no address": {Dir: "d", Listen: "nats://127.0.0.1:4222"},
	} {
		assert.ErrorIs(t, cfg.Validate(), ErrConfig, name)
	}
	assert.NoError(t, ServerConfig{Dir: "d", Listen: ":4222", SyncInterval: time.Minute}.Validate())
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) count(s string) int { return strings.Count(l.String(), s) }

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// eventually waits for what another goroutine does.
func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 5*time.Millisecond, what)
}

func TestServer_LogsThroughSlog(t *testing.T) {
	var log lines
	srv, err := StartServer(within(t), ServerConfig{Dir: t.TempDir()}, log.logger())
	require.NoError(t, err)
	srv.Close()
	assert.Contains(t, log.String(), `level=DEBUG msg="nats server" detail="Server is ready"`)
	assert.NotContains(t, log.String(), "level=INFO")
}
