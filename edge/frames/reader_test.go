package frames_test

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/frames"
)

// First bytes of frames.
const (
	fin          = 0x80
	rsv1         = 0x40
	continuation = 0x0
	text         = 0x1
	binaryData   = 0x2
	closing      = 0x8
	ping         = 0x9
	pong         = 0xa
)

func TestReader_ReadsMessagesOfEveryLengthForm(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 15, 16, 17, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537} {
		payload := strings.Repeat("x", max(n-1, 0)) + strings.Repeat("y", min(n, 1))
		stream := join(client(fin|text, payload), client(fin|ping, "next"))
		assertRead(t, got{Frames: []string{
			show(ws.OpText, 0, []byte(payload)), `9 0 "next"`,
		}}, limit, stream)
	}
}

func TestReader_FollowsRFC6455(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("z", 125)
	tests := []struct {
		name   string
		stream []byte
		want   got
	}{
		{"the masked example of section 5.7", []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), got{[]string{`1 0 "Hello"`}, 0}},
		{"many frames at once", join(client(fin|text, "a"), client(fin|text, "b"), client(fin|pong, ""), client(fin|text, "")), got{[]string{`1 0 "a"`, `1 0 "b"`, `10 0 ""`, `1 0 ""`}, 0}},
		{"fragments", join(client(text, "a"), client(continuation, "b"), client(fin|continuation, "c")), got{[]string{`1 0 "abc"`}, 0}},
		{"empty fragments", join(client(text, ""), client(continuation, ""), client(fin|continuation, "")), got{[]string{`1 0 ""`}, 0}},
		{"control frames between fragments", join(client(text, "a"), client(fin|ping, long), client(fin|pong, "q"), client(fin|continuation, "b"), client(fin|text, "c")), got{[]string{show(ws.OpPing, 0, []byte(long)), `10 0 "q"`, `1 0 "ab"`, `1 0 "c"`}, 0}},
		{"close between fragments", join(client(text, "a"), client(fin|closing, "\x03\xe8bye"), client(fin|continuation, "b")), got{[]string{`8 1000 "bye"`}, 0}},
		{"nothing counts after a close", join(client(fin|closing, ""), []byte("\xff\xff\xff\xff")), got{[]string{`8 1005 ""`}, 0}},

		{"continuation without a start", client(fin|continuation, "a"), got{nil, 1002}},
		{"continuation after a whole message", join(client(fin|text, "a"), client(fin|continuation, "b")), got{[]string{`1 0 "a"`}, 1002}},
		{"text inside a fragmented message", join(client(text, "a"), client(fin|text, "b")), got{nil, 1002}},
		{"binary inside a fragmented message", join(client(text, "a"), client(fin|binaryData, "b")), got{nil, 1002}},
		{"binary", client(fin|binaryData, "a"), got{nil, 1003}},
		{"binary fragment", client(binaryData, "a"), got{nil, 1003}},
		{"unmasked", []byte("\x81\x05Hello"), got{nil, 1002}},
		{"unmasked control", []byte("\x89\x00"), got{nil, 1002}},
		{"fragmented ping", client(ping, "a"), got{nil, 1002}},
		{"fragmented close", client(closing, ""), got{nil, 1002}},
		{"ping of 125", client(fin|ping, long), got{[]string{show(ws.OpPing, 0, []byte(long))}, 0}},
		{"ping of 126", client(fin|ping, long+"z"), got{nil, 1002}},
		{"pong of 126", client(fin|pong, long+"z"), got{nil, 1002}},
		{"close of 126", client(fin|closing, "\x03\xe8"+long[1:]), got{nil, 1002}},
		{"ping with a 64-bit length", sized(fin|ping, []byte{0xff, 0, 0, 0, 0, 0, 0, 0, 1}, "a"), got{nil, 1002}},

		{"125 in 16 bits", sized(fin|text, []byte{0xfe, 0, 125}, long), got{nil, 1002}},
		{"0 in 16 bits", sized(fin|text, []byte{0xfe, 0, 0}, ""), got{nil, 1002}},
		{"125 in 64 bits", sized(fin|text, []byte{0xff, 0, 0, 0, 0, 0, 0, 0, 125}, long), got{nil, 1002}},
		{"65535 in 64 bits", sized(fin|text, []byte{0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, strings.Repeat("a", 65535)), got{nil, 1002}},
		{"top bit of a 64-bit length", sized(fin|text, []byte{0xff, 0x80, 0, 0, 0, 0, 1, 0, 0}, ""), got{nil, 1002}},
		{"largest 64-bit length", sized(fin|text, []byte{0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, ""), got{nil, 1009}},
	}
	for _, rsv := range []byte{0x40, 0x20, 0x10, 0x70} {
		tests = append(tests, struct {
			name   string
			stream []byte
			want   got
		}{"reserved bits", client(fin|rsv|text, "a"), got{nil, 1002}})
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		tests = append(tests, struct {
			name   string
			stream []byte
			want   got
		}{"reserved opcode", client(fin|op, "a"), got{nil, 1002}})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assertRead(t, test.want, limit, test.stream)
		})
	}
}

