package swarm

import (
	"encoding/binary"
	"errors"
)

// WebSocket framing as a client needs it (RFC 6455, section 5). The harness has its own so that it does not
// share the mistakes of what it measures.

type opcode uint8

const (
	opContinuation opcode = 0x0
	opText         opcode = 0x1
	opBinary       opcode = 0x2
	opClose        opcode = 0x8
	opPing         opcode = 0x9
	opPong         opcode = 0xa
)

const (
	finalBit = 0x80
	maskBit  = 0x80
	// messageLimit bounds what a client takes from a server.
	messageLimit = 64 << 20
)

// frame is one that a server sent; its payload lies in the bytes it was cut from.
type frame struct {
	op      opcode
	final   bool
	payload []byte
}

// Errors of cutFrame.
var (
	errMasked   = errors.New("a server's frame is masked")
	errReserved = errors.New("a frame has reserved bits or an unknown opcode")
	errControl  = errors.New("a control frame is fragmented or too long")
	errTooLong  = errors.New("a frame is too long")
)

// cutFrame cuts the first frame off b. size is what it takes of b, 0 when b does not hold the whole frame.
func cutFrame(b []byte) (f frame, size int, err error) {
	if len(b) < 2 {
		return f, 0, nil
	}
	f.op, f.final = opcode(b[0]&0x0f), b[0]&finalBit != 0
	length, head := int(b[1]&^maskBit), 2
	switch {
	case b[1]&maskBit != 0:
		return f, 0, errMasked
	case b[0]&0x70 != 0 || f.op > opPong || f.op > opBinary && f.op < opClose:
		return f, 0, errReserved
	case f.op >= opClose && (!f.final || length > 125):
		return f, 0, errControl
	}
	switch length {
	case 126:
		if head = 4; len(b) < head {
			return f, 0, nil
		}
		length = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if head = 10; len(b) < head {
			return f, 0, nil
		}
		long := binary.BigEndian.Uint64(b[2:])
		if long > messageLimit {
			return f, 0, errTooLong
		}
		length = int(long)
	}
	if len(b) < head+length {
		return f, 0, nil
	}
	f.payload = b[head : head+length]
	return f, head + length, nil
}

// appendFrame appends a frame of a client with a mask.
func appendFrame(dst []byte, op opcode, payload []byte, mask uint32) []byte {
	dst = append(dst, finalBit|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, maskBit|byte(n))
	case n < 1<<16:
		dst = append(dst, maskBit|126, byte(n>>8), byte(n)) //nolint:gosec // cuts the number into its bytes
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, maskBit|127), uint64(n))
	}
	var key [4]byte
	binary.BigEndian.PutUint32(key[:], mask)
	dst = append(dst, key[:]...)
	for i, c := range payload {
		dst = append(dst, c^key[i&3])
	}
	return dst
}

// closeOf reads the payload of a close frame; 1005 is none (RFC 6455, section 7.1.5).
func closeOf(payload []byte) (code int, reason string) {
	if len(payload) < 2 {
		return 1005, ""
	}
	return int(binary.BigEndian.Uint16(payload)), string(payload[2:])
}
