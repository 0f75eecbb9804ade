package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/peers"
	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/rounds"
)

func TestParse_SaysWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"no rounds":    {[]string{"--rounds", "0"}, "--rounds 0, want at least 1"},
		"odd clients":  {[]string{"--clients", "150"}, "--clients 150, want a multiple of 100"},
		"too few":      {[]string{"--clients", "0"}, "want a multiple of 100"},
		"stray":        {[]string{"quick"}, `unexpected argument "quick"`},
		"unknown flag": {[]string{"--fast"}, "-fast"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parse(tt.args, io.Discard)
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

func TestContestants_AreChosenByPartsOfTheirNames(t *testing.T) {
	chosen, err := contestantsOf(peers.NewTools("."), []string{"redis", "floor"})
	require.NoError(t, err)
	assert.Equal(t, "floor; Centrifugo, Redis with history; Socket.IO, Redis adapter", names(chosen))
	_, err = contestantsOf(peers.NewTools("."), []string{"pusher"})
	assert.ErrorContains(t, err, `--only "pusher" is none of floor; Tidings;`)
}

func TestLoads_AreValid(t *testing.T) {
	for _, quick := range []bool{false, true} {
		for name, load := range loads(100, quick) {
			assert.NoError(t, load.Validate(), name)
		}
	}
}

// measured is a bench after one round, with numbers that differ.
func measured(t *testing.T) *bench {
	t.Helper()
	contestants, err := contestantsOf(peers.NewTools("."), []string{"floor", "tidings", "socket.io"})
	require.NoError(t, err)
	b := newBench(config{rounds: 1, clients: 100}, contestants, rounds.NewDisplay(io.Discard))
	b.began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	add := func(name, scenario string, server, all float64, d report.Deliver) {
		b.results = append(b.results, &report.Result{Target: report.Target{Name: name}, Scenario: scenario, Runs: []report.Run{{
			ServerCPUPerDelivery: server, CPUPerDelivery: all, Processes: []report.Process{{}}, Deliver: d,
		}}})
	}
	add(floor, wide, 8, 8, report.Deliver{Expected: 10, Received: 10})
	add(ours, wide, 10, 11, report.Deliver{Expected: 10, Received: 10})
	add(ours, kill, 10, 11, report.Deliver{Expected: 100, Received: 97, Missing: 1, Twice: 2})
	b.contestants[len(b.contestants)-1].trouble = []string{"idle, round 1: " + peers.ErrNotInstalled.Error()}
	return b
}

func TestPublish_ReplacesWhatIsBetweenTheMarkers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "benchmarks.md")
	hand := "# By hand\n" + "<!-- bench-peers: begin -->" + "\nold\n" + "<!-- bench-peers: end -->" + "\nalso by hand\n"
	require.NoError(t, os.WriteFile(path, []byte(hand), 0o600))
	b := measured(t)
	var out bytes.Buffer
	for range 2 { // the second time over the first
		p, err := rounds.OpenPage(path, "bench-peers")
		require.NoError(t, err)
		require.NoError(t, b.publish(p, &out))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	page := string(text)
	assert.Regexp(t, `(?s)^# By hand\n<!-- bench-peers: begin -->\n.*\n<!-- bench-peers: end -->\nalso by hand\n$`, page)
	assert.NotContains(t, page, "old")
	assert.Contains(t, page, "| **Tidings** | **10** ✗<br><sub>1.25 ×</sub> |", "a target of 1.15 floors is missed")
	assert.Contains(t, page, "≤ 9.20")
	assert.Contains(t, page, "| Socket.IO, Redis adapter | – |", "who could not be measured has a row")
	assert.Contains(t, page, "**Socket.IO, Redis adapter**: idle, round 1: not installed")
	assert.Contains(t, out.String(), "### Against the floor")
	for _, file := range []string{"wide.svg", "peers.json"} {
		assert.FileExists(t, filepath.Join(filepath.Dir(path), "benchmarks", file))
	}
}

// Lost is what never came, told or not; what came twice does not make up for it.
func TestWhole_CountsWhatNeverCame(t *testing.T) {
	m, err := measured(t).whole()
	require.NoError(t, err)
	assert.Equal(t, []float64{5}, rowOf(m, ours).Values[lostColumn.Key()])
	assert.Equal(t, []float64{2}, rowOf(m, ours).Values[kill+"/twice"])
}
