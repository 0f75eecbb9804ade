//go:build linux

package swarm_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

// BenchmarkSwarm is what clients cost: CPU time of the workers for each event that they receive, and of the floor
// that sends it, in µs. Events are spread evenly over the rooms, as fast as they are acked.
func BenchmarkSwarm(b *testing.B) {
	for name, shape := range map[string]struct{ clients, rooms int }{
		"wide":   {clients: 5000, rooms: 1},
		"narrow": {clients: 5000, rooms: 500},
	} {
		b.Run(name, func(b *testing.B) {
			http, ingest, server := startFloor(b)
			rooms := make([]string, shape.rooms)
			for i := range rooms {
				rooms[i] = fmt.Sprintf("campaign:%d", i)
			}
			clients := make([]swarm.Client, shape.clients)
			for i := range clients {
				clients[i].Rooms = []int{i % len(rooms)}
			}
			s, err := swarm.Start(b.Context(), swarm.Config{
				Command: []string{os.Args[0], worker}, Dialect: "raw", URLs: []string{"ws://" + http + "/ws"}, Rooms: rooms, Clients: clients,
			})
			require.NoError(b, err)
			defer func() { require.NoError(b, s.Close()) }()
			require.NoError(b, s.Connect(0))
			require.Eventually(b, func() bool {
				stats, err := s.Stats()
				return err == nil && stats.Joined == shape.clients
			}, patience, 10*time.Millisecond)
			joinCPU := cpu(b, s.PIDs()...)

			last := make([]uint64, len(rooms))
			sent := 0
			before, serverBefore := cpu(b, s.PIDs()...), cpu(b, server)
			for b.Loop() {
				room := sent % len(rooms)
				last[room]++
				_, err := ingest.WriteString(rooms[room] + " " + string(swarm.AppendData(nil, room, last[room], time.Now(), 200)) + "\n")
				require.NoError(b, err)
				require.NoError(b, ingest.Flush())
				_, err = ingest.ReadString('\n')
				require.NoError(b, err)
				sent++
			}
			stats, err := s.Finish(b.Context(), last, 5*time.Second)
			require.NoError(b, err)
			require.Zero(b, stats.Missing)
			received := float64(stats.Received)
			b.ReportMetric(float64((cpu(b, s.PIDs()...)-before).Microseconds())/received, "client-µs/event")
			b.ReportMetric(float64((cpu(b, server)-serverBefore).Microseconds())/received, "server-µs/event")
			b.ReportMetric(float64(joinCPU.Microseconds())/float64(shape.clients), "client-µs/join")
			b.ReportMetric(stats.BusyShare, "busy")
			b.ReportMetric(float64(stats.Latency.ValueAtQuantile(50)), "p50-µs")
			b.ReportMetric(float64(stats.Latency.ValueAtQuantile(99)), "p99-µs")
		})
	}
}

// cpu is the time that processes have used.
func cpu(tb testing.TB, pids ...int) time.Duration {
	tb.Helper()
	total := time.Duration(0)
	for _, pid := range pids {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		require.NoError(tb, err)
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil {
				continue // a thread that has ended
			}
			ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
			require.NoError(tb, err)
			total += time.Duration(ns)
		}
	}
	return total
}

// startFloor runs the floor as a process and connects a publisher.
func startFloor(tb testing.TB) (http string, ingest *bufio.ReadWriter, pid int) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "floor")
	out, err := exec.CommandContext(tb.Context(), "go", "build", "-o", path, "github.com/tidingsmesh/tidings/loadtest/floor").CombinedOutput()
	require.NoError(tb, err, "%s", out)
	cmd := exec.CommandContext(tb.Context(), path)
	stdout, err := cmd.StdoutPipe()
	require.NoError(tb, err)
	require.NoError(tb, cmd.Start())
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var at struct{ HTTP, Ingest string }
	require.NoError(tb, json.NewDecoder(stdout).Decode(&at))
	conn, err := new(net.Dialer).DialContext(tb.Context(), "tcp", at.Ingest)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return at.HTTP, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)), cmd.Process.Pid
}
