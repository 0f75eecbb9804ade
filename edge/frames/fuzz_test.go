package frames_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/frames"
)

const fuzzLimit = 300

// FuzzReader compares a Reader with a plain blocking reader made of gobwas's
// ReadHeader and CheckHeader, on the whole stream, on single bytes and on
// random pieces.
func FuzzReader(f *testing.F) {
	for _, seed := range [][]byte{
		nil,
		[]byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
		join(client(text, "a"), client(fin|ping, "p"), client(fin|continuation, "\xc3\xa9")),
		join(client(text, "\xe2"), client(continuation, "\x82"), client(fin|continuation, "\xac")),
		join(client(fin|text, "a"), client(fin|closing, "\x03\xe8bye"), client(fin|text, "b")),
		client(fin|closing, "\x03\xec"),
		client(fin|closing, "\x0f\xa0\xff"),
		client(fin|text, string(bytes.Repeat([]byte("a"), fuzzLimit))),
		client(fin|text, string(bytes.Repeat([]byte("a"), fuzzLimit+1))),
		join(client(text, string(bytes.Repeat([]byte("a"), 200))), client(fin|continuation, string(bytes.Repeat([]byte("a"), 101)))),
		sized(fin|text, []byte{0xfe, 0, 125}, string(bytes.Repeat([]byte("a"), 125))),
		sized(fin|text, []byte{0xff, 0x80, 0, 0, 0, 0, 1, 0, 0}, ""),
		client(fin|binaryData, "a"),
		client(fin|0x40|text, "a"),
		[]byte("\x81\x05Hello"),
	} {
		f.Add(seed, uint64(len(seed)))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		requireReference(t, false, stream, seed)
	})
}

