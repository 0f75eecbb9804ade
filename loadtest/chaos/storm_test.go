package chaos_test

import (
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/history"
)

// TestStorm_TheOnlyEdgeIsKilled has five thousand clients in a thousand rooms come back at once. All they
// missed costs about one read of each room, however many clients a room has.
func TestStorm_TheOnlyEdgeIsKilled(t *testing.T) {
	p := build(t)
	runs := 1
	if *full {
		runs = 5
	}
	for i := range runs {
		t.Run("run "+strconv.Itoa(i+1), func(t *testing.T) { storm(t, p, uint64(i)) })
	}
}

func storm(t *testing.T, p programs, seed uint64) {
	t.Helper()
	const clients, rooms = 5000, 1000
	w := newWorld(t, p, options{
		seed: seed, edges: 1, rooms: rooms, clients: clients, publishers: 2, rate: 200, oneRoom: true, direct: true,
		flags: []string{"--join-rate", "100000"},
	})
	w.crowd(t)
	w.publish(t)
	hold(3 * time.Second)
	e := w.edges[0]
	w.note(t, history.Record{Kind: history.Begin, Who: "kill -9 of the only edge"})
	killed := time.Now()
	e.kill()
	e.restart(t)
	up := time.Since(killed)
	require.True(t, eventually(patience, func() bool {
		m := e.metrics(t)
		return sum(m, "tidings_mesh_resumes_total") >= clients
	}))
	all := time.Since(killed)
	m := e.metrics(t)
	w.note(t, history.Record{Kind: history.End, Who: "kill -9 of the only edge", Text: "the process was killed"})
	count := func(name string, label ...string) int { return int(sum(m, name, label...)) }
	recovered := count("tidings_mesh_resumes_total", "recovered")
	fetches, rounds := count("tidings_mesh_fetches_total"), count("tidings_mesh_rounds_total")
	w.say(t, "%d of %d recovered within %.2f s, the edge was ready again after %.2f s; reads of rooms: %d, of all together: %d",
		recovered, clients, all.Seconds(), up.Seconds(), fetches, rounds)
	assert.GreaterOrEqual(t, recovered, clients)
	assert.Equal(t, count("tidings_mesh_resumes_total"), recovered, "nobody is told that something may be missing")
	assert.LessOrEqual(t, fetches, 2*rooms, "about one read of each room, not one of each client")
	w.note(t, history.Record{Kind: history.Healed})
	hold(11 * time.Second)
	w.finish(t)
	t.Log("\n" + w.judge(t, 0))
}

// TestRollingRestart_NobodyNotices drains and starts two edges, one after the other, with two thousand
// clients on them. It is no fault: nobody may be told that something could be missing.
func TestRollingRestart_NobodyNotices(t *testing.T) {
	w := newWorld(t, build(t), options{
		seed: 1, rooms: 100, clients: 2000, publishers: 2, rate: 100, oneRoom: true, direct: true,
	})
	w.crowd(t)
	w.publish(t)
	hold(2 * time.Second)
	for _, e := range w.edges {
		n := e.connections(t)
		began := time.Now()
		e.signal(t, syscall.SIGTERM)
		require.Zero(t, e.ended(t, patience), "%s", e.tail())
		w.say(t, "%s ended after %.1f s, %d clients have moved", e.name, time.Since(began).Seconds(), n)
		e.restart(t)
	}
	w.finish(t)
	report := w.judge(t, 0)
	t.Log("\n" + report)
}
