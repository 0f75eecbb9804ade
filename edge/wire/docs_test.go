package wire_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/continuity"
)

func readProtocol(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "protocol.md"))
	require.NoError(t, err)
	return string(text)
}

// section is the text under a heading, through the next heading of the same or a higher level.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n"+heading+"\n")
	require.True(t, found, "docs/protocol.md has no %q", heading)
	level := len(heading) - len(strings.TrimLeft(heading, "#"))
	next := regexp.MustCompile(`(?m)^#{1,` + strconv.Itoa(level) + `} `).FindStringIndex(rest)
	if next == nil {
		return rest
	}
	return rest[:next[0]]
}

// rows are the cells of the tables in text, without their heads.
func rows(text string) [][]string {
	var all [][]string
	inTable := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case strings.HasPrefix(line, "|--"):
			inTable = true
		case inTable:
			cells := strings.Split(strings.Trim(line, "|"), " | ")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			all = append(all, cells)
		}
	}
	return all
}

func TestDocs_CloseCodesAreThoseOfTheCodec(t *testing.T) {
	var want [][]string
	for _, c := range wire.Codes() {
		reconnect := "no"
		if c.Reconnect {
			reconnect = "yes"
		}
		want = append(want, []string{strconv.Itoa(int(c.Code)), c.Name, reconnect, c.Client})
	}
	assert.Equal(t, want, rows(section(t, readProtocol(t), "## Close codes")))
}

func TestDocs_NameEveryReasonAndDenial(t *testing.T) {
	text := readProtocol(t)
	var reasons, codes []string
	for _, row := range rows(section(t, text, "## Not recovered")) {
		reasons = append(reasons, strings.Trim(row[0], "`"))
	}
	for _, row := range rows(section(t, text, "#### denied")) {
		codes = append(codes, strings.Trim(row[0], "`"))
		assert.Equal(t, strings.Trim(row[0], "`") == wire.DeniedRate, row[1] == "true", "retryable of %s", row[0])
	}
	var want []string
	for _, r := range continuity.Reasons() {
		want = append(want, string(r))
	}
	assert.Equal(t, want, reasons)
	assert.Equal(t, denials, codes)
}

func TestDocs_EveryFrameHasASectionWithAnExample(t *testing.T) {
	text := readProtocol(t)
	for _, op := range clientOps {
		heading := "#### " + string(op)
		if op == wire.OpJoin || op == wire.OpLeave {
			heading = "#### join and leave"
		}
		assert.Contains(t, section(t, text, heading), `{"op":"`+string(op)+`"`)
	}
	for _, op := range serverOps {
		assert.Contains(t, section(t, text, "#### "+string(op)), `{"op":"`+string(op)+`"`)
	}
}

func TestDocs_ExamplesAreFrames(t *testing.T) {
	text := readProtocol(t)
	blocks := regexp.MustCompile("(?s)```(json|session)\n(.*?)```").FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		for line := range strings.Lines(block[2]) {
			line = strings.TrimSpace(line)
			sent, fromClient := strings.CutPrefix(line, "→ ")
			got, fromEdge := strings.CutPrefix(line, "← ")
			switch {
			case fromClient:
				checkClientExample(t, sent)
			case fromEdge:
				checkServerExample(t, got)
			case isClientExample(t, line):
				checkClientExample(t, line)
			default:
				checkServerExample(t, line)
			}
		}
	}
}

func isClientExample(t *testing.T, text string) bool {
	t.Helper()
	var f struct{ Op wire.Op }
	require.NoError(t, json.Unmarshal([]byte(text), &f), "%s", text)
	return slices.Contains(clientOps, f.Op)
}

func checkClientExample(t *testing.T, text string) {
	t.Helper()
	_, err := wire.DecodeClient([]byte(text))
	require.NoError(t, err, text)
}

// checkServerExample holds an example to the members of a real frame of that kind.
func checkServerExample(t *testing.T, text string) {
	t.Helper()
	var example map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(text), &example), text)
	for _, g := range readGolden(t, "server.json") {
		var real map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(g.Decoded, &real))
		if bytes.Equal(real["op"], example["op"]) && sameMembers(real, example) {
			return
		}
	}
	assert.Fail(t, "no frame has these members", text)
}

func sameMembers(a, b map[string]json.RawMessage) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if _, found := b[name]; !found {
			return false
		}
	}
	return true
}

func TestCodes_AreDistinctAndDescribed(t *testing.T) {
	last := wire.Code(4399)
	for _, c := range wire.Codes() {
		assert.Greater(t, c.Code, last, "in order, in the application's range")
		last = c.Code
		assert.NotEmpty(t, c.Name)
		assert.NotEmpty(t, c.Client)
		assert.Equal(t, c.Name, c.Code.String())
		got, ok := c.Code.Info()
		assert.True(t, ok)
		assert.Equal(t, c, got)
	}
	assert.Less(t, last, wire.Code(5000))
	_, ok := wire.Code(1000).Info()
	assert.False(t, ok)
	assert.Equal(t, "1000", wire.Code(1000).String())
}
