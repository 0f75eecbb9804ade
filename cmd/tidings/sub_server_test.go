//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// The test binary is the program itself when this is set, so that tests have processes to kill.
const beTheProgram = "RUN_AS_TIDINGS"

func init() {
	if os.Getenv(beTheProgram) != "" {
		main()
	}
}

// process is the program as a process of its own.
type process struct {
	cmd    *exec.Cmd
	stderr *lineLog
	exited chan struct{}
}

// startProcess runs it until the test ends; stdout may be nil.
func startProcess(t *testing.T, env []string, stdout *os.File, args ...string) *process {
	t.Helper()
	p := &process{stderr: &lineLog{}, exited: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), append(env, beTheProgram+"=1")...)
	p.cmd.Stderr = p.stderr
	if stdout != nil {
		p.cmd.Stdout = stdout
	}
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s:\n%s", strings.Join(args[:1], " "), strings.Join(p.stderr.lines(), "\n"))
		}
	})
	return p
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(s))
}

// exit waits for the end and returns the status.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		require.Fail(t, "the process goes on", strings.Join(p.stderr.lines(), "\n"))
	}
	return p.cmd.ProcessState.ExitCode()
}

// server is a `tidings serve` process.
type server struct {
	*process
	http, admin string // host:port
}

// startServer runs a server on an external NATS and waits until it is ready.
func startServer(t *testing.T, nats string, flags ...string) *server {
	t.Helper()
	args := append([]string{
		"serve", "--nats", nats, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json",
	}, flags...)
	s := &server{process: startProcess(t, []string{"TIDINGS_JWT_SECRET=" + testSecret}, nil, args...)}
	meshtest.Eventually(t, func() bool {
		for _, line := range s.stderr.lines() {
			var serving struct{ Msg, HTTP, Admin string }
			if json.Unmarshal([]byte(line), &serving) == nil && serving.Msg == "serving" {
				s.http, s.admin = serving.HTTP, serving.Admin
			}
		}
		select {
		case <-s.exited:
			require.Fail(t, "the server ended", strings.Join(s.stderr.lines(), "\n"))
		default:
		}
		return s.admin != "" && s.ready(t)
	}, "server ready")
	return s
}

func (s *server) ready(t *testing.T) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.admin+"/readyz", nil)
	require.NoError(t, err)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode == http.StatusOK
}

func (s *server) url() string { return "ws://" + s.http + "/ws" }

// logged reports whether a log line has this message and this attribute.
func (s *server) logged(msg, key string, value any) bool {
	for _, line := range s.stderr.lines() {
		var attrs map[string]any
		if json.Unmarshal([]byte(line), &attrs) == nil && attrs["msg"] == msg && attrs[key] == value {
			return true
		}
	}
	return false
}

// subRun is a `tidings sub` in this process.
type subRun struct {
	stdout, stderr *lineLog
	interrupt      context.CancelFunc
	ended          chan struct{}
	status         int // once ended
}

// startSub subscribes until the test ends, with a token unless env has one.
func startSub(t *testing.T, env []string, args ...string) *subRun {
	t.Helper()
	if env == nil {
		env = []string{"TIDINGS_TOKEN=" + testToken(t, "alice", "campaign:*")}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &subRun{stdout: &lineLog{}, stderr: &lineLog{}, interrupt: cancel, ended: make(chan struct{})}
	m := Main{
		Args: append([]string{"sub"}, args...), Env: env,
		Stdin: strings.NewReader(""), Stdout: r.stdout, Stderr: r.stderr,
	}
	go func() {
		r.status = m.Run(ctx)
		close(r.ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.ended
		if t.Failed() {
			t.Logf("sub:\n%s", strings.Join(r.stderr.lines(), "\n"))
		}
	})
	return r
}

// exit waits for the end and returns the status.
func (r *subRun) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		require.Fail(t, "sub goes on", strings.Join(r.stderr.lines(), "\n"))
	}
	return r.status
}

// stop interrupts it and returns the status.
func (r *subRun) stop(t *testing.T) int {
	t.Helper()
	r.interrupt()
	return r.exit(t)
}

// frames are those of an op that have been printed.
func (r *subRun) frames(t *testing.T, op wire.Op) []wire.ServerFrame {
	t.Helper()
	var frames []wire.ServerFrame
	for _, line := range r.stdout.lines() {
		f, err := wire.DecodeServer([]byte(line))
		require.NoError(t, err, line)
		if f.Op == op {
			frames = append(frames, f)
		}
	}
	return frames
}

// await waits until n frames of an op have been printed, and returns all.
func (r *subRun) await(t *testing.T, op wire.Op, n int) []wire.ServerFrame {
	t.Helper()
	var frames []wire.ServerFrame
	meshtest.Eventually(t, func() bool {
		frames = r.frames(t, op)
		return len(frames) >= n
	}, "%d %s frames", n, op)
	return frames
}

// awaitNote waits for a line on standard error.
func (r *subRun) awaitNote(t *testing.T, text string) string {
	t.Helper()
	var note string
	meshtest.Eventually(t, func() bool {
		for _, line := range r.stderr.lines() {
			if strings.Contains(line, text) {
				note = line
				return true
			}
		}
		return false
	}, "a note with %q", text)
	return note
}

func testToken(t *testing.T, subject string, rooms ...string) string {
	t.Helper()
	token, err := authz.Sign([]byte(testSecret), authz.TokenClaims{Subject: subject, Rooms: rooms, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	return token
}

// worker publishes numbered events.
type worker struct {
	publisher *mesh.Publisher
	room      subjects.Room
	published int
}

func newWorker(t *testing.T, nats *meshtest.NATS, room string) *worker {
	t.Helper()
	publisher, err := mesh.NewPublisher(nats.Conn(t), mesh.PublisherConfig{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	parsed, err := subjects.ParseRoom(room)
	require.NoError(t, err)
	return &worker{publisher: publisher, room: parsed}
}

// publish n events, the first is number 1.
func (w *worker) publish(t *testing.T, n int) {
	t.Helper()
	for range n {
		require.NoError(t, w.publishOne(t.Context()))
	}
}

func (w *worker) publishOne(ctx context.Context) error {
	w.published++
	_, err := w.publisher.Publish(ctx, w.room, subjects.Event{
		ID: subjects.NewID(), Source: "/test", Type: "counted", Time: time.Now(), Data: json.RawMessage(strconv.Itoa(w.published)),
	})
	return err
}

// publishSteadily goes on every other millisecond until stop is called.
func (w *worker) publishSteadily(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				result <- nil
				return
			case <-tick.C:
				if err := w.publishOne(context.WithoutCancel(ctx)); err != nil {
					result <- err
					return
				}
			}
		}
	}()
	return func() {
		cancel()
		require.NoError(t, <-result)
	}
}

// numbers are those of the events.
func numbers(t *testing.T, events []wire.ServerFrame) []int {
	t.Helper()
	numbers := make([]int, len(events))
	for i, f := range events {
		var e struct{ Data int }
		require.NoError(t, json.Unmarshal(f.Event, &e))
		numbers[i] = e.Data
	}
	return numbers
}

// upTo are the numbers from first to last.
func upTo(first, last int) []int {
	var numbers []int
	for n := first; n <= last; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}

// lineLog is a writer whose lines can be looked at any time.
type lineLog struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *lineLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// lines are the complete ones.
func (l *lineLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(l.buf.String(), "\n")
	return lines[:len(lines)-1]
}
