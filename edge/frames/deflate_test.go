package frames_test

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/frames"
)

// packed is the payload of a compressed message, by the standard library.
func packed(t testing.TB, message string) string {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.DefaultCompression)
	require.NoError(t, err)
	_, err = io.WriteString(w, message)
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	return strings.TrimSuffix(out.String(), "\x00\x00\xff\xff")
}

func TestAppendDeflated_IsReadByOthersAndNeverLonger(t *testing.T) {
	t.Parallel()
	event := `{"op":"event","room":"campaign:42","event":{"id":"evt-7","data":{"id":"42","name":"Northport"}}},`
	noise := make([]byte, 100_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise) // never fails
	for _, n := range []int{0, 1, 2, 20, 100, 125, 126, 127, 500, 4000, 65535, 65536, 90_000} {
		for name, payload := range map[string][]byte{
			"repeated": []byte(strings.Repeat(event, n/len(event)+1)[:n]),
			"noise":    noise[:n],
		} {
			plain := frames.AppendText(nil, payload)
			got := frames.AppendDeflated([]byte("before"), plain)
			require.Equal(t, "before", string(got[:6]))
			got = got[6:]
			f, err := ws.ReadFrame(bytes.NewReader(got)) //nolint:staticcheck // the server under test is no attacker
			require.NoError(t, err)
			require.EqualValues(t, len(got), f.Header.Length+int64(ws.HeaderSize(f.Header)), "nothing follows")
			compressed, err := wsflate.IsCompressed(f.Header)
			require.NoError(t, err)
			if !compressed {
				assert.Equal(t, plain, got, "%d of %s", n, name)
				assert.True(t, n < 500 || name == "noise", "%d bytes were not compressed", n)
				continue
			}
			assert.Less(t, len(got), len(plain))
			assert.Equal(t, ws.OpText, f.Header.OpCode)
			header := f.Header
			f, err = wsflate.DecompressFrame(f)
			require.NoError(t, err)
			assert.Equal(t, payload, f.Payload)
			body := string(got[ws.HeaderSize(header):])
			want := show(ws.OpText, 0, payload)
			assert.Equal(t, []string{want}, readBy(t, frames.NewReader(n, true), client(fin|rsv1|text, body)).Frames)
		}
	}
}

