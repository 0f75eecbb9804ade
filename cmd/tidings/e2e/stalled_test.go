package e2e_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestServe_ClientsThatNeverReadCostBoundedMemory publishes far more to a hundred clients than they may have queued,
// while none of them reads, and has them read it all then.
func TestServe_ClientsThatNeverReadCostBoundedMemory(t *testing.T) {
	const (
		stalled    = 100
		events     = 200
		eventBytes = 62 << 10
		// What the documentation says that one may have queued, in KiB: events, and other frames, and one buffer that was begun.
		each = 256 + 64 + 64
		// Beside them: the room's ring, reads of the log under way, and what the collector has not taken yet.
		beside = 128 << 10
	)
	s := serve(t, "--slow-timeout", "10m", "--max-per-user", strconv.Itoa(stalled))
	grant := token(t, "campaign:42")
	clients := make([]*rawClient, stalled)
	for i := range clients {
		var err error
		clients[i], err = dialRaw(s.http, grant, "campaign:42")
		require.NoError(t, err)
		t.Cleanup(func() { _ = clients[i].conn.Close() })
	}
	before, peak := s.residentKiB(t), 0
	worker, err := nats.Connect(s.natsURL())
	require.NoError(t, err)
	defer worker.Close()
	pad := strings.Repeat("x", eventBytes)
	for n := range events {
		_, err := worker.Request("room.campaign.42", fmt.Appendf(nil, `{"id":"big-%d","type":"big","data":%q}`, n, pad), patience)
		require.NoError(t, err)
		peak = max(peak, s.residentKiB(t))
	}
	t.Logf("resident memory %d KiB before, %d KiB at most with %d clients that do not read; %d KiB were published to each",
		before, peak, stalled, events*eventBytes>>10)
	assert.Less(t, peak-before, stalled*each+beside)

	for i, c := range clients {
		require.NoError(t, c.conn.SetDeadline(time.Now().Add(2*time.Minute)))
		for n := range events {
			frame, err := c.event()
			require.NoError(t, err, "client %d, event %d", i, n)
			require.Contains(t, string(frame[:min(len(frame), 256)]), fmt.Sprintf(`"id":"big-%d"`, n), "client %d", i)
		}
	}
}

// event is the next frame that is one.
func (c *rawClient) event() ([]byte, error) {
	for {
		frame, err := c.read()
		if err != nil || bytes.HasPrefix(frame, []byte(`{"op":"event"`)) {
			return frame, err
		}
	}
}

// BenchmarkStalledClient measures publish to receive in a room of ten thousand, at one client in a hundred of them, without
// and with one more client that never reads.
func BenchmarkStalledClient(b *testing.B) {
	for _, name := range []string{"without", "with"} {
		b.Run(name, func(b *testing.B) {
			requireFiles(b, crowd+500)
			s := serve(b, "--max-per-user", strconv.Itoa(crowd+1), "--max-per-address", strconv.Itoa(crowd+1), "--slow-timeout", "1h")
			grant := token(b, "campaign:42")
			clients := make([]*rawClient, crowd)
			for i := range clients {
				var err error
				clients[i], err = dialRaw(s.http, grant, "campaign:42")
				require.NoError(b, err)
				b.Cleanup(func() { _ = clients[i].conn.Close() })
			}
			worker, err := nats.Connect(s.natsURL())
			require.NoError(b, err)
			defer worker.Close()
			if name == "with" {
				stalled, err := dialRaw(s.http, grant, "campaign:42")
				require.NoError(b, err)
				b.Cleanup(func() { _ = stalled.conn.Close() })
			}
			pad := strings.Repeat("x", 1000)
			var took []time.Duration
			var sent time.Time
			for b.Loop() {
				sent = time.Now()
				require.NoError(b, worker.Publish("room.campaign.42", fmt.Appendf(nil, `{"type":"tick","data":%q}`, pad)))
				took = append(took, readAll(b, clients, sent)...)
			}
			slices.Sort(took)
			for _, p := range []float64{0.5, 0.99} {
				b.ReportMetric(took[int(float64(len(took)-1)*p)].Seconds()*1000, fmt.Sprintf("p%.0f-ms", p*100))
			}
		})
	}
}

// readAll reads one frame at every client and returns how long it took one in a hundred to have it.
func readAll(b *testing.B, clients []*rawClient, sent time.Time) []time.Duration {
	b.Helper()
	const readers = 50
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			for i := r; i < len(clients); i += readers {
				if _, err := clients[i].event(); err != nil {
					b.Error(err)
					return
				}
				if i%100 == r {
					mu.Lock()
					took = append(took, time.Since(sent))
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return took
}
