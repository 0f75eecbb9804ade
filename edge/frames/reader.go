// Package frames reads the WebSocket frames of clients and builds those of the
// server (RFC 6455). It does no I/O: a Reader is fed with whatever bytes
// arrived, and builders append to a buffer of the caller. The one extension is
// permessage-deflate (RFC 7692) without context takeover.
package frames

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// DefaultMessageLimit is the largest message, in payload bytes over all its
// fragments, that a client may send unless configured otherwise.
const DefaultMessageLimit = 16 << 10

// Frame is a complete text message or control frame.
type Frame struct {
	// Op is ws.OpText, ws.OpPing, ws.OpPong or ws.OpClose.
	Op ws.OpCode
	// Payload is the unmasked payload; of a close frame, the reason. It lies in
	// the bytes fed or in a buffer of the Reader and is valid only until the
	// callback returns.
	Payload []byte
	// Code is the code of a close frame, ws.StatusNoStatusRcvd (1005) when the
	// client sent none, and zero for every other frame.
	Code ws.StatusCode
}

// Reader cuts the byte stream of one client into messages and control frames.
//
// It is 24 bytes, meant to be embedded by value in a connection's state, and
// holds nothing else while no message is incomplete. While one is, it holds the
// payload bytes that have arrived (never what was merely announced), which the
// message limit plus one control frame bounds. Not safe for concurrent use.
type Reader struct {
	partial *partial // nil between messages
	limit   int
	done    bool // a close frame or an error ended the stream
	deflate bool // messages may be compressed
}

// partial is what a Reader keeps of an incomplete message or frame.
type partial struct {
	// payload holds the first message bytes of the data message begun, then
	// those of a control frame that came in between, if any.
	payload []byte
	message int
	started bool // a data message has begun and not ended
	// deflated says that the message begun is compressed.
	deflated bool

	head     [ws.MaxHeaderSize]byte // the header being read, headSize bytes so far
	headSize int

	inFrame bool   // the header is complete, its payload is not
	frame   header // valid while inFrame
	got     int    // payload bytes of frame that have arrived
}

// NewReader returns a Reader that refuses messages of more than limit payload
// bytes as soon as the headers announce them. With deflate, messages may be
// compressed, and the limit holds for them as sent and as decompressed.
func NewReader(limit int, deflate bool) Reader {
	return Reader{limit: max(limit, 0), deflate: deflate}
}

// Feed takes the next bytes of the stream, any number of them, and calls handle
// for each message and control frame that they complete, in order. Payloads
// that lie in b as a whole are unmasked in place, so b is changed.
//
// The error is a *ProtocolError, or whatever handle returned. After an error,
// and after a close frame, the stream is over: the rest of b and everything fed
// later is ignored.
func (r *Reader) Feed(b []byte, handle func(Frame) error) error {
	if r.done {
		return nil
	}
	err := r.feed(b, handle)
	if err != nil {
		r.done = true
	}
	if r.done {
		r.partial = nil
	}
	return err
}

func (r *Reader) feed(b []byte, handle func(Frame) error) error {
	for len(b) > 0 && !r.done {
		var h header
		if p := r.partial; p != nil && p.inFrame {
			h = p.frame
		} else {
			size, err := r.header(b, &h)
			if err != nil {
				return err
			}
			if size == 0 {
				return nil // all of b is kept
			}
			b = b[size:]
		}
		n, err := r.payload(h, b, handle)
		if err != nil {
			return err
		}
		b = b[n:]
		if p := r.partial; p != nil && !p.started && !p.inFrame {
			r.partial = nil // it held no more than a header or a control frame
		}
	}
	return nil
}

