package rounds_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/rounds"
)

func TestPage_ReplacesWhatIsBetweenTheMarkers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(path, []byte("by hand\n<!-- it: begin -->\nold\n<!-- it: end -->\nalso by hand\n"), 0o600))
	for range 2 { // the second time over the first
		p, err := rounds.OpenPage(path, "it")
		require.NoError(t, err)
		require.NoError(t, p.Replace("new\n"))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "by hand\n<!-- it: begin -->\n\nnew\n\n<!-- it: end -->\nalso by hand\n", string(text))
}

func TestOpenPage_NeedsTheMarkers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(path, []byte("<!-- other: begin --><!-- other: end -->"), 0o600))
	_, err := rounds.OpenPage(path, "it")
	assert.ErrorContains(t, err, "<!-- it: begin -->")
	_, err = rounds.OpenPage(path+".none", "it")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestDisplay_TellsWhatGoesOnAndWhatIsLeft(t *testing.T) {
	var out bytes.Buffer
	d := rounds.NewDisplay(&out)
	d.Expect([]string{"wide", "kill"}, 2)
	d.Begin("round 1 of 2", "Tidings", "wide")
	d.Say("only a terminal shows this")
	d.End(errors.New("it broke"))
	assert.Equal(t, "round 1 of 2 · about 1m0s left · Tidings · wide: it broke in 0s\n", out.String())
}
