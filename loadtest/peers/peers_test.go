package peers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/peers"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

// target is a peer that was started for a test.
type target interface {
	runner.Target
	Close()
}

func tools(t *testing.T) *peers.Tools {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	return peers.NewTools(root)
}

// Every peer lets in who may come in, keeps out who may not, hands out each event once and in order, and comes back after a
// kill; what each is known to lose then is in the table.
func TestPeers(t *testing.T) {
	tests := map[string]struct {
		start    func(t *testing.T) (target, error)
		forged   string // what becomes of a client with a forged token
		stranger string // and of one that wants a room that its token does not grant; "": it gets in
		recovers bool   // clients get what they missed
		told     bool   // clients that do not are told so
	}{
		"Socket.IO": {
			start: func(t *testing.T) (target, error) {
				t.Helper()
				return peers.StartSocketIO(t.Context(), tools(t), 2, t.TempDir())
			},
			forged: "refused unauthorized", stranger: "denied forbidden",
		},
		"Centrifugo, memory": {
			start: func(t *testing.T) (target, error) {
				t.Helper()
				return peers.StartCentrifugo(t.Context(), tools(t), peers.Memory, t.TempDir())
			},
			forged: "close 3500 invalid token", told: true,
		},
		"Centrifugo, redis": {
			start: func(t *testing.T) (target, error) {
				t.Helper()
				return peers.StartCentrifugo(t.Context(), tools(t), peers.Redis, t.TempDir())
			},
			forged: "close 3500 invalid token", recovers: true,
		},
		"Centrifugo, nats": {
			start: func(t *testing.T) (target, error) {
				t.Helper()
				return peers.StartCentrifugo(t.Context(), tools(t), peers.NATS, t.TempDir())
			},
			forged: "close 3500 invalid token",
		},
		"nats-server": {
			start: func(t *testing.T) (target, error) {
				t.Helper()
				return peers.StartNATSServer(t.Context(), tools(t), t.TempDir())
			},
			forged: "Authorization Violation", stranger: "denied subscription",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time clients wait to come back
			peer, err := tt.start(t)
			require.NoError(t, err)
			t.Cleanup(peer.Close)

			rooms := []string{"campaign:1", "campaign:2", "campaign:3"}
			const forged, stranger, good = 0, 1, 20
			clients := make([]swarm.Client, good)
			holders := make([]runner.Holder, good)
			for i := range clients {
				mine := []int{i % 2, 2}
				clients[i].Rooms = mine
				holders[i] = runner.Holder{User: fmt.Sprintf("user-%d", i), Rooms: []string{rooms[mine[0]], rooms[mine[1]]}}
			}
			clients[stranger].Rooms = []int{0}
			holders[stranger].Rooms = []string{"campaign:2"}
			tokens, err := peer.Tokens(t.Context(), holders)
			require.NoError(t, err)
			for i, token := range tokens {
				clients[i].Token = token
			}
			other, err := tt.start(t)
			require.NoError(t, err)
			t.Cleanup(other.Close)
			tokens, err = other.Tokens(t.Context(), holders)
			require.NoError(t, err)
			clients[forged].Token = tokens[forged]

			s, err := swarm.Start(context.WithoutCancel(t.Context()), swarm.Config{
				Command: []string{os.Args[0], worker}, Dialect: peer.Dialect(), URLs: peer.URLs(),
				Rooms: rooms, Clients: clients, Reconnect: true,
			})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			require.NoError(t, s.Connect(0))
			in := good - 1
			if tt.stranger != "" {
				in--
			}
			stats := await(t, s, func(stats swarm.Stats) bool { return stats.Joined == in && stats.Failed == good-in })
			assert.Contains(t, stats.Failures, tt.forged)
			if tt.stranger != "" {
				assert.Contains(t, stats.Failures, tt.stranger)
			}
			from, err := s.Mark()
			require.NoError(t, err)
			<-time.After(time.Until(from)) // only what is sent from then on is counted

			publisher, err := peer.Publisher(t.Context(), rooms)
			require.NoError(t, err)
			t.Cleanup(publisher.Close)
			last := make([]uint64, len(rooms))
			publish := func(room, count int) {
				t.Helper()
				events := make([]runner.Event, count)
				for i := range events {
					last[room]++
					events[i] = runner.Event{N: last[room], Type: "loadtest", Data: swarm.AppendData(nil, room, last[room], time.Now(), 200)}
				}
				stored, err := publisher.Publish(t.Context(), room, events)
				require.NoError(t, err)
				require.Equal(t, count, stored)
			}
			for range 20 {
				for room := range rooms {
					publish(room, 1)
				}
			}
			publish(2, 10)
			received := uint64((good-2)*(20+30) + (in-good+2)*20)
			await(t, s, func(stats swarm.Stats) bool { return stats.Received == received })

			require.NoError(t, peer.Fault(t.Context(), scenario.Kill, 0))
			stats = await(t, s, func(stats swarm.Stats) bool { return stats.Reconnects >= in && stats.Joined == in })
			publish(0, 1)
			publish(1, 1)
			publish(2, 1)

			require.NoError(t, s.Churn(200)) // who is out of a room misses nothing of it
			for range 50 {
				publish(2, 1)
			}
			require.NoError(t, s.Churn(0))
			stats, err = s.Finish(t.Context(), last, 5*time.Second)
			require.NoError(t, err)
			assert.Zero(t, stats.Twice)
			assert.Zero(t, stats.OutOfOrder)
			assert.Zero(t, stats.Missing)
			if tt.told {
				assert.NotZero(t, stats.NotRecovered)
			} else {
				assert.Zero(t, stats.NotRecovered)
			}
		})
	}
}

func await(t *testing.T, s *swarm.Swarm, condition func(swarm.Stats) bool) swarm.Stats {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		stats, err := s.Stats()
		require.NoError(t, err)
		if condition(stats) {
			return stats
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("joined %d failed %d received %d missing %d: %v", stats.Joined, stats.Failed, stats.Received, stats.Missing, stats.Failures)
		}
	}
}
