//go:build linux

package swarm_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

func TestStart_SaysWhatIsWrong(t *testing.T) {
	good := swarm.Config{
		Command: []string{os.Args[0], worker},
		Dialect: "raw", URLs: []string{"ws://127.0.0.1:1/ws"}, Rooms: []string{"one"}, Clients: crowd(1, 0),
	}
	tests := map[string]struct {
		change func(*swarm.Config)
		want   string
	}{
		"dialect":      {func(c *swarm.Config) { c.Dialect = "morse" }, `dialect "morse" is not known, want one of centrifuge, nats, raw, socketio, tidings`},
		"no URL":       {func(c *swarm.Config) { c.URLs = nil }, "there is no URL"},
		"http":         {func(c *swarm.Config) { c.URLs = []string{"http://127.0.0.1/ws"} }, `want ws://host:port/path`},
		"TLS":          {func(c *swarm.Config) { c.URLs = []string{"wss://127.0.0.1/ws"} }, "clients speak no TLS"},
		"unknown host": {func(c *swarm.Config) { c.URLs = []string{"ws://nowhere.invalid:1/ws"} }, "nowhere.invalid"},
		"no clients":   {func(c *swarm.Config) { c.Clients = nil }, "there are no clients"},
		"no such room": {func(c *swarm.Config) { c.Clients = crowd(2, 1) }, "client 0: room 1 of 1"},
		"room twice":   {func(c *swarm.Config) { c.Clients = crowd(2, 0, 0) }, "client 0: room 0 is given twice"},
		"no worker":    {func(c *swarm.Config) { c.Command = []string{"/nonexistent/worker"} }, "worker 1: fork/exec /nonexistent/worker"},
		"workers":      {func(c *swarm.Config) { c.Workers = 2 }, "2 workers for 1 clients"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			_, err := swarm.Start(t.Context(), cfg)
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

// A worker that dies is an error of everything that is asked afterwards, and of what waits.
func TestSwarm_ADeadWorkerIsAnError(t *testing.T) {
	l := newLiar(t)
	cfg := swarm.Config{
		Command: []string{os.Args[0], worker},
		Dialect: "raw", URLs: []string{l.url()}, Rooms: []string{"one"}, Clients: crowd(10, 0), Workers: 2,
	}
	s, err := swarm.Start(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, s.Connect(0))
	await(t, s, func(stats swarm.Stats) bool { return stats.Joined == 10 })

	finished := make(chan error, 1)
	go func() {
		_, err := s.Finish(t.Context(), []uint64{5}, time.Hour)
		finished <- err
	}()
	require.NoError(t, syscall.Kill(s.PIDs()[1], syscall.SIGKILL))
	const died = "swarm: worker 2 has died: signal: killed"
	select {
	case err := <-finished:
		assert.EqualError(t, err, died)
	case <-time.After(patience):
		t.Fatal("Finish does not return")
	}
	_, err = s.Stats()
	assert.EqualError(t, err, died)
	assert.EqualError(t, s.Connect(0), died)
	assert.EqualError(t, s.Churn(1), died)
	assert.EqualError(t, s.Cut(), died)
	_, err = s.Mark()
	assert.EqualError(t, err, died)
	assert.EqualError(t, s.Close(), died)
}

func TestSwarm_TellsWhatADyingWorkerSaid(t *testing.T) {
	s, err := swarm.Start(t.Context(), swarm.Config{
		Command: []string{os.Args[0], diesAsWorker},
		Dialect: "raw", URLs: []string{"ws://127.0.0.1:1/ws"}, Rooms: []string{"one"}, Clients: crowd(1, 0),
	})
	if err == nil { // it took its first command before it died
		eventually(t, func() bool {
			_, err = s.Stats()
			return err != nil
		}, func() string { return "an error" })
		require.Error(t, s.Close())
	}
	assert.ErrorContains(t, err, "no memory left")
}

// A worker ends when whoever started it has gone, in whatever way: its input ends.
func TestRunWorker_EndsWithItsInput(t *testing.T) {
	in, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- swarm.RunWorker(t.Context(), in, io.Discard) }()
	require.NoError(t, out.Close())
	select {
	case err := <-ended:
		assert.NoError(t, err)
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
}

func TestRunWorker_EndsWithItsContext(t *testing.T) {
	in, out := io.Pipe()
	defer func() { _ = out.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- swarm.RunWorker(ctx, in, io.Discard) }()
	cancel()
	select {
	case err := <-ended:
		assert.NoError(t, err)
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
}

func TestRunWorker_SaysWhatItDoesNotUnderstand(t *testing.T) {
	var said bytes.Buffer
	in := bytes.NewReader([]byte(`{"do":"connect"}`))
	err := swarm.RunWorker(t.Context(), in, &said)
	assert.ErrorContains(t, err, "the first command is not setup")
	assert.Contains(t, said.String(), "the first command is not setup")
}

// A worker that may open few files says so, and what it can open works.
func TestSwarm_SaysThatFilesRanOut(t *testing.T) {
	l := newLiar(t)
	s, err := swarm.Start(t.Context(), swarm.Config{
		Command: []string{"sh", "-c", `ulimit -n 40; exec "$0" ` + worker, os.Args[0]},
		Dialect: "raw", URLs: []string{l.url()}, Rooms: []string{"one"}, Clients: crowd(100, 0),
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.NoError(t, s.Connect(0))
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.Joined+stats.Failed == 100 })
	assert.Greater(t, stats.Joined, 20)
	assert.Equal(t, map[string]int{swarm.ReasonFiles: stats.Failed}, stats.Failures)
	l.tell(t, 1)
	stats = finish(t, s, patience, 1)
	assert.Equal(t, uint64(stats.Joined), stats.Received)
	assert.Zero(t, stats.Missing)
}
