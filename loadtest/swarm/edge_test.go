//go:build linux

package swarm_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/swarm"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
	"github.com/tidingsmesh/tidings/subjects"
)

const secret = "0123456789abcdef0123456789abcdef"

// installation is NATS and edges as processes, and a publisher.
type installation struct {
	nats      *meshtest.NATS
	edges     []*edge
	publisher *mesh.Publisher
	rooms     []string
	last      []uint64 // number of the last event of each room
}

type edge struct {
	binary, name, http, admin, nats string
	cmd                             *exec.Cmd
	log                             *os.File
}

func install(t *testing.T, edges int, rooms []string, flags ...string) *installation {
	t.Helper()
	in := &installation{nats: meshtest.Start(t), rooms: rooms, last: make([]uint64, len(rooms))}
	binary := filepath.Join(t.TempDir(), "tidings")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/tidingsmesh/tidings/cmd/tidings").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for i := range edges {
		e := &edge{binary: binary, name: fmt.Sprintf("edge-%d", i+1), http: port.Address(t), admin: port.Address(t), nats: in.nats.URL}
		e.log, err = os.Create(filepath.Join(t.TempDir(), e.name+".log"))
		require.NoError(t, err)
		t.Cleanup(func() {
			e.kill()
			_ = e.log.Close()
			if t.Failed() {
				said, _ := os.ReadFile(e.log.Name())
				t.Logf("%s said:\n%s", e.name, said)
			}
		})
		e.start(t, flags...)
		in.edges = append(in.edges, e)
	}
	in.publisher, err = mesh.NewPublisher(in.nats.Conn(t), mesh.PublisherConfig{Source: "/swarm"})
	require.NoError(t, err)
	return in
}

func (e *edge) start(t *testing.T, flags ...string) {
	t.Helper()
	e.cmd = exec.Command(e.binary, append([]string{ //nolint:noctx // kill ends it
		"serve", "--nats", e.nats, "--http", e.http, "--admin", e.admin, "--edge-name", e.name,
	}, flags...)...)
	e.cmd.Env = append(os.Environ(), "TIDINGS_JWT_SECRET="+secret)
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, e.cmd.Start())
	eventually(t, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.admin+"/readyz", nil)
		require.NoError(t, err)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Do(request)
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode == http.StatusOK
	}, func() string { return e.name + " is not ready" })
}

// kill ends it as a crash does.
func (e *edge) kill() {
	if e.cmd != nil {
		_ = e.cmd.Process.Kill()
		_ = e.cmd.Wait()
		e.cmd = nil
	}
}

func (in *installation) urls() []string {
	urls := make([]string, len(in.edges))
	for i, e := range in.edges {
		urls[i] = "ws://" + e.http + "/ws"
	}
	return urls
}

// clients are n in the same rooms, each with a token for them.
func (in *installation) clients(t *testing.T, n int, rooms ...int) []swarm.Client {
	t.Helper()
	clients := crowd(n, rooms...)
	for i := range clients {
		clients[i].Token = token(t, fmt.Sprintf("user-%d", i/16), time.Hour, in.rooms...)
	}
	return clients
}

func token(t *testing.T, user string, life time.Duration, rooms ...string) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "exp": time.Now().Add(life).Unix(), "rooms": rooms,
	}).SignedString([]byte(secret))
	require.NoError(t, err)
	return text
}

// publish publishes the next event of a room.
func (in *installation) publish(t *testing.T, room, size int) {
	t.Helper()
	in.last[room]++
	name, err := subjects.ParseRoom(in.rooms[room])
	require.NoError(t, err)
	_, err = in.publisher.Publish(t.Context(), name, subjects.Event{
		ID: fmt.Sprintf("%d-%d", room, in.last[room]), Source: "/swarm", Type: "tick",
		Data: json.RawMessage(swarm.AppendData(nil, room, in.last[room], time.Now(), size)),
	})
	require.NoError(t, err)
}

// publishUntil publishes to all rooms in turn until done is closed.
func (in *installation) publishUntil(t *testing.T, done <-chan struct{}, every time.Duration) *sync.WaitGroup {
	t.Helper()
	var publishing sync.WaitGroup
	publishing.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for room := 0; ; room = (room + 1) % len(in.rooms) {
			select {
			case <-tick.C:
				in.publish(t, room, 200)
			case <-done:
				return
			}
		}
	})
	return &publishing
}

// whole asserts that nothing was lost.
func whole(t *testing.T, stats swarm.Stats) {
	t.Helper()
	assert.Zero(t, stats.Missing, "missing")
	assert.Zero(t, stats.Twice, "twice")
	assert.Zero(t, stats.OutOfOrder, "out of order")
	assert.Zero(t, stats.NotRecovered, "not recovered")
	assert.Zero(t, stats.LoopsSuspected, "loops")
}

