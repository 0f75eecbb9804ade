package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/loadtest/history"
)

// writer writes the history of a run of one client, which is interrupted again and again.
type writer struct {
	t     *testing.T
	files map[string]*history.Writer
	dir   string
	now   time.Time
	seq   uint64
}

func newWriter(t *testing.T) *writer {
	return &writer{t: t, files: make(map[string]*history.Writer), dir: t.TempDir(), now: time.Unix(1_700_000_000, 0)}
}

func (w *writer) write(file string, r history.Record) {
	w.t.Helper()
	f := w.files[file]
	if f == nil {
		var err error
		f, err = history.Create(w.dir, file)
		require.NoError(w.t, err)
		w.t.Cleanup(func() { _ = f.Close() })
		w.files[file] = f
	}
	w.now = w.now.Add(time.Millisecond)
	r.Time = w.now.UnixNano()
	require.NoError(w.t, f.Write(r))
}

// publish has an event stored and acknowledged, and returns how the client gets it.
func (w *writer) publish() history.Record {
	w.t.Helper()
	w.seq += 2
	r := history.Record{
		Kind: history.Event, Who: "client", Room: "campaign:1", Seq: w.seq, ID: fmt.Sprint("evt-", w.seq), Hash: fmt.Sprintf("%024x", w.seq),
	}
	w.write("worker", history.Record{Kind: history.Publish, Who: "worker", Room: r.Room, ID: r.ID, Hash: r.Hash})
	w.write("stream", history.Record{Kind: history.Stored, Room: r.Room, ID: r.ID, Hash: r.Hash, Seq: r.Seq})
	w.write("worker", history.Record{Kind: history.Acked, Who: "worker", Room: r.Room, ID: r.ID, Seq: r.Seq})
	return r
}

func (w *writer) position() *wire.Position { return &wire.Position{Epoch: "e", Seq: w.seq} }

func (w *writer) client(r history.Record) {
	w.t.Helper()
	r.Who = "client"
	w.write("clients", r)
}

// run writes the whole history; with broken the client does not get the last event.
func (w *writer) run(broken bool) {
	w.t.Helper()
	usage := history.Usage{Goroutines: 20}
	w.write("conductor", history.Record{Kind: history.Base, Who: "edge-1", Usage: &usage})
	w.client(history.Record{Kind: history.Client, Class: history.Steady})
	w.seq = 2
	for i := range 8 {
		since := w.position()
		if i == 0 {
			since = nil
		}
		w.client(history.Record{Kind: history.Dial})
		w.client(history.Record{Kind: history.Join, Room: "campaign:1", Position: since})
		w.client(history.Record{Kind: history.Up, Text: "edge-1"})
		if i == 0 {
			w.client(history.Record{Kind: history.Joined, Room: "campaign:1", Position: w.position()})
		} else {
			missed := w.publish()
			missed.Replay = true
			w.client(history.Record{Kind: history.Joined, Room: "campaign:1", Position: w.position(), Recovered: new(true), Count: 1})
			w.client(missed)
		}
		for range 3 {
			w.client(w.publish())
		}
		if i < 7 {
			w.client(history.Record{Kind: history.Down, Code: 1006})
		}
	}
	if last := w.publish(); !broken {
		w.client(last)
	}
	w.write("conductor", history.Record{Kind: history.Quiet})
	w.client(history.Record{Kind: history.Done})
	w.write("conductor", history.Record{Kind: history.Rest, Who: "edge-1", Usage: &usage})
}

// start runs the program.
func start(args ...string) (status int, stdout, stderr string) {
	var out, errs strings.Builder
	status = run(args, &out, &errs)
	return status, out.String(), errs.String()
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func TestCheck_StatusIsTheVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		broken bool
		status int
		says   string
	}{
		"everything holds": {false, 0, "all 11 invariants hold"},
		"something lost":   {true, 1, "VIOLATED: delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWriter(t)
			w.run(c.broken)
			status, out, errs := start(w.dir)
			assert.Equal(t, c.status, status, out)
			assert.Contains(t, lastLine(out), c.says)
			assert.Empty(t, errs)
		})
	}
}

func TestCheck_WritesJSONBeside(t *testing.T) {
	w := newWriter(t)
	w.run(false)
	path := filepath.Join(t.TempDir(), "report.json")
	status, _, _ := start("--json", path, w.dir)
	assert.Zero(t, status)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var report history.Report
	require.NoError(t, json.Unmarshal(text, &struct {
		Checks *[]history.Finding
	}{&report.Checks}))
	assert.Len(t, report.Checks, 11)
}

func TestCheck_TheSizeOfTheHistoryExplainsResets(t *testing.T) {
	w := newWriter(t)
	w.write("conductor", history.Record{Kind: history.Begin, Who: "cut"})
	w.write("conductor", history.Record{Kind: history.End, Who: "cut", Text: "connections were lost"})
	w.client(history.Record{Kind: history.Client, Class: history.Steady})
	w.client(history.Record{Kind: history.Up})
	w.seq = 2
	w.client(history.Record{Kind: history.Join, Room: "campaign:1"})
	w.client(history.Record{Kind: history.Joined, Room: "campaign:1", Position: w.position()})
	w.client(w.publish())
	for range 5 {
		w.publish()
	}
	w.client(history.Record{Kind: history.Joined, Room: "campaign:1", Position: w.position(), Recovered: new(false), Text: "truncated"})
	status, out, _ := start(w.dir)
	assert.Equal(t, 1, status, out)
	status, out, _ = start("--history=5", w.dir)
	assert.Zero(t, status, out)
}

func TestCheck_ControlsAreAllCaught(t *testing.T) {
	w := newWriter(t)
	w.run(false)
	for seed := range 10 {
		status, out, errs := start("--controls", "--seed", fmt.Sprint(seed), w.dir)
		assert.Zero(t, status, out)
		assert.Contains(t, lastLine(out), "10 of 10 controls caught")
		assert.Contains(t, out, "no place for it in this run", "nobody was told that something may be missing")
		assert.Empty(t, errs)
	}
}

func TestCheck_AControlWithoutAPlaceIsNotCaught(t *testing.T) {
	w := newWriter(t)
	w.publish()
	status, out, _ := start("--controls", w.dir)
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "MISSED: there is no place for it in this run")
	assert.Contains(t, lastLine(out), "0 of 10 controls caught")
}

func TestCheck_WhatCannotBeReadIsNoVerdict(t *testing.T) {
	broken := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(broken, "a.jsonl"), []byte("{}\n"), 0o600))
	empty := newWriter(t)
	empty.write("conductor", history.Record{Kind: history.Quiet})
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no folder":          {[]string{filepath.Join(broken, "none")}, "no *.jsonl"},
		"no folder, control": {[]string{"--controls", filepath.Join(broken, "none")}, "no *.jsonl"},
		"a broken record":    {[]string{broken}, "a.jsonl:1"},
		"no argument":        {nil, "usage: check"},
		"too many":           {[]string{broken, broken}, "usage: check"},
		"an unknown flag":    {[]string{"--frobnicate", broken}, "frobnicate"},
		"nowhere to write":   {[]string{"--json", filepath.Join(broken, "none", "report.json"), empty.dir}, "report.json"},
		"nothing to judge":   {[]string{empty.dir}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, errs := start(c.args...)
			assert.Equal(t, 2, status)
			assert.Contains(t, errs, c.says)
		})
	}
}
