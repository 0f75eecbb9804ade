//go:build linux

package swarm_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

// worker makes this test binary a worker, diesAsWorker one that ends at its first command.
const (
	worker       = "as-worker"
	diesAsWorker = "dies-as-worker"
)

func TestMain(m *testing.M) {
	switch {
	case slices.Contains(os.Args, worker):
		if err := swarm.RunWorker(context.Background(), os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
	case slices.Contains(os.Args, diesAsWorker):
		panic("no memory left")
	default:
		goleak.VerifyTestMain(m)
	}
}

// patience bounds waits that take far less.
const patience = 60 * time.Second

// start starts a swarm with this program as its worker, until the test ends.
func start(t *testing.T, cfg swarm.Config) *swarm.Swarm {
	t.Helper()
	cfg.Command = []string{os.Args[0], worker}
	// The test's own context ends before its cleanups do.
	s, err := swarm.Start(context.WithoutCancel(t.Context()), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// await waits until the clients have come to what a condition says, and returns their statistics.
func await(t *testing.T, s *swarm.Swarm, condition func(swarm.Stats) bool) swarm.Stats {
	t.Helper()
	var stats swarm.Stats
	eventually(t, func() bool {
		var err error
		stats, err = s.Stats()
		require.NoError(t, err)
		return condition(stats)
	}, func() string { return fmt.Sprintf("%+v", stats) })
	return stats
}

func eventually(t *testing.T, condition func() bool, what func() string) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what())
		}
	}
}

// crowd is n clients in the same rooms.
func crowd(n int, rooms ...int) []swarm.Client {
	clients := make([]swarm.Client, n)
	for i := range clients {
		clients[i].Rooms = rooms
	}
	return clients
}

// finish ends a swarm's run with rooms that came to last.
func finish(t *testing.T, s *swarm.Swarm, quiet time.Duration, last ...uint64) swarm.Stats {
	t.Helper()
	stats, err := s.Finish(t.Context(), last, quiet)
	require.NoError(t, err)
	return stats
}
