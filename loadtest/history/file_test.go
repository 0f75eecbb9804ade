package history_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/loadtest/history"
)

// readAll returns the records of a folder by file.
func readAll(t *testing.T, dir string) map[string][]history.Record {
	t.Helper()
	all := make(map[string][]history.Record)
	require.NoError(t, history.Read(dir, func(file string, r history.Record) error {
		all[file] = append(all[file], r)
		return nil
	}))
	return all
}

func TestFile_WhatIsWrittenIsRead(t *testing.T) {
	dir := t.TempDir()
	w, err := history.Create(dir, "clients")
	require.NoError(t, err)
	records := []history.Record{
		{Kind: history.Client, Time: 1, Who: "a", Class: history.Slow},
		{Kind: history.Joined, Time: 2, Who: "a", Room: room, Position: &wire.Position{Epoch: "e", Seq: 7, ID: "x", TS: 9}, Recovered: new(false), Text: "expired"},
		{Kind: history.Event, Time: 3, Who: "a", Room: room, Seq: 8, Prev: 7, ID: "y", Hash: "0", Replay: true, Duplicate: true},
		{Kind: history.Rest, Time: 4, Who: "edge-1", Usage: &history.Usage{RSS: 1, Heap: 2, Goroutines: 3, Files: 4, Subscriptions: 5, Connections: 6, Rooms: 7, Queued: 8}},
	}
	for _, r := range records {
		require.NoError(t, w.Write(r))
	}
	require.NoError(t, w.Write(history.Record{Kind: history.Quiet}))
	require.NoError(t, w.Close())

	got := readAll(t, dir)["clients.jsonl"]
	require.Len(t, got, 5)
	assert.Equal(t, records, got[:4])
	assert.Positive(t, got[4].Time, "it got the present time")

	_, err = history.Create(dir, "clients")
	assert.Error(t, err, "a history is not written over")
}

func TestFile_ManyGoroutinesWriteWholeLines(t *testing.T) {
	dir := t.TempDir()
	w, err := history.Create(dir, "clients")
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				assert.NoError(t, w.Write(history.Record{Kind: history.Lag, Who: "a", Room: room}))
			}
		})
	}
	all.Wait()
	require.NoError(t, w.Close())
	assert.Len(t, readAll(t, dir)["clients.jsonl"], 800)
}

func TestFile_ALineThatIsCutOffIsPassedOverAtTheEndOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "killed.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(`{"k":"quiet","t":1}`+"\n"+`{"k":"don`), 0o600))
	assert.Len(t, readAll(t, dir)["killed.jsonl"], 1)

	require.NoError(t, os.WriteFile(path, []byte(`{"k":"don`+"\n"+`{"k":"quiet","t":1}`+"\n"), 0o600))
	err := history.Read(dir, func(string, history.Record) error { return nil })
	assert.ErrorContains(t, err, "killed.jsonl:1")
}

func TestFile_AFolderWithoutHistoriesIsAnError(t *testing.T) {
	err := history.Read(t.TempDir(), func(string, history.Record) error { return nil })
	assert.ErrorContains(t, err, "no *.jsonl")
}

func TestDigest_ComparesContent(t *testing.T) {
	id, hash, err := history.Digest([]byte(`{"id":"evt-1","type":"t","data":{"a":1,"b":[2]}}`))
	require.NoError(t, err)
	assert.Equal(t, "evt-1", id)
	for text, same := range map[string]bool{
		`{ "type":"t", "data": {"a": 1, "b": [ 2 ]}, "id":"evt-1", "time":"2024-11-23T19:26:40Z" }`: true,
		`{"id":"evt-1","type":"t","data":{"a":1,"b":[3]}}`:                                          false,
		`{"id":"evt-1","type":"u","data":{"a":1,"b":[2]}}`:                                          false,
		`{"id":"evt-1","type":"t"}`:                                                                 false,
	} {
		_, other, err := history.Digest([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, same, hash == other, text)
	}
	_, _, err = history.Digest([]byte("no JSON"))
	assert.Error(t, err)
}

func TestCheck_RefusesWhatIsNoHistory(t *testing.T) {
	for name, c := range map[string]struct {
		tell func(s *story)
		says string
	}{
		"an unknown kind":  {func(s *story) { s.conduct("banana") }, "banana"},
		"an unknown class": {func(s *story) { s.client("a", "lazy") }, "lazy"},
		"a client begins twice": {func(s *story) {
			s.client("a", history.Steady)
			s.client("a", history.Steady)
		}, "second time"},
		"a client nobody knows": {func(s *story) { (&teller{s, "a"}).up() }, "does not begin"},
		"a client in another's file": {func(s *story) {
			s.client("a", history.Steady)
			s.write("other", history.Record{Kind: history.Up, Who: "a"})
		}, "does not begin in this file"},
		"more after the end of a client": {func(s *story) {
			c := s.client("a", history.Steady)
			c.done()
			c.up()
		}, "after its done"},
		"joined nowhere": {func(s *story) {
			s.client("a", history.Steady).record(history.Record{Kind: history.Joined, Room: room})
		}, "without a position"},
		"an ack of nothing": {func(s *story) { s.ack(10) }, "not published before"},
		"one id, two contents": {func(s *story) {
			s.publish(10)
			s.write("publisher", history.Record{Kind: history.Publish, Room: room, ID: id(10), Hash: "0"})
		}, "two contents"},
		"a fault ends that did not begin": {func(s *story) {
			s.write("conductor", history.Record{Kind: history.End, Who: "cut"})
		}, "did not begin"},
		"healed twice": {func(s *story) {
			s.conduct(history.Healed)
			s.conduct(history.Healed)
		}, "second time"},
		"quiet twice": {func(s *story) {
			s.conduct(history.Quiet)
			s.conduct(history.Quiet)
		}, "second time"},
		"usage of nothing": {func(s *story) { s.conduct(history.Base) }, "without any"},
		"no time":          {func(s *story) { s.records = append(s.records, told{"x", history.Record{Kind: history.Quiet}}) }, "without time"},
	} {
		t.Run(name, func(t *testing.T) {
			s := tell()
			c.tell(s)
			_, err := history.Check(s.source, s.options)
			assert.ErrorContains(t, err, c.says)
		})
	}
}
