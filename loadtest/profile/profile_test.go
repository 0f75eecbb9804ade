package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/pprof"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// operators is what an edge has for them; it does not answer while down.
func operators(t *testing.T, down *atomic.Bool, asked chan<- string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.Handle("/debug/pprof/heap", pprof.Handler("heap"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestCollector_TakesProfilesAsTheRunGoesBy(t *testing.T) {
	var down atomic.Bool
	asked := make(chan string, 1000)
	dir := t.TempDir()
	c := newCollector(t.Context(), operators(t, &down, asked), dir)
	measure := runner.Snapshot{Phase: runner.PhaseMeasure, Length: time.Minute}
	c.progress(runner.Snapshot{Phase: runner.PhaseConnect})
	<-asked
	c.progress(runner.Snapshot{Phase: runner.PhaseWarmup})
	c.progress(measure)
	c.progress(measure) // as often as it likes
	<-asked
	down.Store(true) // and comes back when there is nothing but the heap to take
	measure.Elapsed = measure.Length - slice
	c.progress(measure)
	for what := range asked {
		if what == "/debug/pprof/heap" {
			break
		}
	}
	down.Store(false)
	taken, err := c.end()
	require.NoError(t, err)
	require.NotEmpty(t, taken.connect)

	var out strings.Builder
	executable, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, taken.tell(t.Context(), executable, dir, &out))
	for _, name := range []string{"connect.cpu.txt", "heap.inuse_space.txt", "heap.alloc_space.txt"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Contains(t, string(text), "flat%", name)
		assert.Contains(t, out.String(), name)
	}
	slices, err := filepath.Glob(filepath.Join(dir, "slice-*"))
	require.NoError(t, err)
	assert.Empty(t, slices, "they have become one")
}

func TestStage_TheHeapIsTakenBeforeTheClientsGo(t *testing.T) {
	for want, moments := range map[stage][]runner.Snapshot{
		stageNothing: {{Phase: runner.PhasePrepare}, {Phase: runner.PhaseWarmup}, {Phase: runner.PhaseFinish}, {Phase: runner.PhaseDone}},
		stageConnect: {{Phase: runner.PhaseConnect}},
		stageLoad:    {{Phase: runner.PhaseMeasure, Length: 10 * slice}, {Phase: runner.PhaseMeasure, Length: 10 * slice, Elapsed: 7 * slice}},
		stageHeap:    {{Phase: runner.PhaseMeasure, Length: 10 * slice, Elapsed: 8 * slice}, {Phase: runner.PhaseMeasure, Length: slice}},
	} {
		for _, s := range moments {
			assert.Equal(t, want, stageOf(s), "%+v", s)
		}
	}
}

func TestShorten_AFaultComesInProportion(t *testing.T) {
	s, err := scenario.Load("storm")
	require.NoError(t, err)
	share := float64(s.Fault.After) / float64(s.Duration)
	shorten(s, 9*time.Second)
	assert.Equal(t, 9*time.Second, s.Duration)
	assert.InDelta(t, share, float64(s.Fault.After)/float64(s.Duration), 0.001)
	assert.Equal(t, 1, s.Repeat)
	require.NoError(t, s.Validate())
}

func TestRun_WhatCannotWorkIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no scenario of that name": {[]string{"wide", "nonsense"}, `unknown scenario "nonsense"`},
		"too short":                {[]string{"--duration", "1s"}, "--duration 1s, want at least 2s"},
		"no program":               {[]string{"--out", t.TempDir(), "--tidings", "/none", "wide"}, "wide: /none version"},
		"an unknown flag":          {[]string{"--frobnicate"}, "frobnicate"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.ErrorContains(t, run(t.Context(), "/none", c.args, io.Discard), c.says)
		})
	}
}
