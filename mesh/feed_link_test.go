package mesh

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
	"github.com/tidingsmesh/tidings/subjects"
)

// runFeed runs a feed until the test ends.
func runFeed(t *testing.T, cfg FeedConfig) *Feed {
	t.Helper()
	cfg.Edge = "edge-1"
	cfg.Encode = func(subjects.Room, continuity.Message, uint64) []byte { return nil }
	f, err := NewFeed(cfg, quiet())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	return f
}

// isReady is for conditions.
func isReady(f *Feed) func() bool { return func() bool { return f.Ready() == nil } }

func TestFeed_SaysWhyNATSIsNotReached(t *testing.T) {
	guarded := startGuarded(t, "right").ClientURL()
	for name, c := range map[string]struct {
		dial DialConfig
		says string
	}{
		"nobody listens":    {DialConfig{URL: "nats://127.0.0.1:1"}, "NATS is not reachable at nats://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused"},
		"no credentials":    {DialConfig{URL: guarded}, "NATS refuses these credentials at " + guarded},
		"wrong credentials": {DialConfig{URL: guarded, User: "u", Password: "hunter2"}, "NATS refuses these credentials at " + guarded},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultFeedConfig()
			cfg.Dial = c.dial
			f := runFeed(t, cfg)
			eventually(t, func() bool { err := f.Ready(); return err != nil && err.Error() == c.says }, c.says)
		})
	}
}

func TestFeed_ForgetsWhyNATSWasNotReachedWhenItIs(t *testing.T) {
	dir := t.TempDir()
	address := port.Address(t)
	url := "nats://" + address
	cfg := DefaultFeedConfig()
	cfg.Dial.URL = url
	f := runFeed(t, cfg)
	for range 2 { // at the start, and later
		eventually(t, func() bool {
			err := f.Ready()
			return err != nil && strings.HasPrefix(err.Error(), "NATS is not reachable at "+url)
		}, "not ready")
		srv, err := StartServer(within(t), ServerConfig{Dir: dir, Listen: address}, quiet())
		require.NoError(t, err)
		eventually(t, isReady(f), "ready")
		srv.Close()
	}
}

func TestFeed_CreatesAStreamThatIsGone(t *testing.T) {
	srv := startServer(t)
	nc := dial(t, srv)
	cfg := DefaultFeedConfig()
	cfg.Dial.Server = srv
	cfg.Audit = 20 * time.Millisecond
	f := runFeed(t, cfg)
	eventually(t, isReady(f), "ready")
	before, err := FetchStreamInfo(within(t), nc, subjects.StreamName)
	require.NoError(t, err)

	var deleted struct{ Success bool }
	require.NoError(t, apiRequest(within(t), nc, "$JS.API.STREAM.DELETE."+subjects.StreamName, nil, &deleted))
	require.True(t, deleted.Success)
	eventually(t, func() bool {
		info, err := FetchStreamInfo(within(t), nc, subjects.StreamName)
		return err == nil && info.Epoch != before.Epoch && info.MaxBytes == before.MaxBytes
	}, "the stream is there again, in another epoch and as configured")
	eventually(t, isReady(f), "ready again")
}
