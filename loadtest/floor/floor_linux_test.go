package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "as-worker" {
		if err := swarm.RunWorker(context.Background(), os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	m.Run()
}

// server is the program as a process.
type server struct{ HTTP, Ingest string }

func start(t *testing.T) *server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "floor")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	cmd := exec.CommandContext(t.Context(), path)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s := new(server)
	require.NoError(t, json.NewDecoder(stdout).Decode(s))
	return s
}

// publisher is a connection to the port of publishers.
type publisher struct {
	net.Conn
	answers *bufio.Scanner
}

func (s *server) publisher(t *testing.T) *publisher {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Ingest)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return &publisher{conn, bufio.NewScanner(conn)}
}

// say sends a line and returns the answer.
func (p *publisher) say(t *testing.T, format string, args ...any) string {
	t.Helper()
	_, err := fmt.Fprintf(p, format+"\n", args...)
	require.NoError(t, err)
	require.True(t, p.answers.Scan(), "an answer: %v", p.answers.Err())
	return p.answers.Text()
}

// join is a client of its own making in some rooms.
func (s *server) join(t *testing.T, rooms ...string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	conn, response, err := websocket.Dial(ctx, "ws://"+s.HTTP+"/ws", nil)
	require.NoError(t, err)
	_ = response.Body // of an upgrade there is none to close
	conn.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	for _, room := range rooms {
		require.NoError(t, conn.Write(ctx, websocket.MessageText, []byte("join "+room+"\n")))
		require.Equal(t, "joined "+room+"\n", next(t, conn))
	}
	return conn
}

func next(t *testing.T, conn *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, b, err := conn.Read(ctx)
	require.NoError(t, err)
	return string(b)
}

func TestFloor_SendsToTheMembersOfARoom(t *testing.T) {
	s := start(t)
	p := s.publisher(t)
	both, one := s.join(t, "a:1", "b:2"), s.join(t, "a:1")
	gone := s.join(t, "a:1", "b:2")
	require.NoError(t, gone.CloseNow())

	assert.Equal(t, "+", p.say(t, `a:1 {"n":1}`))
	assert.Equal(t, "+", p.say(t, `b:2 {"n":2}`))
	assert.Equal(t, "+", p.say(t, `c:3 {"n":3}`), "a room without members")
	long := strings.Repeat("x", 70_000)
	assert.Equal(t, "+", p.say(t, "a:1 %s", long))
	for _, want := range []string{`{"n":1}`, `{"n":2}`, long} {
		assert.Equal(t, want, next(t, both))
	}
	for _, want := range []string{`{"n":1}`, long} {
		assert.Equal(t, want, next(t, one))
	}

	require.NoError(t, both.Write(t.Context(), websocket.MessageText, []byte("leave a:1\n")))
	require.NoError(t, both.Write(t.Context(), websocket.MessageText, []byte("join d:4\n")))
	require.Equal(t, "joined d:4\n", next(t, both))
	assert.Equal(t, "+", p.say(t, `a:1 {"n":4}`))
	assert.Equal(t, "+", p.say(t, `b:2 {"n":5}`))
	assert.Equal(t, `{"n":5}`, next(t, both), "it has left a:1")
	assert.Equal(t, `{"n":4}`, next(t, one), "and the other has not")
}

func TestFloor_DropsWhatAMemberDoesNotRead(t *testing.T) {
	s := start(t)
	p := s.publisher(t)
	s.join(t, "a:1")
	event := strings.Repeat("x", 60_000)
	for dropped := "?0"; dropped == "?0"; dropped = p.say(t, "?") {
		require.Equal(t, "+", p.say(t, "a:1 %s", event))
	}
}

func TestFloor_TellsOthersThatItSpeaksWebSocket(t *testing.T) {
	s := start(t)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.HTTP)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1 426 Upgrade Required\r\n", line)
}

// Thousands of clients of a load test, half of them in a room of their own.
func TestFloor_ServesASwarm(t *testing.T) {
	const clients, events = 3000, 20
	s := start(t)
	rooms := []string{"wide:1"}
	crowd := make([]swarm.Client, clients)
	for i := range crowd {
		crowd[i].Rooms = []int{0}
		if i%2 == 0 {
			crowd[i].Rooms = append(crowd[i].Rooms, len(rooms))
			rooms = append(rooms, fmt.Sprintf("own:%d", i))
		}
	}
	clientsOf, err := swarm.Start(t.Context(), swarm.Config{
		Command: []string{os.Args[0], "as-worker"}, Dialect: "raw", URLs: []string{"ws://" + s.HTTP + "/ws"},
		Rooms: rooms, Clients: crowd,
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, clientsOf.Close()) }()
	require.NoError(t, clientsOf.Connect(0))
	require.Eventually(t, func() bool {
		stats, err := clientsOf.Stats()
		return err == nil && stats.Joined == clients
	}, patience, 10*time.Millisecond)

	p := s.publisher(t)
	last := make([]uint64, len(rooms))
	for range events {
		for room, name := range rooms {
			last[room]++
			require.Equal(t, "+", p.say(t, "%s %s", name, swarm.AppendData(nil, room, last[room], time.Now(), 200)))
		}
	}
	stats, err := clientsOf.Finish(t.Context(), last, 5*time.Second)
	require.NoError(t, err)
	assert.Equal(t, uint64(events*(clients+clients/2)), stats.Received)
	assert.Zero(t, stats.Missing+stats.Twice+stats.OutOfOrder)
	assert.Empty(t, stats.Failures)
	assert.Equal(t, "?0", p.say(t, "?"))
}
