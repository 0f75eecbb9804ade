package continuity_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// publish sends a run of messages live, from a sequence through another.
func (d *desk) publish(from, through uint64) {
	for seq := from; seq <= through; seq++ {
		d.live(msg(seq, seq-1))
	}
}

// oldest is the lowest position that the ring serves.
func (d *desk) oldest(from, through uint64) uint64 {
	for seq := from; seq <= through; seq++ {
		if d.need(at(seq)) == continuity.NeedNothing {
			return seq
		}
	}
	return 0
}

func TestRing_KeepsTheNewestEntries(t *testing.T) {
	t.Parallel()
	d := joined(msg(100, 99), func(c *continuity.Config) { c.RingEntries = 5 })
	for _, newest := range []uint64{103, 105, 106, 120, 400} {
		d.publish(d.room.Head()+1, newest)
		assert.Equal(t, max(100, newest-5), d.oldest(100, newest), "at %d", newest)
		assert.Len(t, d.resume(t, at(max(100, newest-5))).Replay, int(min(5, newest-100)))
	}
}

func TestRing_KeepsWithinItsBytes(t *testing.T) {
	t.Parallel()
	const limit = 2000
	d := joined(msg(100, 99), func(c *continuity.Config) { c.RingBytes = limit })
	for seq := uint64(101); seq < 300; seq++ {
		d.live(msg(seq, seq-1))
		require.LessOrEqual(t, d.room.RingBytes(), limit)
	}
	assert.Greater(t, d.room.RingBytes(), limit/2)

	large := msg(300, 299)
	large.Event = make([]byte, 2*limit)
	assert.Equal(t, emitted(300), d.live(large), "sent, though it cannot be kept")
	assert.Zero(t, d.room.RingBytes())
	assert.Equal(t, continuity.NeedFetch, d.need(at(299)))
	assert.Empty(t, replay(d.resume(t, at(300))))
}

func TestRing_ShrinksWhenAsked(t *testing.T) {
	t.Parallel()
	d := joined(msg(100, 99))
	d.publish(101, 140)
	full := d.room.RingBytes()
	d.room.Shrink(full / 2)
	assert.LessOrEqual(t, d.room.RingBytes(), full/2)
	oldest := d.oldest(100, 140)
	assert.Greater(t, oldest, uint64(115))
	d.publish(141, 145)
	assert.Len(t, d.resume(t, at(oldest)).Replay, 145-int(oldest))

	d.room.Shrink(0)
	assert.Zero(t, d.room.RingBytes())
	assert.Equal(t, uint64(145), d.oldest(100, 145))
	assert.Equal(t, emitted(146), d.live(msg(146, 145)))
}

func TestRing_CountsQuarantinedMessages(t *testing.T) {
	t.Parallel()
	d := joined(msg(100, 99), func(c *continuity.Config) { c.RingEntries = 2 })
	d.live(msg(101, 100), bad(102, 101), bad(103, 102))
	assert.Equal(t, continuity.NeedFetch, d.need(at(100)))
	a := d.resume(t, at(101))
	assert.Empty(t, a.Replay)
	assert.Equal(t, *at(103), a.Position)
}

// TestRing_TakesOlderHistoryOnlyWhenItIsItsOwn: a ring that begins at 100.
func TestRing_TakesOlderHistoryOnlyWhenItIsItsOwn(t *testing.T) {
	t.Parallel()
	none := continuity.FirstStored{}
	cases := map[string]struct {
		older []continuity.Message
		first continuity.FirstStored
		want  uint64
	}{
		"reaches beyond the base":         {history(msg(70, 60), msg(80, 70), msg(100, 80), msg(101, 100), msg(102, 101)), none, 70},
		"reaches the base":                {history(msg(70, 60), msg(80, 70), msg(100, 80)), none, 70},
		"ends before the base":            {history(msg(70, 60), msg(80, 70)), none, 100},
		"begins at the base":              {history(msg(100, 80), msg(101, 100)), none, 100},
		"has another base":                {history(msg(70, 60), msg(80, 70), other(100, 80)), none, 100},
		"lacks the base":                  {history(msg(70, 60), msg(80, 70), msg(101, 100)), none, 100},
		"was overtaken by the room":       {history(msg(70, 60), msg(80, 70), msg(90, 80), msg(95, 90), msg(96, 95), msg(97, 96), msg(98, 97), msg(100, 98), msg(101, 100), msg(102, 101)), none, 90},
		"was overtaken by the size limit": {history(msg(70, 60), msg(80, 70), msg(100, 80)), continuity.FirstStored{Seq: 75, Time: storedAt(75)}, 80},
		"nothing":                         {nil, none, 100},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := joined(msg(100, 80), func(c *continuity.Config) { c.Limits.History = 8 })
			d.live(msg(101, 100), msg(102, 101))
			d.room.Fetched(60, d.room.Wanted(), c.older, c.first)
			assert.Equal(t, c.want, d.oldest(60, 102))
			a := d.resume(t, at(c.want))
			seqs := replay(a)
			assert.Equal(t, []uint64{101, 102}, seqs[len(seqs)-2:])
		})
	}
}

func TestRing_OlderHistoryIsBoundedToo(t *testing.T) {
	t.Parallel()
	d := joined(msg(100, 99), func(c *continuity.Config) { c.RingEntries = 4 })
	d.live(msg(101, 100), msg(102, 101))
	d.room.Fetched(95, 102, history(msg(95, 94), msg(96, 95), msg(97, 96), msg(98, 97), msg(99, 98), msg(100, 99)), continuity.FirstStored{})
	assert.Equal(t, uint64(98), d.oldest(90, 102))
	assert.Equal(t, []uint64{99, 100, 101, 102}, replay(d.resume(t, at(98))))
}
