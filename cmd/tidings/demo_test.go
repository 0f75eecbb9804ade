//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
)

// demoRun is a `tidings demo` as a process, with its edges.
type demoRun struct {
	*process
	hints string // everything it printed
	page  string // URL, without a slash at its end
	token string // for the terminal
	data  string // folder
}

// demoEdge is an edge as GET /demo/edges has it.
type demoEdge struct {
	Name, URL, State string
	PID              int
	Since            time.Time
}

// startDemo runs it, at ports that were free, and returns when it is up.
func startDemo(t *testing.T, args ...string) *demoRun {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = out.Close() })
	args = append([]string{"demo", "--http", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0"}, args...)
	d := &demoRun{process: startProcess(t, []string{"TMPDIR=" + t.TempDir()}, out, args...)}
	t.Cleanup(func() { // before it would be killed, which only on Linux takes its edges with it
		_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		d.exit(t)
	})
	meshtest.Eventually(t, func() bool {
		select {
		case <-d.exited:
			require.Fail(t, "the demo ended", strings.Join(d.stderr.lines(), "\n"))
		default:
		}
		text, err := os.ReadFile(out.Name())
		require.NoError(t, err)
		d.hints = string(text)
		return strings.Contains(d.hints, "Any NATS client")
	}, "demo is up")
	for what, into := range map[string]*string{
		`page +(http://\S+)/ `: &d.page, `export TIDINGS_TOKEN=(\S+)`: &d.token, `logs +(\S+)`: &d.data,
	} {
		found := regexp.MustCompile(what).FindStringSubmatch(d.hints)
		require.NotNil(t, found, "%s in %q", what, d.hints)
		*into = found[1]
	}
	return d
}

// post asks something of it and returns the answer.
func (d *demoRun) post(t *testing.T, path, body string, status int) string {
	t.Helper()
	got := fetch(t, http.MethodPost, d.page+path, body, asJSON.Clone())
	require.Equal(t, status, got.status, got.body)
	return got.body
}

func (d *demoRun) edges(t *testing.T) []demoEdge {
	t.Helper()
	var edges []demoEdge
	require.NoError(t, json.Unmarshal([]byte(fetch(t, http.MethodGet, d.page+"/demo/edges", "", nil).body), &edges))
	require.Len(t, edges, 2)
	return edges
}

// await waits until an edge (0 or 1) is in a state.
func (d *demoRun) await(t *testing.T, edge int, state string) demoEdge {
	t.Helper()
	var e demoEdge
	meshtest.Eventually(t, func() bool {
		e = d.edges(t)[edge]
		return e.State == state
	}, "%d is %s", edge, state)
	return e
}

// sub is a client that starts at the first of the edges.
func (d *demoRun) sub(t *testing.T, more ...string) *subRun {
	t.Helper()
	args := []string{"campaign:demo"}
	for _, e := range d.edges(t) {
		args = append(args, "--url", e.URL)
	}
	return startSub(t, []string{"TIDINGS_TOKEN=" + d.token}, append(args, more...)...)
}

// sequences are the numbers that events bear by the extension.
func sequences(t *testing.T, events []wire.ServerFrame) []int {
	t.Helper()
	all := make([]int, len(events))
	for i, f := range events {
		var e struct{ Sequence, SequenceType string }
		require.NoError(t, json.Unmarshal(f.Event, &e))
		assert.Equal(t, "Integer", e.SequenceType)
		n, err := strconv.Atoi(e.Sequence)
		require.NoError(t, err, string(f.Event))
		all[i] = n
	}
	return all
}

// holes checks that a client got every number from its first event to last, once and in order.
func holes(t *testing.T, client *subRun, last int) {
	t.Helper()
	var got []int
	meshtest.Eventually(t, func() bool {
		got = sequences(t, client.frames(t, wire.OpEvent))
		return len(got) > 0 && got[len(got)-1] >= last
	}, "event %d", last)
	assert.Equal(t, upTo(got[0], got[len(got)-1]), got)
}

// recovered checks that a client was never told that something is missing.
func recovered(t *testing.T, client *subRun) {
	t.Helper()
	for _, joined := range client.frames(t, wire.OpJoined)[1:] {
		assert.True(t, *joined.Recovered, "%+v", joined)
	}
}

// burst publishes events and returns the number of the last one.
func (d *demoRun) burst(t *testing.T, n int) int {
	t.Helper()
	var published struct{ Last int }
	require.NoError(t, json.Unmarshal([]byte(d.post(t, "/demo/burst", fmt.Sprintf(`{"count":%d}`, n), http.StatusOK)), &published))
	return published.Last
}

func TestDemo_ClientsMissNothingWhileEdgesAreKilledAndDrained(t *testing.T) {
	d := startDemo(t)
	client := d.sub(t)
	client.await(t, wire.OpEvent, 1)
	first := d.edges(t)
	assert.Equal(t, "up", first[0].State)

	d.post(t, "/demo/edges/edge-1/kill", "", http.StatusAccepted)
	d.post(t, "/demo/edges/edge-1/kill", "", http.StatusConflict)
	holes(t, client, d.burst(t, 1000)) // over the other one
	welcomes := client.frames(t, wire.OpWelcome)
	assert.Equal(t, "edge-2", welcomes[len(welcomes)-1].Edge)

	downSince := d.await(t, 0, "down").Since
	again := d.await(t, 0, "up")
	assert.Equal(t, first[0].URL, again.URL)
	assert.NotEqual(t, first[0].PID, again.PID)
	assert.GreaterOrEqual(t, again.Since.Sub(downSince), 4*time.Second)

	d.post(t, "/demo/edges/edge-2/drain", "", http.StatusAccepted)
	d.post(t, "/demo/edges/edge-2/drain", "", http.StatusConflict)
	holes(t, client, d.burst(t, 200))
	meshtest.Eventually(t, func() bool {
		welcomes = client.frames(t, wire.OpWelcome)
		return welcomes[len(welcomes)-1].Edge == "edge-1"
	}, "moved to the edge that is back")
	meshtest.Eventually(t, func() bool { e := d.edges(t)[1]; return e.State == "up" && e.PID != first[1].PID }, "drained and back")

	// Whoever knows the id can do it, too.
	require.NoError(t, syscall.Kill(again.PID, syscall.SIGKILL))
	holes(t, client, d.burst(t, 10))
	d.await(t, 0, "down")
	d.await(t, 0, "up")
	holes(t, client, d.burst(t, 10))
	recovered(t, client)
	client.stop(t)
}

func TestDemo_WhoIsAwayForTooLongIsToldAndNobodyElse(t *testing.T) {
	d := startDemo(t)
	stays, leaves := d.sub(t), d.sub(t)
	position, err := json.Marshal(leaves.await(t, wire.OpJoined, 1)[0].Position)
	require.NoError(t, err)
	leaves.stop(t)

	d.burst(t, 1000)
	inTime := d.sub(t, "--since", string(position))
	assert.True(t, *inTime.await(t, wire.OpJoined, 1)[0].Recovered, "a burst is within the history")
	inTime.stop(t)

	var published struct{ Last, PurgedTo int }
	require.NoError(t, json.Unmarshal([]byte(d.post(t, "/demo/outlast", `{"pane":"a"}`, http.StatusOK)), &published))
	for _, e := range d.edges(t) {
		late := startSub(t, []string{"TIDINGS_TOKEN=" + d.token}, "campaign:demo", "--url", e.URL, "--since", string(position))
		joined := late.await(t, wire.OpJoined, 1)[0]
		assert.False(t, *joined.Recovered, e.Name)
		assert.Equal(t, continuity.ReasonTruncated, joined.Reason, e.Name)
		assert.Greater(t, joined.Position.Seq, uint64(published.PurgedTo))
		late.stop(t)
	}
	holes(t, stays, published.Last)
	recovered(t, stays)
	stays.stop(t)
}

func TestDemo_EdgesTakeThePagesTokensFromThePageOnly(t *testing.T) {
	d := startDemo(t)
	var session struct{ Token string }
	require.NoError(t, json.Unmarshal([]byte(d.post(t, "/demo/token", `{"pane":"a"}`, http.StatusOK)), &session))
	dial := func(origin string) error {
		conn, _, err := websocket.Dial(within(t), d.edges(t)[1].URL, &websocket.DialOptions{ //nolint:bodyclose // after an upgrade there is none
			Subprotocols: []string{"tidings.v1"},
			HTTPHeader:   http.Header{"Authorization": {"Bearer " + session.Token}, "Origin": {origin}},
		})
		if err == nil {
			_ = conn.CloseNow()
		}
		return err
	}
	require.NoError(t, dial(d.page))
	require.NoError(t, dial(strings.Replace(d.page, "127.0.0.1", "localhost", 1)))
	require.ErrorContains(t, dial("https://evil.example"), "403")
	require.ErrorContains(t, dial("http://127.0.0.1:1"), "403")
}

func TestDemo_PrintedCommandsWork(t *testing.T) {
	d := startDemo(t)
	shell := func(script string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), "sh", "-c", script)
		c.Dir, c.Env, c.Stderr = t.TempDir(), []string{"PATH=" + os.Getenv("PATH"), beTheProgram + "=1"}, t.Output()
		return c
	}
	var sub, pub string
	for line := range strings.Lines(d.hints) {
		switch {
		case strings.Contains(line, " sub campaign:demo "):
			sub = strings.TrimSpace(line)
		case strings.Contains(line, " pub campaign:demo "):
			pub = strings.TrimSpace(line)
		}
	}
	frames := &lineLog{}
	watch := shell("export TIDINGS_TOKEN=" + d.token + "\nexec " + sub)
	watch.Stdout = frames
	require.NoError(t, watch.Start())
	printed := func(text string) func() bool {
		return func() bool { return strings.Contains(strings.Join(frames.lines(), "\n"), text) }
	}
	meshtest.Eventually(t, printed(`"op":"joined","room":"campaign:demo"`), "joined")
	out, err := shell(pub).Output()
	require.NoError(t, err)
	meshtest.Eventually(t, printed(`"seq":`+strings.TrimSpace(string(out))+`,`), "event %s", out)
	require.NoError(t, watch.Process.Signal(os.Interrupt))
	require.NoError(t, watch.Wait())
}

