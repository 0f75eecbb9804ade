package chaos_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/link"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// fault is something that goes wrong, in three steps of the test's goroutine, so that two can be under way
// at once.
type fault struct {
	name string
	// inflict does it and names its target; it lasts for a while then.
	inflict func(t *testing.T, w *world) (target string)
	lasts   time.Duration
	// prove says how it shows that the fault took effect, "" when it does not show.
	prove func(t *testing.T, w *world) string
	// heal undoes it and returns when all is well again.
	heal func(t *testing.T, w *world)
}

// catalogue are all faults, by what they concern. Each call makes new ones, since they remember their target.
func catalogue(w *world) (edges, nats []*fault) {
	edges = []*fault{
		killEdge(), drainEdge(), pauseEdge(), cutEdge(), deafEdge(), slowClients(),
	}
	nats = []*fault{killLeader(), killFollower(), pauseLeader(), partitionLeader()}
	if w.options.smallDisk {
		nats = append(nats, fillDisk())
	}
	return edges, nats
}

func (w *world) anyEdge() *edge { return w.edges[w.random.IntN(len(w.edges))] }

func (w *world) leader(t *testing.T) *meshtest.Process {
	t.Helper()
	return w.cluster.Leader(t, w.connect(t), subjects.StreamName)
}

// newLeader waits for a leader other than one node and tells of it.
func (w *world) newLeader(t *testing.T, old *meshtest.Process) string {
	t.Helper()
	others := w.cluster.Others(old)
	nc := meshtest.Dial(t, mesh.DialConfig{URL: others[0].URL + "," + others[1].URL, Name: "conductor"})
	defer nc.Close()
	found := ""
	eventually(patience, func() bool {
		info, err := mesh.FetchStreamInfo(t.Context(), nc, subjects.StreamName)
		if err == nil && info.Leader != "" && info.Leader != old.Name {
			found = info.Leader
		}
		return found != ""
	})
	if found == "" {
		return ""
	}
	return found + " leads instead"
}

// awaitWell waits until every node and edge says that it is well.
func (w *world) awaitWell(t *testing.T) {
	t.Helper()
	for _, node := range w.cluster.Nodes {
		require.True(t, eventually(patience, func() bool {
			_, err := node.Get(t.Context(), "/healthz")
			return err == nil
		}), "%s is not healthy", node.Name)
	}
	for _, e := range w.edges {
		e.awaitReady(t)
	}
}

func killEdge() *fault {
	var e *edge
	var proof string
	return &fault{
		name: "kill -9 edge", lasts: 2 * time.Second,
		inflict: func(t *testing.T, w *world) string {
			e = w.anyEdge()
			n, pid := e.connections(t), e.pid()
			e.kill()
			if status, ok := e.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
				proof = fmt.Sprintf("process %d was killed with %d connections", pid, n)
			}
			return e.name
		},
		prove: func(*testing.T, *world) string { return proof },
		heal:  func(t *testing.T, _ *world) { e.restart(t) },
	}
}

func drainEdge() *fault {
	var e *edge
	var n int
	return &fault{
		name: "drain edge", lasts: 0,
		inflict: func(t *testing.T, w *world) string {
			e = w.anyEdge()
			n = e.connections(t)
			e.signal(t, syscall.SIGTERM)
			return e.name
		},
		prove: func(t *testing.T, _ *world) string {
			if status := e.ended(t, patience); status != 0 {
				require.Fail(t, "an orderly end with an error", "%s: status %d\n%s", e.name, status, e.tail())
			}
			return fmt.Sprintf("ended with status 0 after %d clients", n)
		},
		heal: func(t *testing.T, _ *world) { e.restart(t) },
	}
}

func pauseEdge() *fault {
	var e *edge
	return &fault{
		name: "SIGSTOP edge", lasts: 8 * time.Second,
		inflict: func(t *testing.T, w *world) string {
			e = w.anyEdge()
			e.signal(t, syscall.SIGSTOP)
			return e.name
		},
		prove: func(*testing.T, *world) string { return stopped(e.pid()) },
		heal: func(t *testing.T, _ *world) {
			e.signal(t, syscall.SIGCONT)
			e.awaitReady(t)
		},
	}
}

