package main

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it
	"encoding/base64"
	"encoding/binary"
)

// The server's half of RFC 6455, as far as a load test's clients need it.

// upgrade answers the opening handshake when it is complete.
func (f *floor) upgrade(c *conn, b []byte) (rest []byte, ok bool) {
	head, after, complete := bytes.Cut(b, []byte("\r\n\r\n"))
	if !complete {
		return b, true
	}
	var key []byte
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Sec-WebSocket-Key")) {
			key = bytes.TrimSpace(value)
		}
	}
	if key == nil {
		f.send(c.fd, []byte("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
		return nil, false
	}
	f.frame = append(append(f.frame[:0], key...), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...)
	sum := sha1.Sum(f.frame) //nolint:gosec // RFC 6455 wants it
	const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
	f.frame = base64.StdEncoding.AppendEncode(append(f.frame[:0], answer...), sum[:])
	f.frame = append(f.frame, "\r\n\r\n"...)
	f.send(c.fd, f.frame)
	c.upgraded = true
	return f.messages(c, after)
}

// messages takes a client's frames and returns what is incomplete. ok is false when the client closes, or does
// what this server does not understand: frames that are not masked, fragments, long ones.
func (f *floor) messages(c *conn, b []byte) (rest []byte, ok bool) {
	const final, mask, text, closing = 0x80, 0x80, 0x1, 0x8
	for len(b) >= 2 {
		length, head := int(b[1]&^mask), 2
		if b[0]&final == 0 || b[1]&mask == 0 || length == 127 || b[0]&0xf == closing {
			return nil, false
		}
		if length == 126 {
			if head = 4; len(b) < head {
				return b, true
			}
			length = int(binary.BigEndian.Uint16(b[2:]))
		}
		if len(b) < head+4+length {
			return b, true
		}
		key, payload := b[head:head+4], b[head+4:head+4+length]
		for i := range payload {
			payload[i] ^= key[i&3]
		}
		if b[0]&0xf == text {
			f.say(c, payload)
		}
		b = b[head+4+length:]
	}
	return b, true
}

// appendText appends a text frame.
func appendText(dst, payload []byte) []byte {
	const finalText = 0x81
	dst = append(dst, finalText)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = append(dst, 126, byte(n>>8), byte(n)) //nolint:gosec // cuts the number into its bytes
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}
