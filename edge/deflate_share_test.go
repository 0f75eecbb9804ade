package edge

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/frames"
	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

// sink is a socket that takes everything and remembers the last of it: what is shared can be seen only from
// within.
type sink struct{ last []byte }

func (s *sink) write(b []byte) (int, error) { s.last = b; return len(b), nil }
func (*sink) await()                        {}
func (*sink) closeWrite()                   {}
func (*sink) shut()                         {}
func (*sink) release()                      {}

// crowd is a shard with one room and n members, of whom every second takes compressed frames if deflate is true.
func crowd(t testing.TB, n int, deflate bool) (*shard, *room) {
	t.Helper()
	name, err := subjects.ParseRoom("campaign:42")
	require.NoError(t, err)
	s := newShard(&Edge{cfg: DefaultConfig()}, 0)
	s.edge.cfg.DeflateFrom = 1
	r := s.room(name)
	for i := range n {
		c := &session{shard: s, sock: &sink{}, state: stateOpen, deflate: deflate && i%2 == 0}
		r.members = append(r.members, &membership{session: c, room: r, index: int32(i)})
	}
	return s, r
}

// settlements is an event like those that a game's worker publishes, of at least size bytes without its envelope.
func settlements(t testing.TB, seq uint64, size int) continuity.Entry {
	t.Helper()
	name, err := subjects.ParseRoom("campaign:42")
	require.NoError(t, err)
	rnd := rand.New(rand.NewPCG(1, seq))
	event := fmt.Appendf(nil, `{"specversion":"1.0","id":"0192f0c1-7e6a-7c3a-9d58-%012x","source":"/workers/rules","type":"settlement_updated",`+
		`"time":"2024-11-23T19:26:40.%03dZ","data":{"campaign":"42","turn":%d,"settlements":[`, rnd.Uint64()>>16, rnd.IntN(1000), rnd.IntN(500))
	names := []string{"Northport", "Redhill", "Eastmere", "Oldwatch", "Fenwick", "Stonebridge"}
	for separator := ""; len(event) < size-3; separator = "," {
		event = fmt.Appendf(event, `%s{"id":"st-%d","name":%q,"population":%d,"x":%.3f,"y":%.3f,"occupied":%t}`, separator,
			rnd.IntN(100_000), names[rnd.IntN(len(names))], rnd.IntN(9000), rnd.Float64()*1000, rnd.Float64()*1000, rnd.IntN(2) == 0)
	}
	event = append(event, "]}}"...)
	frame := EncodeEvent(name, continuity.Message{Seq: seq, Time: 1732390000123, Event: event}, seq-1)
	return continuity.Entry{Seq: seq, Prev: seq - 1, Time: 1732390000123, Frame: frame}
}

func TestFan_CompressesOnceForAllWhoTakeIt(t *testing.T) {
	t.Parallel()
	s, r := crowd(t, 100, true)
	for _, entries := range [][]continuity.Entry{
		{settlements(t, 1, 2000)},
		{settlements(t, 2, 1000), settlements(t, 3, 2000), settlements(t, 4, 500)},
	} {
		buf, n := batch(entries)
		require.Len(t, entries, n)
		s.fan(r, entries, buf)
		var shared [2][]byte
		for i, m := range r.members {
			got := m.session.sock.(*sink).last //nolint:errcheck // made by crowd
			if i < 2 {
				shared[i] = got
			}
			assert.Same(t, unsafe.SliceData(shared[i%2]), unsafe.SliceData(got), "member %d", i)
			assert.Len(t, got, len(shared[i%2]))
			assert.Equal(t, entries[len(entries)-1].Seq, m.through)
		}
		assert.Same(t, unsafe.SliceData(buf), unsafe.SliceData(shared[1]), "who takes no compressed frames gets the plain ones")
		assert.Less(t, len(shared[0]), len(buf)*2/3)
		assert.Less(t, cap(shared[0]), len(buf), "no more is kept than was made")
	}

	small := []continuity.Entry{{Seq: 5, Frame: frames.AppendText(nil, []byte("x"))}}
	s.fan(r, small, small[0].Frame)
	for _, m := range r.members {
		got := m.session.sock.(*sink).last //nolint:errcheck // made by crowd
		assert.Same(t, unsafe.SliceData(small[0].Frame), unsafe.SliceData(got), "what gains nothing is shared by all")
	}
}

// BenchmarkDeflate compares what an event costs without compression, compressed once for all receivers, and as it
// would cost with a compressed form for each of them. Sockets are not in it.
func BenchmarkDeflate(b *testing.B) {
	for _, size := range []int{200, 1 << 10, 4 << 10, 16 << 10} {
		entries := []continuity.Entry{settlements(b, 1, size)}
		frame := entries[0].Frame
		for _, n := range []int{1, 10, 100, 1000} {
			for _, way := range []string{"plain", "shared", "each"} {
				b.Run(fmt.Sprintf("%d_bytes/%d_receivers/%s", size, n, way), func(b *testing.B) {
					s, r := crowd(b, n, false)
					for _, m := range r.members {
						m.session.deflate = way == "shared"
					}
					out := len(frame)
					b.ReportAllocs()
					for b.Loop() {
						if way == "each" {
							for range r.members {
								out = len(deflate(entries, frame, 1))
							}
						}
						s.fan(r, entries, frame)
					}
					if way == "shared" {
						out = len(r.members[0].session.sock.(*sink).last) //nolint:errcheck // made by crowd
					}
					b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(n)/float64(time.Nanosecond), "ns/receiver")
					b.ReportMetric(float64(out), "bytes/receiver")
				})
			}
		}
	}
}

// BenchmarkDeflate_Replay is what the compression of a replay would cost for the one who gets it.
func BenchmarkDeflate_Replay(b *testing.B) {
	var entries []continuity.Entry
	for seq := range uint64(100) {
		entries = append(entries, settlements(b, seq+1, 1<<10))
	}
	buf, n := batch(entries)
	out := 0
	b.ReportAllocs()
	for b.Loop() {
		out = len(deflate(entries[:n], buf, 1))
	}
	b.ReportMetric(float64(n), "events")
	b.ReportMetric(float64(len(buf)), "plain-bytes")
	b.ReportMetric(float64(out), "bytes")
}