func stopped(pid int) string {
	if state(pid) != "T" {
		return ""
	}
	return fmt.Sprintf("process %d was stopped", pid)
}

func cutEdge() *fault {
	var e *edge
	return &fault{
		name: "cut edge from NATS", lasts: 10 * time.Second,
		inflict: func(_ *testing.T, w *world) string {
			e = w.anyEdge()
			for _, l := range e.nats {
				l.Cut()
			}
			return e.name
		},
		prove: func(t *testing.T, _ *world) string {
			if e.ready(t) {
				return ""
			}
			_, why := get(t, "http://"+e.admin+"/readyz")
			return strings.Join(strings.Fields(why), " ")
		},
		heal: func(t *testing.T, _ *world) {
			for _, l := range e.nats {
				l.Mend()
			}
			e.awaitReady(t)
		},
	}
}

func deafEdge() *fault {
	var e *edge
	var passed int64
	total := func() (n int64) {
		for _, l := range e.nats {
			n += l.Passed(link.Down)
		}
		return n
	}
	return &fault{
		name: "edge hears nothing from NATS", lasts: 8 * time.Second,
		inflict: func(_ *testing.T, w *world) string {
			e = w.anyEdge()
			for _, l := range e.nats {
				l.Set(link.Down, link.Condition{Hold: true})
			}
			passed = total()
			return e.name
		},
		prove: func(*testing.T, *world) string {
			if more := total() - passed; more > 64<<10 { // what was under way
				return ""
			}
			return "nothing passed"
		},
		heal: func(t *testing.T, _ *world) {
			for _, l := range e.nats {
				l.Mend()
			}
			e.awaitReady(t)
		},
	}
}

func slowClients() *fault {
	var e *edge
	var passed int64
	return &fault{
		name: "slow link to clients", lasts: 5 * time.Second,
		inflict: func(_ *testing.T, w *world) string {
			e = w.anyEdge()
			passed = e.clients.Passed(link.Down)
			e.clients.Set(link.Down, link.Condition{Delay: 150 * time.Millisecond, Rate: 4 << 10})
			e.clients.Set(link.Up, link.Condition{Delay: 150 * time.Millisecond})
			return e.name
		},
		prove: func(*testing.T, *world) string {
			return fmt.Sprintf("%d bytes passed, each with a delay", e.clients.Passed(link.Down)-passed)
		},
		heal: func(*testing.T, *world) { e.clients.Mend() },
	}
}

func killLeader() *fault {
	var node *meshtest.Process
	return &fault{
		name: "kill -9 stream leader", lasts: time.Second,
		inflict: func(t *testing.T, w *world) string {
			node = w.leader(t)
			node.Kill()
			return node.Name
		},
		prove: func(t *testing.T, w *world) string { return w.newLeader(t, node) },
		heal: func(t *testing.T, w *world) {
			node.Restart(t)
			w.awaitWell(t)
		},
	}
}

func killFollower() *fault {
	var node *meshtest.Process
	var pid int
	return &fault{
		name: "kill -9 follower", lasts: 3 * time.Second,
		inflict: func(t *testing.T, w *world) string {
			others := w.cluster.Others(w.leader(t))
			node = others[w.random.IntN(len(others))]
			pid = node.PID()
			node.Kill()
			return node.Name
		},
		prove: func(*testing.T, *world) string {
			if state(pid) != "" {
				return ""
			}
			return fmt.Sprintf("process %d is gone", pid)
		},
		heal: func(t *testing.T, w *world) {
			node.Restart(t)
			w.awaitWell(t)
		},
	}
}

func pauseLeader() *fault {
	var node *meshtest.Process
	return &fault{
		name: "SIGSTOP stream leader", lasts: 8 * time.Second,
		inflict: func(t *testing.T, w *world) string {
			node = w.leader(t)
			node.Pause(t)
			return node.Name
		},
		prove: func(*testing.T, *world) string { return stopped(node.PID()) },
		heal: func(t *testing.T, w *world) {
			node.Resume(t)
			w.awaitWell(t)
		},
	}
}

