package swarm

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidingsmesh/tidings/edge/wire"
)

// BenchmarkClient is what this program adds to what the kernel asks for an event of 200 bytes: framing, mark,
// position, count and histogram. It must not allocate.
func BenchmarkClient(b *testing.B) {
	const room = "campaign:42"
	for name, message := range map[string]func(n uint64) []byte{
		"tidings": func(n uint64) []byte {
			event := append([]byte(`{"specversion":"1.0","id":"e-1","source":"/workers/rules","type":"tick","time":"2026-11-24T18:00:00Z","data":`),
				AppendData(nil, 0, n, time.Now(), 200)...)
			return wire.AppendEvent(nil, room, n+1, n, 1732390000123, append(event, '}'))
		},
		"socketio": func(n uint64) []byte { return append(AppendData([]byte(`42["loadtest",`), 0, n, time.Now(), 200), ']') },
		"centrifuge": func(n uint64) []byte {
			return fmt.Appendf(nil, `{"push":{"channel":"%s","pub":{"data":%s,"offset":%d}}}`, room, AppendData(nil, 0, n, time.Now(), 200), n)
		},
		"nats": func(n uint64) []byte {
			return append(AppendData([]byte("MSG room.campaign.42 1 200\r\n"), 0, n, time.Now(), 200), "\r\n"...)
		},
		"raw": func(n uint64) []byte { return AppendData(nil, 0, n, time.Now(), 200) },
	} {
		b.Run(name, func(b *testing.B) {
			w := &worker{
				dialect: dialects[name](), rooms: []string{room}, heard: make([]uint64, 1),
				joinTime: newHistogram(), latency: newHistogram(), reconnect: newHistogram(),
			}
			c := &client{w: w, fd: -1, state: clientIn, members: []member{{state: memberLive}}}
			c.members[0].at = position{epoch: "e", offset: 1}
			// A thousand frames, all different; when they begin anew, so does the count.
			const many = 1000
			frames := make([][]byte, many)
			for i := range frames {
				payload := message(uint64(i + 1))
				frames[i] = append([]byte{finalBit | byte(opText), 126, byte(len(payload) >> 8), byte(len(payload))}, payload...)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%many == 0 {
					c.members[0].restart()
					c.members[0].at.offset = 1
				}
				w.now = time.Now().UnixNano()
				if rest := c.take(frames[i%many]); len(rest) != 0 {
					b.Fatal("incomplete")
				}
			}
			if w.sums.Missing+w.sums.Twice+w.sums.OutOfOrder != 0 || w.sums.Received == 0 {
				b.Fatalf("%+v", w.sums)
			}
		})
	}
}