func TestReader_ChecksClosePayloads(t *testing.T) {
	t.Parallel()
	assertRead(t, got{[]string{`8 1005 ""`}, 0}, limit, client(fin|closing, ""))
	assertRead(t, got{nil, 1002}, limit, client(fin|closing, "\x03"))
	assertRead(t, got{nil, 1007}, limit, client(fin|closing, "\x03\xe8\xff"))
	assertRead(t, got{nil, 1007}, limit, client(fin|closing, "\x03\xe8\xe2\x82"))
	valid := func(code int) bool {
		return 1000 <= code && code <= 1003 || 1007 <= code && code <= 1014 || 3000 <= code && code <= 4999
	}
	for code := range 1 << 16 {
		payload := string([]byte{byte(code >> 8), byte(code)})
		want := got{nil, 1002}
		if valid(code) {
			want = got{[]string{show(ws.OpClose, ws.StatusCode(code), nil)}, 0}
		}
		require.Equal(t, want, read(t, limit, client(fin|closing, payload)), "code %d", code)
	}
}

// TestReader_ValidatesUTF8OfWholeMessages cuts each text into two and three
// fragments at every byte.
func TestReader_ValidatesUTF8OfWholeMessages(t *testing.T) {
	t.Parallel()
	tests := []struct {
		payload string
		valid   bool
	}{
		{"κόσμε", true},
		{"\x00", true},
		{"\u007f\u0080\u07ff\u0800\uffff\U00010000\U0010ffff", true},
		{"\ufeffa\ufffd\ufffe", true},
		{"🌍🌍", true},
		{"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", false}, // Autobahn 6.3.1: a surrogate
		{"\xed\xbf\xbf", false},
		{"a\x80", false},
		{"\xc0\x80", false},         // overlong
		{"\xe0\x80\xaf", false},     // overlong
		{"\xf0\x80\x80\xaf", false}, // overlong
		{"\xf4\x90\x80\x80", false}, // above U+10FFFF
		{"\xf5\x80\x80\x80", false},
		{"\xfe", false},
		{"a\xe2\x82", false}, // ends inside a character
		{"\xf0\x9f\x8c", false},
	}
	for _, test := range tests {
		want := got{Code: ws.StatusInvalidFramePayloadData}
		if test.valid {
			want = got{Frames: []string{show(ws.OpText, 0, []byte(test.payload))}}
		}
		assertRead(t, want, limit, client(fin|text, test.payload))
		for i := range len(test.payload) + 1 {
			head, tail := test.payload[:i], test.payload[i:]
			assertRead(t, want, limit, join(client(text, head), client(fin|continuation, tail)))
			for j := range len(tail) + 1 {
				stream := join(client(text, head), client(continuation, tail[:j]), client(fin|continuation, tail[j:]))
				require.Equal(t, want, read(t, limit, stream))
			}
		}
	}
}

func TestReader_LimitsMessagesOverAllFragments(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 125, 126, 1000, 65535, 65536} {
		for _, n := range []int{limit - 1, limit, limit + 1} {
			payload := strings.Repeat("a", n)
			whole, fragmented := got{Code: ws.StatusMessageTooBig}, got{[]string{`9 0 ""`}, ws.StatusMessageTooBig}
			if n <= limit {
				message := show(ws.OpText, 0, []byte(payload))
				whole, fragmented = got{[]string{message}, 0}, got{[]string{`9 0 ""`, message}, 0}
			}
			assertRead(t, whole, limit, client(fin|text, payload))
			half := n / 2
			assertRead(t, fragmented, limit, join(client(text, payload[:half]), client(fin|ping, ""), client(fin|continuation, payload[half:])))
		}
	}
}

func TestReader_RefusesATooBigMessageAtItsHeader(t *testing.T) {
	t.Parallel()
	r := frames.NewReader(100, false)
	header := client(fin|text, strings.Repeat("a", 101))[:2]
	var violation *frames.ProtocolError
	require.ErrorAs(t, r.Feed(header, nil), &violation)
	assert.Equal(t, ws.StatusMessageTooBig, violation.Code)

	r = frames.NewReader(100, false)
	first := client(text, strings.Repeat("a", 60))
	header = client(fin|continuation, strings.Repeat("a", 41))[:2]
	require.NoError(t, r.Feed(first, nil))
	require.ErrorAs(t, r.Feed(header, nil), &violation)
	assert.Equal(t, ws.StatusMessageTooBig, violation.Code)
}

func TestReader_ControlFramesDoNotCountAgainstTheLimit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("p", 125)
	assertRead(t, got{Frames: []string{show(ws.OpPing, 0, []byte(long)), `1 0 "ab"`}}, 2,
		join(client(text, "a"), client(fin|ping, long), client(fin|continuation, "b")))
}

func TestReader_ReturnsTheErrorOfTheCallbackAndStops(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	r := frames.NewReader(limit, false)
	calls := 0
	handle := func(frames.Frame) error { calls++; return enough }
	stream := join(client(fin|text, "a"), client(fin|text, "b"))
	require.ErrorIs(t, r.Feed(stream, handle), enough)
	require.NoError(t, r.Feed(client(fin|text, "c"), handle))
	assert.Equal(t, 1, calls)
}

func TestReader_IsSmallAndAllocatesNothingForWholeFrames(t *testing.T) {
	assert.LessOrEqual(t, unsafe.Sizeof(frames.Reader{}), uintptr(24))

	r := frames.NewReader(limit, false)
	stream := join(client(fin|text, strings.Repeat("a", 300)), client(fin|ping, "p"))
	count := 0
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		b := stream
		_ = r.Feed(b, func(frames.Frame) error { count++; return nil })
		ws.Cipher(b[8:308], mask, 0) // masked again for the next run
		ws.Cipher(b[314:315], mask, 0)
	}))
	assert.Equal(t, 202, count)
}