func partitionLeader() *fault {
	var node *meshtest.Process
	var around []*link.Link
	return &fault{
		name: "partition the leader", lasts: 8 * time.Second,
		inflict: func(t *testing.T, w *world) string {
			node = w.leader(t)
			for ends, l := range w.routes {
				if w.cluster.Nodes[ends[0]] == node || w.cluster.Nodes[ends[1]] == node {
					around = append(around, l)
				}
			}
			for _, l := range around {
				// Silent, as a broken network is; what was sent comes late, if the connection lives so long.
				l.Set(link.Up, link.Condition{Hold: true})
				l.Set(link.Down, link.Condition{Hold: true})
			}
			return node.Name
		},
		prove: func(t *testing.T, w *world) string { return w.newLeader(t, node) },
		heal: func(t *testing.T, w *world) {
			for _, l := range around {
				l.Mend()
			}
			w.awaitWell(t)
		},
	}
}

func fillDisk() *fault {
	var ballast string
	return &fault{
		name: "store full on one node", lasts: 8 * time.Second,
		inflict: func(t *testing.T, w *world) string {
			node := w.cluster.Nodes[2]
			ballast = filepath.Join(w.store, node.Name, "ballast")
			f, err := os.Create(ballast)
			require.NoError(t, err)
			chunk := make([]byte, 1<<20)
			for err == nil {
				_, err = f.Write(chunk)
			}
			require.ErrorIs(t, err, syscall.ENOSPC)
			_ = f.Close()
			return node.Name
		},
		prove: func(t *testing.T, w *world) string {
			if _, err := w.cluster.Nodes[2].Get(t.Context(), "/healthz"); err == nil {
				return ""
			}
			for line := range strings.SplitSeq(w.cluster.Nodes[2].Log(), "\n") {
				if strings.Contains(line, "write error") {
					_, text, _ := strings.Cut(line, "] ")
					return text[:min(len(text), 160)]
				}
			}
			return ""
		},
		heal: func(t *testing.T, w *world) {
			require.NoError(t, os.Remove(ballast))
			w.cluster.Nodes[2].Restart(t) // nats-server turns JetStream off on a node whose disk is full
			w.awaitWell(t)
		},
	}
}

// expireTokens waits for the moment at which all tokens end.
func expireTokens() *fault {
	var before float64
	closed := func(t *testing.T, w *world) (n float64) {
		for _, e := range w.edges {
			n += sum(e.metrics(t), "tidings_edge_connections_closed_total", "4401")
		}
		return n
	}
	return &fault{
		name: "all tokens expire", lasts: 2 * time.Second,
		inflict: func(t *testing.T, w *world) string {
			before = closed(t, w)
			hold(time.Until(w.expireAt))
			return "all clients"
		},
		prove: func(t *testing.T, w *world) string {
			n := 0.0
			if !eventually(patience, func() bool {
				n = closed(t, w) - before
				return n >= float64(w.options.clients)*2/3
			}) {
				return ""
			}
			return fmt.Sprintf("%.0f connections were closed with 4401", n)
		},
		heal: func(t *testing.T, w *world) { w.awaitConnections(t, w.options.clients) },
	}
}

// rollingRestart ends and starts everything, one after the other, as an upgrade does.
func rollingRestart() *fault {
	restarted := 0
	return &fault{
		name: "rolling restart of everything",
		inflict: func(t *testing.T, w *world) string {
			for _, node := range w.cluster.Nodes {
				node.Stop()
				node.Restart(t)
				w.awaitWell(t)
				restarted++
			}
			for _, e := range w.edges {
				require.Zero(t, e.drain(t), "%s\n%s", e.name, e.tail())
				e.restart(t)
				restarted++
			}
			return "everything"
		},
		prove: func(*testing.T, *world) string { return fmt.Sprintf("%d processes were restarted", restarted) },
		heal:  func(t *testing.T, w *world) { w.awaitWell(t) },
	}
}
