package swarm

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// The opening handshake (RFC 6455, section 4.1).

// headLimit is the longest answer to a handshake.
const headLimit = 16 << 10

// nonce is what Sec-WebSocket-Key stands for; one belongs to each connection.
func nonce(seed uint64, client, generation int32) [16]byte {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], seed)
	binary.BigEndian.PutUint32(b[8:], uint32(client))      //nolint:gosec // any number will do
	binary.BigEndian.PutUint32(b[12:], uint32(generation)) //nolint:gosec // any number will do
	return b
}

func appendRequest(dst []byte, s server, nonce [16]byte, header string) []byte {
	dst = append(append(dst, "GET "...), s.Path...)
	dst = append(append(dst, " HTTP/1.1\r\nHost: "...), s.Authority...)
	dst = append(dst, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "...)
	dst = base64.StdEncoding.AppendEncode(dst, nonce[:])
	dst = append(append(dst, "\r\n"...), header...)
	return append(dst, "\r\n"...)
}

// cutResponse cuts the answer off b. size is 0 when it is incomplete; why says what is wrong with it.
func cutResponse(b []byte, nonce [16]byte) (size int, why string) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	switch {
	case end < 0 && len(b) > headLimit:
		return 0, reasonHandshake
	case end < 0:
		return 0, ""
	}
	size = end + len("\r\n\r\n")
	lines := strings.Split(string(b[:end]), "\r\n")
	version, rest, _ := strings.Cut(lines[0], " ")
	text, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(text)
	switch {
	case err != nil || version != "HTTP/1.1":
		return size, reasonHandshake
	case status != 101:
		return size, fmt.Sprintf("HTTP %d", status)
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Sec-WebSocket-Accept") && strings.TrimSpace(value) == accept(nonce) {
			return size, ""
		}
	}
	return size, reasonHandshake
}

// accept is what the server must answer.
func accept(nonce [16]byte) string {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	sum := sha1.Sum([]byte(base64.StdEncoding.EncodeToString(nonce[:]) + guid)) //nolint:gosec // RFC 6455 wants it
	return base64.StdEncoding.EncodeToString(sum[:])
}
