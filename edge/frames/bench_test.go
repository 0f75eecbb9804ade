package frames_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/tidingsmesh/tidings/edge/frames"
)

// BenchmarkReader_Text includes masking the frame again for the next round.
func BenchmarkReader_Text(b *testing.B) {
	frame := client(fin|text, `{"op":"join","rooms":[{"room":"campaign:42"}]}`)
	r := frames.NewReader(frames.DefaultMessageLimit, false)
	handle := func(frames.Frame) error { return nil }
	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		if err := r.Feed(frame, handle); err != nil {
			b.Fatal(err)
		}
		ws.Cipher(frame[6:], mask, 0)
	}
}

func BenchmarkReader_TextInTwoPieces(b *testing.B) {
	frame := client(fin|text, strings.Repeat("a", 1000))
	r := frames.NewReader(frames.DefaultMessageLimit, false)
	handle := func(frames.Frame) error { return nil }
	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		piece := frame[:500]
		_ = r.Feed(piece, handle)
		ws.Cipher(piece[8:], mask, 0)
		_ = r.Feed(frame[500:], handle)
		ws.Cipher(frame[500:], mask, 492)
	}
}

func BenchmarkAppendText(b *testing.B) {
	payload := []byte(strings.Repeat("a", 200))
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = frames.AppendText(buf[:0], payload)
	}
}

// BenchmarkReader_Deflate reads a usual message and the two that cost most for their size: one that has nothing in
// it but new tables, and a bomb.
func BenchmarkReader_Deflate(b *testing.B) {
	for name, body := range map[string]string{
		"join":   packed(b, `{"op":"join","rooms":[{"room":"campaign:42"}]}`),
		"tables": tables(),
		"bomb":   packed(b, strings.Repeat(" ", 10<<20)),
	} {
		b.Run(name, func(b *testing.B) {
			frame := client(fin|rsv1|text, body)
			masked := bytes.Clone(frame)
			handle := func(frames.Frame) error { return nil }
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				copy(frame, masked)
				r := frames.NewReader(frames.DefaultMessageLimit, true)
				if err := r.Feed(frame, handle); (err != nil) != (name == "bomb") {
					b.Fatal(err)
				}
			}
		})
	}
}

// tables is a message of 16 KiB that decompresses to nothing: 1456 blocks, each with a table of its own, as short
// as RFC 1951, section 3.2.7, allows.
func tables() string {
	var out []byte
	bits := 0
	put := func(v, n int) { // the lowest n bits of v
		for i := range n {
			if bits%8 == 0 {
				out = append(out, 0)
			}
			out[len(out)-1] |= byte(v>>i&1) << (bits % 8)
			bits++
		}
	}
	for bits+90 < 8*(frames.DefaultMessageLimit-1) {
		put(0b100, 3)      // not the last block, own tables
		put(0, 5)          // 257 literals
		put(0, 5)          // 1 distance
		put(18-4, 4)       // 18 lengths of code lengths follow, those of 18 and 1 are 1
		put(1<<(2*3), 3*3) // 16, 17, 18
		put(0, 14*3)       // the next
		put(1, 3)          // 1
		put(1, 1)          // 138 zeros
		put(138-11, 7)
		put(1, 1) // 118 zeros
		put(118-11, 7)
		put(0, 1) // the end of a block has one bit
		put(0, 1) // so has the distance
		put(0, 1) // the end of the block
	}
	put(0, 3) // what a flush leaves
	return string(out)
}