// FuzzReader_Deflate is FuzzReader for a connection with permessage-deflate. The
// decompressor it compares with is that of the standard library.
func FuzzReader_Deflate(f *testing.F) {
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00" // RFC 7692, section 7.2.3.1
	for _, seed := range [][]byte{
		client(fin|rsv1|text, hello),
		join(client(rsv1|text, hello[:3]), client(fin|ping, "p"), client(fin|continuation, hello[3:]), client(fin|text, "a")),
		client(fin|rsv1|text, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
		client(fin|rsv1|text, "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00"),
		client(fin|rsv1|text, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
		client(fin|rsv1|text, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
		client(fin|rsv1|text, "\x62\x60\x00"), client(fin|rsv1|text, ""), client(fin|rsv1|text, "\x00"),
		client(fin|rsv1|text, packed(f, strings.Repeat("a", fuzzLimit))),
		client(fin|rsv1|text, packed(f, strings.Repeat("a", fuzzLimit+1))),
		client(fin|rsv1|text, packed(f, `{"op":"hello","token":"eyJhbGciOi","rooms":[{"room":"campaign:42"},{"room":"campaign:43"}]}`)),
		join(client(fin|rsv1|ping, "a")), client(fin|rsv1|binaryData, hello),
		join(client(rsv1|text, hello[:3]), client(fin|rsv1|continuation, hello[3:])),
	} {
		f.Add(seed, uint64(len(seed)))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		requireReference(t, true, stream, seed)
	})
}

func requireReference(t *testing.T, deflate bool, stream []byte, seed uint64) {
	t.Helper()
	want, r := reference(stream, deflate), frames.NewReader(fuzzLimit, deflate)
	require.Equal(t, want, readBy(t, r, stream), "whole")
	require.Equal(t, want, readBy(t, r, cut(stream, func(int) int { return 1 })...), "single bytes")
	rnd := rand.New(rand.NewPCG(seed, 1))
	require.Equal(t, want, readBy(t, r, cut(stream, func(left int) int { return 1 + rnd.IntN(left) })...), "pieces")
}

// reference is the oracle. It refuses what gobwas's checks refuse and what this
// package refuses beyond them.
func reference(stream []byte, deflate bool) got {
	var (
		out        got
		message    []byte
		started    bool
		compressed wsflate.MessageState
		r          = bytes.NewReader(stream)
	)
	fail := func(code ws.StatusCode) got { out.Code = code; return out }
	for {
		rest := stream[len(stream)-r.Len():]
		if len(rest) == 0 {
			return out
		}
		state := ws.StateServerSide
		if started {
			state = state.Set(ws.StateFragmented)
		}
		// What the first byte forbids, then the second, is refused before the
		// header is whole.
		early := ws.Header{Fin: rest[0]&0x80 != 0, Rsv: rest[0] & 0x70 >> 4, OpCode: ws.OpCode(rest[0] & 0x0f), Masked: true}
		if deflate {
			var err error
			if early, err = compressed.UnsetBits(early); err != nil {
				return fail(ws.StatusProtocolError)
			}
		}
		if ws.CheckHeader(early, state) != nil {
			return fail(ws.StatusProtocolError)
		}
		if early.OpCode == ws.OpBinary {
			return fail(ws.StatusUnsupportedData)
		}
		if len(rest) > 1 {
			early.Masked, early.Length = rest[1]&0x80 != 0, int64(rest[1]&0x7f)
			if ws.CheckHeader(early, state) != nil {
				return fail(ws.StatusProtocolError)
			}
		}
		h, err := ws.ReadHeader(r)
		length, known, proper := lengthAt(rest)
		switch {
		case known && !proper:
			return fail(ws.StatusProtocolError)
		case known && early.OpCode.IsData() && length > uint64(fuzzLimit-len(message)):
			return fail(ws.StatusMessageTooBig)
		case err != nil:
			return out // the stream ends inside a header
		case int64(r.Len()) < h.Length:
			return out // or inside a payload
		}
		payload := make([]byte, h.Length)
		_, _ = r.Read(payload)
		ws.Cipher(payload, h.Mask, 0)

		switch h.OpCode {
		case ws.OpPing, ws.OpPong:
			out.Frames = append(out.Frames, show(h.OpCode, 0, payload))
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			switch registered := code >= 1012 && code <= 1014; {
			case len(payload) == 0:
				code = ws.StatusNoStatusRcvd
			case len(payload) == 1, code >= 5000, code.In(ws.StatusCodeRange{Min: 1016, Max: 2999}):
				return fail(ws.StatusProtocolError)
			case !registered && ws.CheckCloseFrameData(code, "") != nil:
				return fail(ws.StatusProtocolError)
			case !utf8.ValidString(reason):
				return fail(ws.StatusInvalidFramePayloadData)
			}
			out.Frames = append(out.Frames, show(ws.OpClose, code, []byte(reason)))
			return out
		default:
			message, started = append(message, payload...), true
			if h.Fin && compressed.IsCompressed() {
				var code ws.StatusCode
				if message, code = unpacked(message); code != 0 {
					return fail(code)
				}
			}
			if h.Fin {
				if !utf8.Valid(message) {
					return fail(ws.StatusInvalidFramePayloadData)
				}
				out.Frames = append(out.Frames, show(ws.OpText, 0, message))
				message, started = nil, false
			}
		}
	}
}

// unpacked decompresses a message, or says with which code it is refused.
func unpacked(message []byte) ([]byte, ws.StatusCode) {
	const tail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff"
	r := bytes.NewReader(append(bytes.Clone(message), tail...))
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(r), fuzzLimit+1))
	switch rest := r.Len() - len(tail); {
	case len(text) > fuzzLimit:
		return nil, ws.StatusMessageTooBig
	case err != nil || r.Len() > 0 && rest < 0 || rest > 1 || rest == 1 && message[len(message)-1] != 0:
		return nil, ws.StatusInvalidFramePayloadData
	}
	return text, 0
}

// lengthAt reads the length of the frame at the start of b, if it is there, and
// reports whether it is in its shortest form without the forbidden top bit.
func lengthAt(b []byte) (length uint64, known, proper bool) {
	if len(b) < 2 {
		return 0, false, false
	}
	switch n := b[1] & 0x7f; {
	case n == 127 && len(b) >= 10:
		length = binary.BigEndian.Uint64(b[2:])
		return length, true, length > 0xffff && length>>63 == 0
	case n == 126 && len(b) >= 4:
		length = uint64(binary.BigEndian.Uint16(b[2:]))
		return length, true, length > 125
	default:
		return uint64(n), n < 126, true
	}
}
