//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidingsmesh/tidings/loadtest/rounds"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/swarm"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
)

func TestMain(m *testing.M) {
	if slices.Contains(os.Args, worker) {
		if err := swarm.RunWorker(context.Background(), os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// tiny is a thousandth part of everything, in steps of a second.
var tiny = sizes{
	rate: 100, fan: 1000, warmup: 100 * time.Millisecond, window: time.Second, part: 100, many: manyTimes{500 * time.Millisecond, time.Second},
}

func pageIn(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "scaling.md")
	require.NoError(t, os.WriteFile(path, []byte("by hand\n<!-- growth: begin -->\n<!-- growth: end -->\n"), 0o600))
	return path
}

func published(t *testing.T, s *study) string {
	t.Helper()
	path := pageIn(t)
	page, err := rounds.OpenPage(path, "growth")
	require.NoError(t, err)
	require.NoError(t, s.publish(page, io.Discard))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, plot := range []string{"tens.svg", "spread.svg", "nats.svg"} {
		assert.FileExists(t, filepath.Join(filepath.Dir(path), "scaling", plot))
	}
	lines, err := os.ReadFile(filepath.Join(filepath.Dir(path), "scaling", "growth.jsonl"))
	require.NoError(t, err)
	assert.Equal(t, 1+len(s.records), bytes.Count(lines, []byte("\n")))
	for line := range bytes.Lines(lines) {
		assert.True(t, json.Valid(line))
	}
	return string(text)
}

func TestStudy_MeasuresARealInstallation(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "tidings")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/tidingsmesh/tidings/cmd/tidings")
	build.Stderr = os.Stderr
	require.NoError(t, build.Run())
	executable, err := os.Executable()
	require.NoError(t, err)
	edges := tiny.followers()[1]
	steps := []step{tiny.load(tens, 100, 10, 1, tiny.rate), edges, tiny.manyRooms()}
	var told bytes.Buffer
	s := newStudy(config{rounds: 1, tidings: binary, natsServer: meshtest.ServerBinary(t), worker: []string{executable, worker}}, steps, rounds.NewDisplay(&told))
	require.NoError(t, s.run(t.Context()))
	require.Empty(t, s.remarks)
	assert.Equal(t, 3, strings.Count(told.String(), "done in"))

	load := s.records[0].Values
	for _, name := range []string{edgeDelivery, edgeEvent, natsEvent, latencyP99, edgeJoin, natsJoin} {
		assert.Positive(t, load[name], name)
	}
	assert.Greater(t, load[wireBytes], float64(size))
	assert.InEpsilon(t, load[edgeDelivery]*10, load[edgeEvent], 0.01, "ten deliveries an event")
	assert.InEpsilon(t, s.records[1].Values[edgeDelivery], s.records[1].Values[edgeEvent], 0.01, "one for each of the two edges")

	rooms := s.records[2].Values
	for _, name := range []string{joinRate, edgeRoom, roomJoin, roomCompare, natsCompare, publishRate, fullEdge, fullNATS, natsUp, edgeUp} {
		assert.Positive(t, rooms[name], name)
	}
	assert.Zero(t, rooms[lost])
	assert.LessOrEqual(t, rooms[natsUp], rooms[subscribed])
	assert.LessOrEqual(t, rooms[subscribed], rooms[natsDelivered])
	assert.LessOrEqual(t, rooms[allBack], rooms[edgeDelivered])

	text := published(t, s)
	assert.Contains(t, text, "| 100 connections in 10 rooms |")
	assert.Contains(t, text, "### 1,000 rooms on one edge")
}

func TestStudy_AStepThatCannotBeMeasuredIsNamed(t *testing.T) {
	var told bytes.Buffer
	t.Setenv("TMPDIR", t.TempDir()) // logs of what fails stay
	s := newStudy(config{rounds: 2, tidings: "/none", natsServer: "/none"}, []step{tiny.quiet()}, rounds.NewDisplay(&told))
	require.ErrorIs(t, s.run(t.Context()), errNothing)
	require.Len(t, s.remarks, 2)
	assert.Contains(t, s.remarks[1], "100 connections in 10 rooms, round 2: /none version")
}

// measured is a study whose numbers follow a law exactly: a delivery costs 10 µs, an event 90 µs more on each edge and at NATS 30 µs
// and 5 µs for each edge.
func measured() *study {
	s := newStudy(config{rounds: 1}, everything(false), rounds.NewDisplay(io.Discard))
	for _, one := range s.steps {
		var v numbers
		switch {
		case one.many != nil:
			v = numbers{edgeRoom: 2000, edgeHistory: 1000, natsRoom: 1000, natsHistory: 500, roomJoin: 20e-6, roomCompare: 4e-6, natsCompare: 3e-6, fullEdge: 100e-6, fullNATS: 30e-6, lost: 0}
		case one.rate == 0:
			v = numbers{pingCost: 10e-6, edgeJoin: 60e-6, edgeMemory: 2000, kernelMemory: 4000}
		default:
			edges := float64(one.edges)
			on := min(edges, one.members())
			v = numbers{edgeDelivery: 10e-6 + on*90e-6/one.members(), natsEvent: 30e-6 + edges*5e-6, wireBytes: 434}
		}
		s.records = append(s.records, record{one.key, 1, v})
	}
	return s
}

func TestStudy_SeparatesWhatIsShared(t *testing.T) {
	s := measured()
	a, b := s.shared()
	assert.InDelta(t, 10e-6, a, 1e-12)
	assert.InDelta(t, 90e-6, b, 1e-12)
	event, edge := s.natsPerEdge()
	assert.InDelta(t, 30e-6, event, 1e-12)
	assert.InDelta(t, 5e-6, edge, 1e-12)
}

func TestPublish_SaysWhetherTheAimIsMet(t *testing.T) {
	s := measured()
	text := published(t, s)
	assert.Contains(t, text, "in rooms of ten: all within ±0.0 % of their middle, within the ±10 %")
	assert.Contains(t, text, "| rooms of ten, half of their members on each edge | 19.0 µs | 28.0 µs | 1.47 |")
	assert.Contains(t, text, "1.47 times.")
	assert.Contains(t, text, "| 10,000 | 1 | 2,000 | 100 µs | 100 µs | +0 % |")
	assert.Contains(t, text, "**30.0 µs + 5.00 µs for each edge**")
	assert.NotContains(t, text, "NaN")

	worse := slices.IndexFunc(s.records, func(r record) bool { return r.Step == "tens/1500/15000" })
	s.records[worse].Values[edgeDelivery] *= 1.5
	assert.Contains(t, published(t, s), "in rooms of ten: all within ±20.0 % of their middle, **not within** the ±10 %")
}

func TestPublish_WhatIsMissingIsADash(t *testing.T) {
	s := measured()
	s.records = slices.DeleteFunc(s.records, func(r record) bool { return strings.HasPrefix(r.Step, followers) || strings.HasPrefix(r.Step, spread) })
	s.remarks = []string{"8 edges, round 1: out of memory"}
	text := published(t, s)
	assert.Contains(t, text, "| 8 edges | – | – | – |")
	assert.Contains(t, text, "Not all that this needs was measured.")
	assert.Contains(t, text, "- 8 edges, round 1: out of memory")
	assert.NotContains(t, text, "NaN")
}

func TestEverything_IsValidAndDistinct(t *testing.T) {
	for _, quick := range []bool{false, true} {
		keys := map[string]bool{}
		for _, one := range everything(quick) {
			assert.False(t, keys[one.key], one.key)
			keys[one.key] = true
			assert.NoError(t, one.scenario().Validate(), one.key)
		}
	}
}

func TestPair_GivesEachEdgeWhatAStepGivesOne(t *testing.T) {
	s := measured()
	for _, two := range s.series(pair) {
		assert.True(t, slices.ContainsFunc(s.steps, func(single step) bool {
			return single.edges == 1 && single.clients*2 == two.clients && single.rate == two.rate && single.rooms == max(1, two.rooms/2)
		}), two.key)
	}
}

func TestFit_FindsTheLineOfLeastRelativeError(t *testing.T) {
	a, b := fit([]point{{0.001, 10.09}, {0.01, 10.9}, {0.1, 19}, {1, 100}})
	assert.InDelta(t, 10, a, 1e-9)
	assert.InDelta(t, 90, b, 1e-9)
	a, _ = fit([]point{{0.001, 10}, {1, 100}, {1, 200}})
	assert.InDelta(t, 10, a, 0.2, "what large costs differ by is not put on the small one")
	for _, few := range [][]point{nil, {{1, 2}}, {{1, 2}, {1, 3}}} {
		a, b = fit(few)
		assert.True(t, math.IsNaN(a) && math.IsNaN(b), few)
	}
}

func TestSwing_IsHalfTheRangeOverTheMiddle(t *testing.T) {
	assert.InDelta(t, 0.1, swing([]float64{10, 9, 11}), 1e-9)
	assert.Zero(t, swing([]float64{7}))
	assert.Zero(t, swing(nil))
}

func TestSpreadOver_ExpectsTheEdgesThatARoomIsOn(t *testing.T) {
	assert.InDelta(t, 1, spreadOver(10, 1), 1e-9)
	assert.InDelta(t, 2*(1-math.Pow(0.5, 10)), spreadOver(10, 2), 1e-9)
	assert.InDelta(t, 10, spreadOver(10, 1e6), 0.01, "each member alone")
	assert.InDelta(t, 1, spreadOver(1, 50), 1e-9)
}

func TestSized_IsTheArithmeticOfThePage(t *testing.T) {
	c := measured().costs()
	require.True(t, c.known())
	z := sized(usual(1e6, 0.02), c)
	assert.InDelta(t, 300_000, z.rooms, 0.1)
	assert.InDelta(t, 6000, z.events, 0.1)
	assert.InDelta(t, 60_000, z.deliveries, 0.1)
	assert.InDelta(t, 1e6/150_000.0, z.bySockets, 1e-9)
	// Deliveries 0.6 processors; events on each edge, which take 100 µs with the first delivery; comparisons, pings, and the connections and rooms that come and go.
	processors := 0.6 + 6000*z.follow*90e-6 + 300_000*z.follow*4e-6/30 + 1e6*10e-6/25 + 1e6/600.0*(60e-6+3*20e-6)
	assert.InEpsilon(t, processors/(8*0.4), z.byCPU, 1e-9)
	assert.InEpsilon(t, (1e6*6000+300_000*z.follow*3000)/(10*(1<<30)), z.byMemory, 1e-9)
	assert.InDelta(t, math.Ceil(max(z.bySockets, z.byCPU, z.byMemory)), z.edges, 1e-9)
	assert.Equal(t, "sockets", z.first())
	assert.InDelta(t, 1, z.streams, 1e-9)
	assert.InEpsilon(t, 300_000*z.follow*1000, z.interest, 1e-9)

	most := sized(usual(100e6, 0.02), c)
	assert.InDelta(t, 60, most.streams, 1e-9)
	crowded := sized(usual(1e6, 1), c)
	assert.Equal(t, "CPU", crowded.first())
	assert.Greater(t, crowded.edges, z.edges)
	assert.InDelta(t, 3, z.nodes, 1e-9, "as many as there are copies")
	assert.InEpsilon(t, 600_000*(3*30e-6+(most.follow-1)*5e-6)+30e6*most.follow*3e-6/30, most.nodes*8*0.4, 0.03)
	assert.InEpsilon(t, 1e6/z.edges*(60e-6+3*20e-6)/((z.edges-1)*8*0.6), z.storm, 1e-9)
	alone := sized(usual(10_000, 0.02), c)
	assert.InDelta(t, 1, alone.edges, 1e-9)
	assert.InEpsilon(t, 10_000*(60e-6+3*20e-6)/8, alone.storm, 1e-9, "the one that comes back takes all of them")
}

func TestKernelBytes_AreReadWhereTheyStand(t *testing.T) {
	assert.InDelta(t, 295, wordAfter("sockets: used 9\nTCP: inuse 4 orphan 0 mem 295\n", "TCP:", "mem"), 0.1)
	assert.InDelta(t, 132, wordAfter("MemTotal: 7 kB\nSlab:   132 kB\n", "Slab:", ""), 0.1)
	assert.Zero(t, wordAfter("Slab:\nTCP: mem\n", "TCP:", "mem"))
	assert.Zero(t, wordAfter("", "Slab:", ""))
	assert.Positive(t, kernelBytes())
	var k kernelUse
	for _, p := range []runner.Phase{runner.PhasePrepare, runner.PhaseConnect, runner.PhaseWarmup, runner.PhaseMeasure} {
		k.look(p)
	}
	assert.InDelta(t, kernelBytes(), k.before+k.grown(), 512<<20, "whatever else goes on")
}

func TestParse_SaysWhatIsWrong(t *testing.T) {
	for want, args := range map[string][]string{
		"--rounds 0, want at least 1":   {"--rounds", "0"},
		`unexpected argument "quick"`:   {"quick"},
		"flag provided but not defined": {"--fast"},
	} {
		_, err := parse(args, io.Discard)
		assert.ErrorContains(t, err, want)
	}
	assert.ErrorContains(t, run(t.Context(), "/none", []string{"--docs", t.TempDir()}, io.Discard, io.Discard), "scaling.md")
}
