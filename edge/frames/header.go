package frames

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// Bits of the two bytes every frame begins with (RFC 6455, section 5.2).
const (
	finBit     = 0x80
	rsvBits    = 0x70
	rsv1Bit    = 0x40 // a compressed message (RFC 7692, section 6)
	opCodeBits = 0x0f
	maskBit    = 0x80
	lengthBits = 0x7f

	length16 = 126 // the length is in the next 2 bytes
	length64 = 127 // the length is in the next 8 bytes
	maskSize = 4
)

// header is a checked frame header.
type header struct {
	op       ws.OpCode
	fin      bool
	deflated bool
	mask     [maskSize]byte
	length   int
}

// parseHeader reads the header at the start of b. It returns the header's size,
// or 0 when b ends before the header does. Every rule is checked as soon as the
// bytes it is about are there and always in the same order, so a violation is
// reported alike however the bytes were split. started says that a data
// message has begun and not ended, space how many more payload bytes a data
// message may have, and deflate that messages may be compressed.
func parseHeader(b []byte, started bool, space int, deflate bool) (header, int, error) {
	if len(b) == 0 {
		return header{}, 0, nil
	}
	h := header{op: ws.OpCode(b[0] & opCodeBits), fin: b[0]&finBit != 0, deflated: b[0]&rsv1Bit != 0}
	switch {
	case b[0]&rsvBits&^rsv1Bit != 0,
		h.deflated && !(deflate && (h.op == ws.OpText || h.op == ws.OpBinary)): // control frames and later fragments never are
		return header{}, 0, errReservedBits
	case h.op.IsReserved():
		return header{}, 0, errReservedOpCode
	case h.op.IsControl() && !h.fin:
		return header{}, 0, errFragmentControl
	case h.op == ws.OpContinuation && !started:
		return header{}, 0, errNothingStarted
	case h.op.IsData() && h.op != ws.OpContinuation && started:
		return header{}, 0, errNotContinued
	case h.op == ws.OpBinary:
		return header{}, 0, errBinary
	case len(b) < 2:
		return header{}, 0, nil
	case b[1]&maskBit == 0:
		return header{}, 0, errUnmasked
	case h.op.IsControl() && b[1]&lengthBits > ws.MaxControlFramePayloadSize:
		return header{}, 0, errLongControl
	}

	length, size := uint64(b[1]&lengthBits), 2
	switch length {
	case length16:
		if len(b) < size+2 {
			return header{}, 0, nil
		}
		length = uint64(binary.BigEndian.Uint16(b[size:]))
		if length < length16 {
			return header{}, 0, errLongLength
		}
		size += 2
	case length64:
		if len(b) < size+8 {
			return header{}, 0, nil
		}
		length = binary.BigEndian.Uint64(b[size:])
		if length>>63 != 0 {
			return header{}, 0, errNegativeLength
		}
		if length>>16 == 0 {
			return header{}, 0, errLongLength
		}
		size += 8
	}
	if h.op.IsData() && length > uint64(space) { //nolint:gosec // space is never negative
		return header{}, 0, errTooBig
	}
	if len(b) < size+maskSize {
		return header{}, 0, nil
	}
	h.length = int(length)
	copy(h.mask[:], b[size:])
	return h, size + maskSize, nil
}