// header reads a frame header that begins in b or began in an earlier feed. It
// returns how many bytes of b belong to it, or 0 when b ended first.
func (r *Reader) header(b []byte, h *header) (int, error) {
	p, started, space := r.partial, false, r.limit
	if p != nil {
		started, space = p.started, r.limit-p.message
	}
	if p != nil && p.headSize > 0 {
		had := p.headSize
		p.headSize += copy(p.head[had:], b)
		parsed, size, err := parseHeader(p.head[:p.headSize], started, space, r.deflate)
		if size == 0 || err != nil {
			return 0, err
		}
		*h, p.headSize = parsed, 0
		return size - had, nil
	}
	parsed, size, err := parseHeader(b, started, space, r.deflate)
	if err != nil {
		return 0, err
	}
	if size == 0 {
		p = r.begin()
		p.headSize = copy(p.head[:], b)
		return 0, nil
	}
	*h = parsed
	return size, nil
}

// payload takes what b has of the payload of h and passes the frame on when it
// is complete. It returns how many bytes of b it took.
func (r *Reader) payload(h header, b []byte, handle func(Frame) error) (int, error) {
	got := 0
	if p := r.partial; p != nil && p.inFrame {
		got, p.inFrame = p.got, false
	}
	n := min(h.length-got, len(b))
	chunk := b[:n]
	ws.Cipher(chunk, h.mask, got)

	complete := got+n == h.length
	if complete && got == 0 && h.op.IsControl() {
		return n, r.control(h.op, chunk, handle)
	}
	if complete && got == 0 && h.op == ws.OpText && h.fin {
		return n, r.text(chunk, h.deflated, handle)
	}

	p := r.begin()
	p.append(chunk, r.limit)
	p.inFrame, p.frame, p.got = !complete, h, got+n
	if !complete {
		return n, nil
	}
	if h.op.IsControl() {
		payload := p.payload[p.message:]
		p.payload = p.payload[:p.message]
		return n, r.control(h.op, payload, handle)
	}
	if !p.started {
		p.started, p.deflated = true, h.deflated
	}
	p.message = len(p.payload)
	if !h.fin {
		return n, nil
	}
	r.partial = nil
	return n, r.text(p.payload, p.deflated, handle)
}

// begin returns the partial state, creating it if nothing was incomplete.
func (r *Reader) begin() *partial {
	if r.partial == nil {
		r.partial = new(partial)
	}
	return r.partial
}

// append adds bytes that arrived. It grows by doubling but never past what the
// limit lets a message and a control frame have.
func (p *partial) append(b []byte, limit int) {
	if need := len(p.payload) + len(b); need > cap(p.payload) {
		bound := limit + ws.MaxControlFramePayloadSize
		grown := make([]byte, len(p.payload), max(need, min(2*cap(p.payload), bound)))
		copy(grown, p.payload)
		p.payload = grown
	}
	p.payload = append(p.payload, b...)
}

func (r *Reader) text(payload []byte, deflated bool, handle func(Frame) error) error {
	if deflated {
		d := inflaters.Get().(*inflater) //nolint:errcheck // the pool holds nothing else
		defer inflaters.Put(d)
		var err error
		if payload, err = d.inflate(payload, r.limit); err != nil {
			return err
		}
	}
	if !utf8.Valid(payload) {
		return errText
	}
	return handle(Frame{Op: ws.OpText, Payload: payload})
}

func (r *Reader) control(op ws.OpCode, payload []byte, handle func(Frame) error) error {
	if op != ws.OpClose {
		return handle(Frame{Op: op, Payload: payload})
	}
	r.done = true // nothing after a close frame counts (RFC 6455, section 1.4)
	switch {
	case len(payload) == 0:
		return handle(Frame{Op: op, Payload: payload, Code: ws.StatusNoStatusRcvd})
	case len(payload) == 1:
		return errCloseLength
	}
	code, reason := ws.StatusCode(binary.BigEndian.Uint16(payload)), payload[2:]
	switch {
	case !allowedInClose(code):
		return errCloseCode
	case !utf8.Valid(reason):
		return errCloseReason
	}
	return handle(Frame{Op: op, Payload: reason, Code: code})
}

// allowedInClose reports whether a client may send the code. RFC 6455, section
// 7.4, and the codes 1012 to 1014 registered with IANA since; 1004, 1005, 1006
// and 1015 never appear in a frame.
func allowedInClose(code ws.StatusCode) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	default:
		return code >= 3000 && code <= 4999
	}
}
