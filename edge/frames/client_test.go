package frames_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/assert"

	"github.com/tidingsmesh/tidings/edge/frames"
)

// limit is the message limit of the tests.
const limit = 1 << 17

// got is what a Reader made of a stream: its frames with copied payloads and
// the code of the error that ended it, or zero.
type got struct {
	Frames []string
	Code   ws.StatusCode
}

// read feeds the pieces one after the other to a Reader without compression.
func read(t *testing.T, limit int, pieces ...[]byte) got {
	t.Helper()
	return readBy(t, frames.NewReader(limit, false), pieces...)
}

// readBy feeds the pieces to r.
func readBy(t *testing.T, r frames.Reader, pieces ...[]byte) got {
	t.Helper()
	var out got
	for _, piece := range pieces {
		err := r.Feed(bytes.Clone(piece), func(f frames.Frame) error {
			out.Frames = append(out.Frames, show(f.Op, f.Code, f.Payload))
			return nil
		})
		if err != nil {
			var violation *frames.ProtocolError
			if !errors.As(err, &violation) {
				t.Fatalf("not a protocol error: %v", err)
			}
			out.Code = violation.Code
			return out
		}
	}
	return out
}

func show(op ws.OpCode, code ws.StatusCode, payload []byte) string {
	if len(payload) > 64 {
		return fmt.Sprintf("%d %d %d bytes %x", op, code, len(payload), payload[len(payload)-8:])
	}
	return fmt.Sprintf("%d %d %q", op, code, payload)
}

// assertRead checks a stream whole, byte by byte, and cut at random places.
func assertRead(t *testing.T, want got, limit int, stream []byte) {
	t.Helper()
	assertReadBy(t, want, frames.NewReader(limit, false), stream)
}

// assertReadBy is assertRead with copies of r, which is new.
func assertReadBy(t *testing.T, want got, r frames.Reader, stream []byte) {
	t.Helper()
	assert.Equal(t, want, readBy(t, r, stream), "whole")
	assert.Equal(t, want, readBy(t, r, cut(stream, func(int) int { return 1 })...), "in single bytes")
	rnd := rand.New(rand.NewPCG(1, uint64(len(stream))))
	for range 20 {
		pieces := cut(stream, func(left int) int { return 1 + rnd.IntN(left) })
		assert.Equal(t, want, readBy(t, r, pieces...), "in pieces %d", len(pieces))
	}
}

// cut splits b into pieces whose sizes size chooses.
func cut(b []byte, size func(left int) int) [][]byte {
	var pieces [][]byte
	for len(b) > 0 {
		n := size(len(b))
		pieces = append(pieces, b[:n])
		b = b[n:]
	}
	return pieces
}

// mask is the masking key of every client frame in the tests.
var mask = [4]byte{0xa1, 0x02, 0xfe, 0x80}

// client builds a frame as a client sends it. Its first byte is fin, reserved
// bits and opcode as in first; the length is in its shortest form.
func client(first byte, payload string) []byte {
	n := len(payload)
	switch {
	case n < 126:
		return sized(first, []byte{0x80 | byte(n)}, payload)
	case n < 1<<16:
		return sized(first, []byte{0x80 | 126, byte(n >> 8), byte(n)}, payload)
	default:
		return sized(first, []byte{0x80 | 127, 0, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, payload)
	}
}

// sized builds a masked frame with the length bytes as given.
func sized(first byte, length []byte, payload string) []byte {
	b := append([]byte{first}, length...)
	b = append(b, mask[:]...)
	body := []byte(payload)
	ws.Cipher(body, mask, 0)
	return append(b, body...)
}

func join(streams ...[]byte) []byte { return bytes.Join(streams, nil) }