func TestDemo_NothingIsLeftOfItAfterCtrlC(t *testing.T) {
	for name, s := range map[string]os.Signal{"Ctrl-C": os.Interrupt, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			d := startDemo(t)
			client := d.sub(t) // somebody who has to be asked to move
			client.await(t, wire.OpEvent, 1)
			edges := d.edges(t)
			d.signal(t, s)
			assert.Equal(t, statusOK, d.exit(t), strings.Join(d.stderr.lines(), "\n"))
			for _, e := range edges {
				require.ErrorIs(t, syscall.Kill(e.PID, 0), syscall.ESRCH, e.Name)
			}
			assert.NoDirExists(t, d.data)
			client.stop(t)
		})
	}
}

func TestDemo_ASecondSignalEndsItAtOnce(t *testing.T) {
	d := startDemo(t)
	client := d.sub(t)
	client.await(t, wire.OpEvent, 1)
	edges := d.edges(t)
	d.signal(t, os.Interrupt)
	meshtest.Eventually(t, func() bool { return strings.Contains(strings.Join(d.stderr.lines(), "\n"), "ending") }, "ending")
	d.signal(t, os.Interrupt)
	assert.Equal(t, statusOK, d.exit(t))
	for _, e := range edges {
		require.ErrorIs(t, syscall.Kill(e.PID, 0), syscall.ESRCH, e.Name)
	}
	client.stop(t)
}

