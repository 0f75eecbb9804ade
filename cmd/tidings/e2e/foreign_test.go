package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
)

// examples are the programs that the documentation shows; Node runs them with the official NATS client and ws.
const examples = "../../../docs/examples/node"

func TestNodeWorker_BothCloudEventModesReachANodeClient(t *testing.T) {
	for name, flags := range map[string][]string{"plain": nil, "compressed": {"--deflate-from", "1B"}} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, flags...)
			plain := reachANodeClient(t, s)
			var sent string
			require.Eventually(t, func() bool { // a turn of the shard counts what it sent when it ends
				_, metrics := s.get(t, "/metrics")
				_, sent, _ = strings.Cut(metrics, "\ntidings_edge_delivered_bytes_total ")
				sent, _, _ = strings.Cut(sent, "\n")
				return strings.Contains(metrics, "\ntidings_edge_deliveries_total 3\n")
			}, patience, 10*time.Millisecond)
			bytes, err := strconv.Atoi(sent)
			require.NoError(t, err)
			assert.Equal(t, flags != nil, bytes < plain, "%d of %d bytes were sent", bytes, plain)
		})
	}
}

// reachANodeClient returns how many bytes the events had that the client got.
func reachANodeClient(t *testing.T, s *server) (plain int) {
	t.Helper()
	folder, err := filepath.Abs(examples)
	require.NoError(t, err)

	listener := exec.CommandContext(t.Context(), "node", "client.mjs", "ws://"+s.http+"/ws", "campaign:42")
	listener.Dir = folder
	listener.Env = append(os.Environ(), "TIDINGS_TOKEN="+token(t, "campaign:42"))
	listener.Stderr = os.Stderr
	stdout, err := listener.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, listener.Start())
	received := lines(stdout)
	next := func(op wire.Op) wire.ServerFrame {
		t.Helper()
		for {
			select {
			case line, ok := <-received:
				require.True(t, ok, "the client ended early")
				frame, err := wire.DecodeServer([]byte(line))
				require.NoError(t, err)
				if frame.Op == op {
					if op == wire.OpEvent {
						plain += len(line)
					}
					return frame
				}
			case <-time.After(patience):
				require.Fail(t, "nothing received", "waiting for %s", op)
			}
		}
	}
	joined := next(wire.OpJoined)
	assert.Equal(t, "campaign:42", joined.Room)

	worker := exec.CommandContext(t.Context(), "node", "worker.mjs", s.natsURL(), "room.campaign.42")
	worker.Dir = folder
	worker.Stderr = os.Stderr
	acks, err := worker.Output()
	require.NoError(t, err)
	assert.Contains(t, string(acks), `"stream":"ROOMS"`)

	type cloudEvent struct {
		ID, Source, Type, SpecVersion string
		Data                          map[string]any
	}
	structured := next(wire.OpEvent)
	var event cloudEvent
	require.NoError(t, json.Unmarshal(structured.Event, &event))
	assert.Equal(t, "settlement_updated", event.Type)
	assert.Equal(t, "/workers/rules-engine", event.Source)
	assert.Equal(t, "s-1", event.Data["id"])

	binaryMode := next(wire.OpEvent)
	require.NoError(t, json.Unmarshal(binaryMode.Event, &event))
	assert.Equal(t, "world_time_changed", event.Type)
	assert.Equal(t, "/workers/scheduler", event.Source)
	assert.Equal(t, "1.0", event.SpecVersion)
	assert.Equal(t, structured.Seq, binaryMode.Prev, "the second event names the first as its predecessor")

	// The two above are too small for compression to gain anything with certainty.
	long := strings.Repeat("and then ", 200)
	tell := exec.CommandContext(t.Context(), program, "pub", "campaign:42", "story_told", fmt.Sprintf("%q", long), "--nats", s.natsURL())
	out, err := tell.CombinedOutput()
	require.NoError(t, err, "%s", out)
	var told struct{ Data string }
	require.NoError(t, json.Unmarshal(next(wire.OpEvent).Event, &told))
	assert.Equal(t, long, told.Data)

	require.NoError(t, listener.Process.Signal(os.Interrupt))
	for range received {
		// drained until the client has ended
		continue
	}
	_ = listener.Wait() // it was interrupted
	return plain
}
