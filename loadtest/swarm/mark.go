package swarm

import (
	"bytes"
	"strconv"
	"time"
)

// mark identifies an event: the n-th of its room, from 1 without a gap, that should have been sent at sent
// (Unix ns). In the event's data it is `{"lt":"<room index>.<n>.<sent>"`.
type mark struct {
	room int
	n    uint64
	sent int64
}

var markPrefix = []byte(`"lt":"`)

// AppendData appends the data of an event: a JSON object with the mark, padded to size bytes. It is longer
// when the mark alone needs more.
func AppendData(dst []byte, room int, n uint64, sent time.Time, size int) []byte {
	const pad = `,"pad":"`
	start := len(dst)
	dst = append(dst, '{')
	dst = append(dst, markPrefix...)
	dst = append(strconv.AppendInt(dst, int64(room), 10), '.')
	dst = append(strconv.AppendUint(dst, n, 10), '.')
	dst = append(strconv.AppendInt(dst, sent.UnixNano(), 10), '"')
	if room := size - (len(dst) - start) - len(pad) - len(`"}`); room >= 0 {
		dst = append(dst, pad...)
		for range room {
			dst = append(dst, 'x')
		}
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// nextMark finds the first mark in b and returns what follows it; ok is false when there is none.
func nextMark(b []byte) (m mark, rest []byte, ok bool) {
	for {
		at := bytes.Index(b, markPrefix)
		if at < 0 {
			return mark{}, nil, false
		}
		b = b[at+len(markPrefix):]
		room, b1, ok1 := digits(b, '.')
		n, b2, ok2 := digits(b1, '.')
		sent, b3, ok3 := digits(b2, '"')
		if ok1 && ok2 && ok3 && n > 0 && room < 1<<31 && sent < 1<<63 {
			return mark{room: int(room), n: n, sent: int64(sent)}, b3, true //nolint:gosec // bounded above
		}
	}
}

// digits reads a decimal number that ends with a given byte, and returns what follows.
func digits(b []byte, end byte) (n uint64, rest []byte, ok bool) {
	for i, c := range b {
		switch {
		case c == end && i > 0:
			return n, b[i+1:], true
		case c < '0' || c > '9' || i == 19:
			return 0, nil, false
		}
		n = n*10 + uint64(c-'0')
	}
	return 0, nil, false
}