// More clients than the edge takes from one address.
func TestTidings_ThousandsReceiveEverything(t *testing.T) {
	const clients, events = 3000, 30
	in := install(t, 1, []string{"campaign:1", "settlement:2"})
	s := start(t, swarm.Config{
		Dialect: "tidings", URLs: in.urls(), Rooms: in.rooms, Clients: in.clients(t, clients, 0, 1), Workers: 2,
	})
	require.NoError(t, s.Connect(0))
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.Joined+stats.Failed == clients })
	require.Empty(t, stats.Failures)
	assert.Equal(t, int64(clients), stats.JoinTime.TotalCount())
	_, err := s.Mark()
	require.NoError(t, err)
	wait(t, 100*time.Millisecond)
	for range events {
		in.publish(t, 0, 200)
		in.publish(t, 1, 2000)
	}
	stats = finish(t, s, patience, in.last...)
	whole(t, stats)
	assert.Equal(t, uint64(clients*events*2), stats.Received)
	assert.Equal(t, int64(clients*events*2), stats.Latency.TotalCount())
	assert.Less(t, time.Duration(stats.Latency.ValueAtQuantile(50))*time.Microsecond, patience)
	assert.Equal(t, clients, stats.Joined)
	t.Logf("join p50 %d µs, latency p50 %d µs, busy %.2f", stats.JoinTime.ValueAtQuantile(50), stats.Latency.ValueAtQuantile(50), stats.BusyShare)
}

func TestTidings_ResumesAfterTheDeathOfTheOnlyEdge(t *testing.T) {
	const clients = 1000
	in := install(t, 1, []string{"campaign:1", "settlement:2"}, "--linger", "1s")
	s := start(t, swarm.Config{
		Dialect: "tidings", URLs: in.urls(), Rooms: in.rooms, Clients: in.clients(t, clients, 0, 1), Reconnect: true,
	})
	require.NoError(t, s.Connect(0))
	await(t, s, func(stats swarm.Stats) bool { return stats.Joined == clients })
	done := make(chan struct{})
	publishing := in.publishUntil(t, done, 20*time.Millisecond)
	await(t, s, func(stats swarm.Stats) bool { return stats.Received > clients })
	in.edges[0].kill()
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.Joined == 0 && stats.Failures["refused"] > 0 })
	assert.Zero(t, stats.Open)
	in.edges[0].start(t)
	await(t, s, func(stats swarm.Stats) bool { return stats.Joined == clients })
	close(done)
	publishing.Wait()
	stats = finish(t, s, patience, in.last...)
	whole(t, stats)
	assert.Equal(t, clients, stats.Reconnects)
	assert.Equal(t, int64(clients), stats.Reconnect.TotalCount())
	assert.Equal(t, uint64(clients)*(in.last[0]+in.last[1]), stats.Received)
}

func TestTidings_MovesAwayFromAnEdgeThatDrains(t *testing.T) {
	const clients = 400
	in := install(t, 2, []string{"campaign:1"}, "--drain", "4s")
	s := start(t, swarm.Config{
		Dialect: "tidings", URLs: in.urls(), Rooms: in.rooms, Clients: in.clients(t, clients, 0), Reconnect: true,
	})
	require.NoError(t, s.Connect(0))
	await(t, s, func(stats swarm.Stats) bool { return stats.Joined == clients })
	done := make(chan struct{})
	publishing := in.publishUntil(t, done, 10*time.Millisecond)
	require.NoError(t, in.edges[0].cmd.Process.Signal(syscall.SIGTERM))
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.Reconnects >= clients/2 && stats.Joined == clients })
	close(done)
	publishing.Wait()
	t.Log(stats.Failures)
	whole(t, finish(t, s, patience, in.last...))
}

func TestTidings_CutChurnAndSlownessLoseNothing(t *testing.T) {
	const clients = 300
	in := install(t, 1, []string{"campaign:1", "settlement:2"})
	all := in.clients(t, clients, 0, 1)
	for i := range all {
		if i%10 == 0 {
			all[i].BytesPerSecond = 10_000
		}
	}
	s := start(t, swarm.Config{Dialect: "tidings", URLs: in.urls(), Rooms: in.rooms, Clients: all, Reconnect: true})
	require.NoError(t, s.Connect(0))
	await(t, s, func(stats swarm.Stats) bool { return stats.Joined == clients })
	require.NoError(t, s.Churn(100))
	for i := range 100 {
		in.publish(t, i%2, 5000)
		if i == 50 {
			require.NoError(t, s.Cut())
		}
	}
	await(t, s, func(stats swarm.Stats) bool { return stats.Joined == clients && stats.Reconnects == clients })
	require.NoError(t, s.Churn(0))
	in.publish(t, 0, 200)
	in.publish(t, 1, 200)
	whole(t, finish(t, s, patience, in.last...))
}

func TestTidings_TellsWhoIsNotLetIn(t *testing.T) {
	in := install(t, 1, []string{"campaign:1", "campaign:2"}, "--leeway", "0s")
	clients := in.clients(t, 4, 0, 1)
	clients[0].Token = token(t, "a", time.Hour, "campaign:1")
	clients[1].Token = token(t, "a", -time.Hour, in.rooms...)
	clients[2].Token = "none"
	s := start(t, swarm.Config{Dialect: "tidings", URLs: in.urls(), Rooms: in.rooms, Clients: clients, Reconnect: true})
	require.NoError(t, s.Connect(0))
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.Joined+stats.Failed == 4 })
	assert.Equal(t, 1, stats.Joined)
	assert.Equal(t, map[string]int{"denied forbidden": 1, "close 4401 token rejected": 2}, stats.Failures)
	in.publish(t, 0, 100)
	stats = finish(t, s, patience, in.last...)
	assert.Zero(t, stats.Missing)
}
