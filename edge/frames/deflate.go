package frames

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
)

// What follows is permessage-deflate (RFC 7692) without context takeover in
// either direction: every message is compressed by itself. So a compressed
// frame can be shared by all its receivers, and nothing is kept for a
// connection between messages.

const (
	// flushTail ends what a flush makes: an empty block without compression. It
	// is not sent (section 7.2.1).
	flushTail = "\x00\x00\xff\xff"
	// finalBlock is one more empty block, which says that it is the last.
	finalBlock = "\x01\x00\x00\xff\xff"

	// deflateLevel is the fastest. Higher ones win a few percent of the size of
	// an event and cost up to twice the time.
	deflateLevel = flate.BestSpeed
)

// AppendDeflated appends a frame that AppendText built in its compressed form,
// or as it is if that is not longer.
func AppendDeflated(dst, frame []byte) []byte {
	d := deflaters.Get().(*deflater) //nolint:errcheck // the pool holds nothing else
	defer deflaters.Put(d)
	packed := d.deflate(frame[serverHeaderSize(frame):])
	if TextHeaderSize(len(packed))+len(packed) >= len(frame) {
		return append(dst, frame...)
	}
	start := len(dst)
	dst = AppendTextHeader(dst, len(packed))
	dst[start] |= rsv1Bit
	return append(dst, packed...)
}

// deflater is 1.3 MB, most of it the compressor's tables.
type deflater struct {
	compressor *flate.Writer // writes to out
	out        bytes.Buffer
}

var deflaters = sync.Pool{New: func() any {
	d := &deflater{}
	d.compressor, _ = flate.NewWriter(&d.out, deflateLevel) // fails only for a level that is none
	return d
}}

// deflate returns the payload of a compressed message, valid until the next
// call.
func (d *deflater) deflate(payload []byte) []byte {
	d.out.Reset()
	d.compressor.Reset(&d.out)
	_, _ = d.compressor.Write(payload) // a buffer takes everything
	_ = d.compressor.Flush()
	return bytes.TrimSuffix(d.out.Bytes(), []byte(flushTail))
}

// inflater is some 50 KB and a few times the message limit.
type inflater struct {
	decompressor io.ReadCloser // reads from in, which is over src
	in           bytes.Reader
	src, out     []byte
}

var inflaters = sync.Pool{New: func() any {
	d := &inflater{}
	d.decompressor = flate.NewReader(&d.in)
	return d
}}

// inflate decompresses the payload of a message of at most limit bytes. It
// stops as soon as there are more, however little compressed the rest may be.
// What it returns is valid until the next call.
func (d *inflater) inflate(payload []byte, limit int) ([]byte, error) {
	d.src = append(append(d.src[:0], payload...), flushTail+finalBlock...)
	d.in.Reset(d.src)
	if err := d.decompressor.(flate.Resetter).Reset(&d.in, nil); err != nil { //nolint:errcheck // documented by flate.NewReader
		return nil, errDeflate
	}
	d.out = d.out[:0]
	for {
		if len(d.out) == cap(d.out) {
			d.out = slices.Grow(d.out, max(512, len(d.out)))
		}
		n, err := d.decompressor.Read(d.out[len(d.out):min(cap(d.out), limit+1)])
		d.out = d.out[:len(d.out)+n]
		switch {
		case len(d.out) > limit:
			return nil, errTooBig
		case errors.Is(err, io.EOF) && d.ended(payload):
			return d.out, nil
		case err != nil:
			return nil, errDeflate
		}
	}
}

// ended reports whether the decompressor came to a proper end: that of
// finalBlock, or of a last block of the client's own that nothing follows but
// the byte 0 of section 7.2.3.4. More blocks after a last one would be legal as
// well, but every new start costs up to 32 KB of copying, and nobody sends them.
func (d *inflater) ended(payload []byte) bool {
	left := d.in.Len()
	if left == 0 {
		return true
	}
	rest := left - len(flushTail+finalBlock)
	return rest == 0 || rest == 1 && payload[len(payload)-1] == 0
}
