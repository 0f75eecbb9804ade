package frames_test

import (
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/tidingsmesh/tidings/edge/frames"
)

// BenchmarkReader_Text includes masking the frame again for the next round.
func BenchmarkReader_Text(b *testing.B) {
	frame := client(fin|text, `{"op":"join","rooms":[{"room":"campaign:42"}]}`)
	r := frames.NewReader(frames.DefaultMessageLimit)
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
	r := frames.NewReader(frames.DefaultMessageLimit)
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
