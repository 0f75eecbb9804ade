package continuity_test

import (
	"testing"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

func benchRoom(entries int) (*continuity.Room, *continuity.Effects) {
	frame := make([]byte, 300)
	room := continuity.NewRoom(subjects.Room{Kind: "campaign", ID: "42"}, &continuity.Config{
		Limits:      continuity.Limits{Epoch: "one", History: 256, MaxAge: 24 * hour},
		RingEntries: entries,
		RingBytes:   1 << 20,
		Buffer:      4096,
		Encode:      func(subjects.Room, continuity.Message, uint64) []byte { return frame },
	})
	out := new(continuity.Effects)
	last := msg(1, 0)
	room.Sync(&last, 2, last.Time, out)
	return room, out
}

// BenchmarkRoom_Live is one message in order, from the live subject to what is to be sent.
func BenchmarkRoom_Live(b *testing.B) {
	room, out := benchRoom(256)
	m := msg(1, 0)
	b.ReportAllocs()
	for b.Loop() {
		m.Prev, m.Seq = m.Seq, m.Seq+1
		room.Live(m, m.Time, out)
		if len(out.Emit) != 1 {
			b.Fatal("not sent")
		}
		out.Clear()
	}
}

// BenchmarkRoom_Audit is one room that is compared and found complete.
func BenchmarkRoom_Audit(b *testing.B) {
	room, out := benchRoom(256)
	last, fence := msg(1, 0), uint64(2)
	b.ReportAllocs()
	for b.Loop() {
		fence++
		room.Audit(&last, fence, last.Time, out)
	}
}

// BenchmarkRoom_ResumeFromRing is a client that comes back and missed some events.
func BenchmarkRoom_ResumeFromRing(b *testing.B) {
	for name, missed := range map[string]uint64{"missed=0": 0, "missed=10": 10, "missed=200": 200} {
		b.Run(name, func(b *testing.B) {
			room, out := benchRoom(256)
			for seq := uint64(2); seq <= 300; seq++ {
				m := msg(seq, seq-1)
				room.Live(m, m.Time, out)
				out.Clear()
			}
			pos := at(300 - missed)
			b.ReportAllocs()
			for b.Loop() {
				a, need := room.Resume(pos)
				if need != continuity.NeedNothing || len(a.Replay) != int(missed) {
					b.Fatal("not answered")
				}
			}
		})
	}
}
