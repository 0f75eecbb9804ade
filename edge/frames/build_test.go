package frames_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/frames"
)

// parse reads one server frame with gobwas and checks that nothing follows it.
func parse(t *testing.T, b []byte) (ws.Header, []byte) {
	t.Helper()
	r := bytes.NewReader(b)
	h, err := ws.ReadHeader(r)
	require.NoError(t, err)
	require.NoError(t, ws.CheckHeader(h, ws.StateClientSide))
	require.True(t, h.Fin)
	require.EqualValues(t, h.Length, r.Len())
	return h, b[len(b)-r.Len():]
}

func TestAppendText_UsesTheShortestLengthForm(t *testing.T) {
	t.Parallel()
	for n, size := range map[int]int{0: 2, 1: 2, 125: 2, 126: 4, 127: 4, 65535: 4, 65536: 10, 70000: 10} {
		payload := []byte(strings.Repeat("é", n)[:n])
		frame := frames.AppendText([]byte("before"), payload)
		require.Equal(t, "before", string(frame[:6]))
		h, body := parse(t, frame[6:])
		assert.Equal(t, ws.OpText, h.OpCode)
		assert.Equal(t, payload, body)
		assert.Equal(t, size, frames.TextHeaderSize(n))
		assert.Equal(t, ws.HeaderSize(h), frames.TextHeaderSize(n))
		assert.Equal(t, frame[6:6+size], frames.AppendTextHeader(nil, n))
	}
}

func TestAppendPong_EchoesThePing(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 125, 126} {
		payload := bytes.Repeat([]byte{0xff}, n)
		h, body := parse(t, frames.AppendPong(nil, payload))
		assert.Equal(t, ws.OpPong, h.OpCode)
		assert.Equal(t, payload[:min(n, 125)], body)
	}
}

func TestAppendClose_CutsTheReasonBetweenCharacters(t *testing.T) {
	t.Parallel()
	tests := []struct{ reason, want string }{
		{"", ""},
		{"going away", "going away"},
		{strings.Repeat("a", 122), strings.Repeat("a", 122)},
		{strings.Repeat("a", 123), strings.Repeat("a", 123)},
		{strings.Repeat("a", 124), strings.Repeat("a", 123)},
		{strings.Repeat("a", 122) + "é", strings.Repeat("a", 122)},
		{strings.Repeat("a", 121) + "é!", strings.Repeat("a", 121) + "é"},
		{strings.Repeat("a", 120) + "🌍", strings.Repeat("a", 120)},
		{strings.Repeat("€", 50), strings.Repeat("€", 41)},
		{"a\xffb", "a\ufffdb"},
	}
	for _, test := range tests {
		h, body := parse(t, frames.AppendClose(nil, 4429, test.reason))
		code, reason := ws.ParseCloseFrameData(body)
		assert.Equal(t, ws.OpClose, h.OpCode)
		assert.Equal(t, ws.StatusCode(4429), code)
		assert.Equal(t, test.want, reason)
		assert.True(t, utf8.ValidString(reason))
	}
	_, body := parse(t, frames.AppendClose(nil, ws.StatusNoStatusRcvd, "ignored"))
	assert.Empty(t, body)
}

func TestCut_TakesFramesApartAsTheyWereBuilt(t *testing.T) {
	var all []byte
	sizes := []int{0, 1, 125, 126, 127, 65535, 65536, 70000}
	for _, n := range sizes {
		all = frames.AppendText(all, bytes.Repeat([]byte{'x'}, n))
	}
	all = frames.AppendClose(all, 4503, "draining")
	for _, n := range sizes {
		var op ws.OpCode
		var payload []byte
		op, payload, all = frames.Cut(all)
		assert.Equal(t, ws.OpText, op)
		assert.Equal(t, strings.Repeat("x", n), string(payload))
	}
	op, payload, rest := frames.Cut(all)
	assert.Equal(t, ws.OpClose, op)
	assert.Equal(t, "draining", string(payload[2:]))
	assert.Empty(t, rest)
}