// TestReader_ReadsTheExamplesOfRFC7692 has those of section 7.2.3.
func TestReader_ReadsTheExamplesOfRFC7692(t *testing.T) {
	t.Parallel()
	r := frames.NewReader(limit, true)
	hello := got{Frames: []string{`1 0 "Hello"`}}
	first := "\xf2\x48\xcd\xc9\xc9\x07\x00"
	assertReadBy(t, hello, r, client(fin|rsv1|text, first))
	assertReadBy(t, hello, r, join(client(rsv1|text, first[:3]), client(fin|continuation, first[3:])))
	assertReadBy(t, hello, r, client(fin|rsv1|text, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"))                               // no compression
	assertReadBy(t, hello, r, client(fin|rsv1|text, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"))                                           // a last block
	assertReadBy(t, hello, r, client(fin|rsv1|text, "\xf3\x48\xcd\xc9\xc9\x07\x00"))                                               // the same, and sloppy
	assertReadBy(t, hello, r, client(fin|rsv1|text, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"))                       // two blocks
	assertReadBy(t, got{hello.Frames, 1007}, r, join(client(fin|rsv1|text, first), client(fin|rsv1|text, "\xf2\x00\x11\x00\x00"))) // the window of the message before
}

func TestReader_CompressedMessages(t *testing.T) {
	t.Parallel()
	message := `{"op":"join","rooms":["campaign:42","campaign:43","campaign:44"]}`
	body := packed(t, message)
	for name, c := range map[string]struct {
		stream []byte
		want   got
	}{
		"beside plain ones":            {join(client(fin|text, "a"), client(fin|rsv1|text, body), client(fin|text, "b"), client(text, "c"), client(fin|continuation, "d")), got{[]string{`1 0 "a"`, show(ws.OpText, 0, []byte(message)), `1 0 "b"`, `1 0 "cd"`}, 0}},
		"fragments, a ping between":    {join(client(rsv1|text, body[:9]), client(fin|ping, "p"), client(continuation, ""), client(fin|continuation, body[9:])), got{[]string{`9 0 "p"`, show(ws.OpText, 0, []byte(message))}, 0}},
		"empty":                        {client(fin|rsv1|text, packed(t, "")), got{[]string{`1 0 ""`}, 0}},
		"without any block":            {client(fin|rsv1|text, ""), got{nil, 1007}},
		"not UTF-8":                    {client(fin|rsv1|text, packed(t, "a\xff")), got{nil, 1007}},
		"ends inside a character":      {client(fin|rsv1|text, packed(t, "a\xe2\x82")), got{nil, 1007}},
		"compressed but not marked":    {client(fin|text, "\xf2\x48\xcd\xc9\xc9\x07\x00"), got{nil, 1007}},
		"marked but not compressed":    {client(fin|rsv1|text, message), got{nil, 1007}},
		"cut short":                    {client(fin|rsv1|text, body[:len(body)-8]), got{nil, 1007}},
		"a reserved block type":        {client(fin|rsv1|text, "\x06\x00"), got{nil, 1007}},
		"bytes after a last block":     {client(fin|rsv1|text, "\xf3\x48\xcd\xc9\xc9\x07\x00\x01"), got{nil, 1007}},
		"a block after a last block":   {client(fin|rsv1|text, "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00"), got{nil, 1007}},
		"binary":                       {client(fin|rsv1|binaryData, body), got{nil, 1003}},
		"a compressed ping":            {client(fin|rsv1|ping, ""), got{nil, 1002}},
		"a compressed pong":            {client(fin|rsv1|pong, ""), got{nil, 1002}},
		"a compressed close":           {client(fin|rsv1|closing, ""), got{nil, 1002}},
		"a later fragment marked":      {join(client(rsv1|text, body[:9]), client(fin|rsv1|continuation, body[9:])), got{nil, 1002}},
		"only a later fragment marked": {join(client(text, body[:9]), client(fin|rsv1|continuation, body[9:])), got{nil, 1002}},
		"a reserved opcode":            {client(fin|rsv1|3, body), got{nil, 1002}},
		"another reserved bit":         {client(fin|0x20|text, body), got{nil, 1002}},
		"two reserved bits":            {client(fin|rsv1|0x10|text, body), got{nil, 1002}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assertReadBy(t, c.want, frames.NewReader(limit, true), c.stream)
		})
	}
	assertRead(t, got{nil, 1002}, limit, client(fin|rsv1|text, body)) // not negotiated
}

func TestReader_LimitsCompressedMessages(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{100, 511, 512, 513, 1024, 16 << 10} {
		for _, n := range []int{limit - 1, limit, limit + 1, 100 * limit} {
			message := strings.Repeat("a", n)
			want := got{Code: ws.StatusMessageTooBig}
			if n <= limit {
				want = got{Frames: []string{show(ws.OpText, 0, []byte(message))}}
			}
			body := packed(t, message)
			r := frames.NewReader(limit, true)
			assert.Equal(t, want, readBy(t, r, client(fin|rsv1|text, body)), "%d of %d", n, limit)
			assert.Equal(t, want, readBy(t, r, client(rsv1|text, body[:4]), client(fin|continuation, body[4:])), "%d of %d", n, limit)
		}
	}
	stored := strings.Repeat("\x00\x00\x00\xff\xff", 300) // empty blocks: nothing to read in many bytes
	assertReadBy(t, got{Frames: []string{`1 0 ""`}}, frames.NewReader(1500, true), client(fin|rsv1|text, stored[:len(stored)-4]))
	assertReadBy(t, got{Code: ws.StatusMessageTooBig}, frames.NewReader(1000, true), client(fin|rsv1|text, stored))
}

// TestReader_KeepsTheMessagesOfTwoClientsApart reads the second in the callback of the first.
func TestReader_KeepsTheMessagesOfTwoClientsApart(t *testing.T) {
	t.Parallel()
	alice, bob := frames.NewReader(limit, true), frames.NewReader(limit, true)
	a, b := strings.Repeat("alice", 100), strings.Repeat("bob", 100)
	require.NoError(t, alice.Feed(client(fin|rsv1|text, packed(t, a)), func(f frames.Frame) error {
		err := bob.Feed(client(fin|rsv1|text, packed(t, b)), func(f frames.Frame) error {
			assert.Equal(t, b, string(f.Payload))
			return nil
		})
		assert.Equal(t, a, string(f.Payload))
		return err
	}))
}