func TestDemo_KeepsTheFolderThatItWasGiven(t *testing.T) {
	data := t.TempDir()
	d := startDemo(t, "--data", data)
	assert.Equal(t, data, d.data)
	d.signal(t, os.Interrupt)
	require.Equal(t, statusOK, d.exit(t))
	assert.FileExists(t, filepath.Join(data, "edge-1.log"))
	assert.DirExists(t, filepath.Join(data, "nats"))
}

func TestDemo_SaysWhyItDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	for name, c := range map[string]struct {
		args   []string
		status int
		words  string
	}{
		"page's port taken": {[]string{"--http", taken.Addr().String(), "--nats-listen", "127.0.0.1:0"}, statusFailed, "the port is taken by another process"},
		"NATS' port taken":  {[]string{"--http", "127.0.0.1:0", "--nats-listen", taken.Addr().String()}, statusFailed, "another NATS server may run there"},
		"one port for both": {[]string{"--http", "127.0.0.1:8080", "--nats-listen", ":8080"}, statusUsage, "are one port"},
		"no address":        {[]string{"--http", "8080"}, statusUsage, `"8080" is no address; write host:port or :port`},
		"folder is a file":  {[]string{"--http", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--data", "demo_test.go"}, statusFailed, "data folder"},
	} {
		t.Run(name, func(t *testing.T) {
			p := startProcess(t, nil, nil, append([]string{"demo"}, c.args...)...)
			assert.Equal(t, c.status, p.exit(t))
			assert.Contains(t, strings.Join(p.stderr.lines(), "\n"), c.words)
		})
	}
}
