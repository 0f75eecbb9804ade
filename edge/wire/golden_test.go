package wire_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
)

var update = flag.Bool("update", false, "write testdata/server.json anew from what the codec appends")

// golden is one entry of a testdata file, which testdata/README.md describes.
type golden struct {
	Name    string          `json:"name"`
	Frame   string          `json:"frame"`
	Decoded json.RawMessage `json:"decoded,omitempty"`
	Error   string          `json:"error,omitempty"`
}

func readGolden(tb testing.TB, file string) []golden {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	require.NoError(tb, err)
	var entries []golden
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	require.NoError(tb, d.Decode(&entries))
	names := map[string]bool{}
	for _, e := range entries {
		require.NotEmpty(tb, e.Name)
		require.False(tb, names[e.Name], "%s: %q comes twice", file, e.Name)
		names[e.Name] = true
	}
	return entries
}

func TestGolden_ClientFramesDecode(t *testing.T) {
	seen := map[wire.Op]bool{}
	for _, g := range readGolden(t, "client.json") {
		t.Run(g.Name, func(t *testing.T) {
			got, err := wire.DecodeClient([]byte(g.Frame))
			require.NoError(t, err)
			seen[got.Op] = true
			var want wire.ClientFrame
			require.NoError(t, json.Unmarshal(g.Decoded, &want))
			assert.Equal(t, want, got)
			text, err := json.Marshal(got)
			require.NoError(t, err)
			assert.JSONEq(t, string(g.Decoded), string(text), "decoded is the frame in its plain form")
		})
	}
	for _, op := range clientOps {
		assert.True(t, seen[op], "no golden frame for %q", op)
	}
}

func TestGolden_RefusedClientFrames(t *testing.T) {
	for _, g := range readGolden(t, "client_refused.json") {
		t.Run(g.Name, func(t *testing.T) {
			_, err := wire.DecodeClient([]byte(g.Frame))
			var frame *wire.FrameError
			require.ErrorAs(t, err, &frame)
			assert.Contains(t, frame.Reason, g.Error)
		})
	}
}

func TestGolden_ServerFramesAreWhatTheCodecAppends(t *testing.T) {
	if *update {
		writeServerGolden(t)
	}
	entries := readGolden(t, "server.json")
	cases := serverFrames()
	require.Len(t, entries, len(cases), "go test ./edge/wire -run Golden -update")
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := entries[i]
			require.Equal(t, c.name, g.Name)
			assert.Equal(t, g.Frame, string(c.frame))
			assert.JSONEq(t, string(g.Decoded), g.Frame)
		})
	}
}

func writeServerGolden(t *testing.T) {
	t.Helper()
	var entries []golden
	for _, c := range serverFrames() {
		entries = append(entries, golden{Name: c.name, Frame: string(c.frame), Decoded: c.frame})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	require.NoError(t, e.Encode(entries))
	require.NoError(t, os.WriteFile(filepath.Join("testdata", "server.json"), b.Bytes(), 0o644))
}
