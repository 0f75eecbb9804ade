package frames

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// maxCloseReason is what a close frame has for its reason after the code.
const maxCloseReason = ws.MaxControlFramePayloadSize - 2

// TextHeaderSize is the size of the header of a server's text frame with n
// payload bytes: 2, 4 or 10.
func TextHeaderSize(n int) int {
	switch {
	case n < length16:
		return 2
	case n <= math.MaxUint16:
		return 4
	default:
		return 10
	}
}

// serverHeaderSize is the size of the header of a frame without a mask.
func serverHeaderSize(frame []byte) int {
	switch frame[1] {
	case length16:
		return 4
	case length64:
		return 10
	default:
		return 2
	}
}

// Cut cuts the first frame off frames that were built by this package and not compressed.
func Cut(b []byte) (op ws.OpCode, payload, rest []byte) {
	size, length := serverHeaderSize(b), int(b[1])
	switch size {
	case 4:
		length = int(binary.BigEndian.Uint16(b[2:]))
	case 10:
		length = int(binary.BigEndian.Uint64(b[2:])) //nolint:gosec // it was built from an int
	}
	return ws.OpCode(b[0] & opCodeBits), b[size : size+length], b[size+length:]
}

// AppendTextHeader appends the header of an unfragmented text frame whose n
// payload bytes the caller appends next.
func AppendTextHeader(dst []byte, n int) []byte {
	return appendHeader(dst, ws.OpText, n)
}

// AppendText appends payload, which must be UTF-8, as an unfragmented text frame.
func AppendText(dst, payload []byte) []byte {
	return append(AppendTextHeader(dst, len(payload)), payload...)
}

// AppendPong appends the answer to a ping with that payload. A payload of more
// than 125 bytes, which no ping has, is cut.
func AppendPong(dst, payload []byte) []byte {
	payload = payload[:min(len(payload), ws.MaxControlFramePayloadSize)]
	return append(appendHeader(dst, ws.OpPong, len(payload)), payload...)
}

// AppendClose appends a close frame. The reason is made valid UTF-8 and cut at
// 123 bytes without splitting a character. With ws.StatusNoStatusRcvd the frame
// has neither code nor reason.
func AppendClose(dst []byte, code ws.StatusCode, reason string) []byte {
	if code == ws.StatusNoStatusRcvd {
		return appendHeader(dst, ws.OpClose, 0)
	}
	if !utf8.ValidString(reason) {
		reason = strings.ToValidUTF8(reason, string(utf8.RuneError))
	}
	if len(reason) > maxCloseReason {
		end := maxCloseReason
		for !utf8.RuneStart(reason[end]) {
			end--
		}
		reason = reason[:end]
	}
	dst = appendHeader(dst, ws.OpClose, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

func appendHeader(dst []byte, op ws.OpCode, n int) []byte {
	dst = append(dst, finBit|byte(op))
	switch TextHeaderSize(n) {
	case 2:
		return append(dst, byte(n)) //nolint:gosec // checked by TextHeaderSize
	case 4:
		return binary.BigEndian.AppendUint16(append(dst, length16), uint16(n)) //nolint:gosec // checked by TextHeaderSize
	default:
		return binary.BigEndian.AppendUint64(append(dst, length64), uint64(n)) //nolint:gosec // a length is never negative
	}
}
