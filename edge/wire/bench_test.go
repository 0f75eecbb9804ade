package wire_test

import (
	"strings"
	"testing"

	"github.com/tidingsmesh/tidings/edge/wire"
)

func BenchmarkAppendEvent(b *testing.B) {
	event := []byte(`{"specversion":"1.0","id":"evt-7","source":"/workers/rules","type":"settlement_updated","data":{"id":"` +
		strings.Repeat("x", 80) + `"}}`)
	buf := make([]byte, 0, 1<<10)
	b.ReportAllocs()
	b.SetBytes(int64(len(event)))
	for b.Loop() {
		buf = wire.AppendEvent(buf[:0], "campaign:42", 1042, 1037, 1732390000123, event)
	}
}

func BenchmarkDecodeClient(b *testing.B) {
	position := `{"epoch":"dsc9kqm2yo","seq":1042,"id":"0192f0c1-7e6a-7c3a-9d58-0f3b6a1c2d4e","ts":1732390000123}`
	for name, text := range map[string]string{
		"hello": `{"op":"hello","token":"` + strings.Repeat("t", 300) + `","rooms":["campaign:42"]}`,
		"hello_with_8_positions": `{"op":"hello","token":"` + strings.Repeat("t", 300) + `","rooms":[` +
			strings.TrimSuffix(strings.Repeat(`{"room":"campaign:42","since":`+position+`},`, 8), ",") + `]}`,
		"join": `{"op":"join","rooms":[{"room":"campaign:42","since":` + position + `}]}`,
		"pong": `{"op":"pong"}`,
	} {
		b.Run(name, func(b *testing.B) {
			frame := []byte(text)
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if _, err := wire.DecodeClient(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
