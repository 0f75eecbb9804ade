package continuity_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

const (
	start  = int64(1_700_000_000_000) // when sequence 0 would have been stored, had it been
	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute
)

// storedAt is when the message with a sequence was stored: one a second.
func storedAt(seq uint64) int64 { return start + int64(seq)*second }

// msg is the room's event at seq, after the one at prev.
func msg(seq, prev uint64) continuity.Message {
	return continuity.Message{
		Seq: seq, Prev: prev, Time: storedAt(seq),
		ID: fmt.Sprintf("e%d", seq), Event: fmt.Appendf(nil, `{"n":%d}`, seq),
	}
}

// bad is a message that was quarantined.
func bad(seq, prev uint64) continuity.Message {
	m := msg(seq, prev)
	m.Event = nil
	return m
}

// other is an event that got the sequence of one that the stream lost.
func other(seq, prev uint64) continuity.Message {
	m := msg(seq, prev)
	m.ID += "'"
	m.Time += second / 2
	return m
}

func history(messages ...continuity.Message) []continuity.Message { return messages }

// at is a client's position at an event.
func at(seq uint64) *continuity.Position {
	return &continuity.Position{Epoch: "one", Seq: seq, ID: fmt.Sprintf("e%d", seq), TS: storedAt(seq)}
}

// atFence is a client's position in a room that was empty.
func atFence(seq uint64) *continuity.Position {
	return &continuity.Position{Epoch: "one", Seq: seq, TS: storedAt(seq)}
}

// did is what a step asked for.
type did struct {
	Reset  continuity.Reason
	Emit   []uint64
	Repair bool
}

func emitted(seqs ...uint64) did { return did{Emit: seqs} }

var (
	nothing   = did{}
	mustRead  = did{Repair: true}
	everFirst = continuity.FirstStored{Seq: 1, Time: storedAt(1)}
)

// desk drives one room by hand.
type desk struct {
	room *continuity.Room
	cfg  *continuity.Config
	now  int64
	out  continuity.Effects
}

func newDesk(change ...func(*continuity.Config)) *desk {
	cfg := &continuity.Config{
		Limits:      continuity.Limits{Epoch: "one", History: 100, MaxAge: 24 * hour},
		RingEntries: 100,
		RingBytes:   1 << 20,
		Buffer:      100,
		Encode: func(_ subjects.Room, m continuity.Message, prev uint64) []byte {
			return fmt.Appendf(nil, "%d after %d: %s", m.Seq, prev, m.Event)
		},
	}
	for _, c := range change {
		c(cfg)
	}
	room := continuity.NewRoom(subjects.Room{Kind: "campaign", ID: "42"}, cfg)
	return &desk{room: room, cfg: cfg, now: storedAt(1000)}
}

// joined is a desk whose room follows the stream from last on.
func joined(last continuity.Message, change ...func(*continuity.Config)) *desk {
	d := newDesk(change...)
	d.now = last.Time
	d.sync(&last, last.Seq+1)
	return d
}

// empty is a desk whose room had no message at a fence.
func empty(fence uint64) *desk {
	d := newDesk()
	d.now = storedAt(fence)
	d.sync(nil, fence)
	return d
}

func (d *desk) done() did {
	got := did{Reset: d.out.Reset, Repair: d.out.Repair}
	for _, e := range d.out.Emit {
		got.Emit = append(got.Emit, e.Seq)
	}
	d.out.Clear()
	return got
}

func (d *desk) sync(last *continuity.Message, fence uint64) did {
	d.room.Sync(last, fence, d.now, &d.out)
	return d.done()
}

// live hands over live messages as they come, at the moment they are stored.
func (d *desk) live(messages ...continuity.Message) did {
	for _, m := range messages {
		d.now = max(d.now, m.Time)
		d.room.Live(m, d.now, &d.out)
	}
	return d.done()
}

func (d *desk) repaired(first continuity.FirstStored, messages ...continuity.Message) did {
	d.room.Repaired(messages, d.room.Wanted(), first, d.now, &d.out)
	return d.done()
}

func (d *desk) audit(last *continuity.Message, fence uint64) did {
	d.now = max(d.now, storedAt(fence))
	d.room.Audit(last, fence, d.now, &d.out)
	return d.done()
}

// resume is the answer to a client, which must be there at once.
func (d *desk) resume(t *testing.T, pos *continuity.Position) continuity.Answer {
	t.Helper()
	a, need := d.room.Resume(pos)
	require.Equal(t, continuity.NeedNothing, need)
	return a
}

func (d *desk) need(pos *continuity.Position) continuity.Need {
	_, need := d.room.Resume(pos)
	return need
}

// fetched is the answer to a client after its history was read.
func (d *desk) fetched(t *testing.T, pos *continuity.Position, first continuity.FirstStored, messages ...continuity.Message) continuity.Answer {
	t.Helper()
	require.Equal(t, continuity.NeedFetch, d.need(pos))
	h := d.room.Fetched(pos.Seq, d.room.Wanted(), messages, first)
	a, need := d.room.ResumeFrom(h, pos, d.now)
	require.Equal(t, continuity.NeedNothing, need)
	return a
}

func replay(a continuity.Answer) []uint64 {
	var seqs []uint64
	for _, e := range a.Replay {
		seqs = append(seqs, e.Seq)
	}
	return seqs
}

//go:fix inline

func TestRoom_JoinOfAnEmptyRoomStandsAtTheFence(t *testing.T) {
	t.Parallel()
	d := newDesk()
	assert.Equal(t, continuity.NeedWait, d.need(nil), "before the first snapshot")
	assert.False(t, d.room.Synced())

	d.now = storedAt(50)
	assert.Equal(t, nothing, d.sync(nil, 50))
	a := d.resume(t, nil)
	assert.True(t, a.First)
	assert.Equal(t, *atFence(50), a.Position)

	assert.Equal(t, emitted(60, 61), d.live(msg(60, 0), msg(61, 60)))
	assert.Equal(t, []uint64{60, 61}, replay(d.resume(t, &a.Position)))
}

func TestRoom_JoinWithHistoryStandsAtItsNewest(t *testing.T) {
	t.Parallel()
	d := joined(msg(40, 33))
	a := d.resume(t, nil)
	assert.True(t, a.First)
	assert.Empty(t, a.Replay, "who joins without a position has missed nothing")
	assert.Equal(t, *at(40), a.Position)
	assert.Equal(t, emitted(41), d.live(msg(41, 40)))
}

func TestRoom_MessagesOfTheJoinWaitForTheSnapshot(t *testing.T) {
	t.Parallel()
	d := newDesk()
	assert.Equal(t, nothing, d.live(msg(9, 8), msg(10, 9), msg(12, 10), msg(13, 12)))
	assert.Equal(t, emitted(12, 13), d.sync(new(msg(10, 9)), 11), "what the snapshot has is not sent again")
}

func TestRoom_JoinWithAHoleInWhatWaitedRepairs(t *testing.T) {
	t.Parallel()
	d := newDesk()
	d.live(msg(12, 11))
	assert.Equal(t, mustRead, d.sync(new(msg(10, 9)), 10))
	assert.Equal(t, uint64(10), d.room.Head())
	assert.Equal(t, uint64(12), d.room.Wanted())
	assert.Equal(t, emitted(11, 12), d.repaired(everFirst, msg(10, 9), msg(11, 10), msg(12, 11)))
}

func TestRoom_LiveMessagesInOrderAreSentAtOnce(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	d.room.Live(msg(14, 10), storedAt(14), &d.out)
	require.Len(t, d.out.Emit, 1)
	e := d.out.Emit[0]
	assert.Equal(t, continuity.Entry{Seq: 14, Prev: 10, Time: storedAt(14), ID: "e14", Frame: []byte(`14 after 10: {"n":14}`)}, e)
	assert.False(t, d.out.Repair)
	assert.Equal(t, *at(14), d.room.Position())
}

func TestRoom_DuplicatesAreDropped(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	d.live(msg(11, 10), msg(12, 11))
	for _, m := range history(msg(12, 11), msg(11, 10), msg(10, 9), msg(3, 1)) {
		assert.Equal(t, nothing, d.live(m), m.Seq)
		m.ID, m.Event = "", nil // the owner need not decode what is not new
		assert.Equal(t, nothing, d.live(m), m.Seq)
	}
	assert.Equal(t, emitted(13), d.live(msg(13, 12)))
}

func TestRoom_DuplicatesDuringARepairAreDropped(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	d.live(msg(12, 11))
	assert.Equal(t, nothing, d.live(continuity.Message{Seq: 10, Prev: 9, Time: storedAt(10)}, msg(12, 11)))
	assert.Equal(t, emitted(11, 12), d.repaired(everFirst, msg(10, 9), msg(11, 10), msg(12, 11)))
}

func TestRoom_FirstMessageOfARoomThatWasEmptyIsSent(t *testing.T) {
	t.Parallel()
	assert.Equal(t, emitted(60), empty(50).live(msg(60, 0)))
}

func TestRoom_FirstMessageAfterLongUncertaintyIsRepaired(t *testing.T) {
	t.Parallel()
	// Two minutes since the fence: another message can have come, got lost, and been removed.
	d := empty(50)
	assert.Equal(t, mustRead, d.live(msg(170, 0)))
	assert.Equal(t, emitted(170), d.repaired(everFirst, msg(170, 0)))
}

func TestRoom_MessageAfterTheLastHasAgedIsSent(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	day := uint64(24 * hour / second)
	require.Equal(t, nothing, d.audit(new(msg(10, 9)), day-100))
	d.now = storedAt(day + 20)
	require.Equal(t, mustRead, d.audit(nil, day+20), "nothing was compared for two minutes")
	require.Equal(t, nothing, d.repaired(continuity.FirstStored{Seq: 11, Time: storedAt(11)}))
	require.Equal(t, nothing, d.audit(nil, day+30))
	assert.Equal(t, emitted(day+60), d.live(msg(day+60, 0)))
}

func TestRoom_MessageThatFollowsNothingAlthoughTheLastIsYoungIsRepaired(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		first continuity.FirstStored
		want  continuity.Reason
	}{
		"the size limit removed it before it was last compared": {continuity.FirstStored{Seq: 300, Time: storedAt(300)}, ""},
		"the size limit removed it, perhaps with others":        {continuity.FirstStored{Seq: 500, Time: storedAt(500)}, continuity.ReasonTruncated},
		"nothing can have removed it":                           {everFirst, continuity.ReasonEpoch},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := joined(msg(10, 9))
			d.audit(new(msg(10, 9)), 490)
			require.Equal(t, mustRead, d.live(msg(510, 0)))
			if c.want == "" {
				assert.Equal(t, emitted(510), d.repaired(c.first, msg(510, 0)))
				return
			}
			require.Equal(t, mustRead, d.repaired(c.first, msg(510, 0)))
			assert.Equal(t, did{Reset: c.want}, d.repaired(c.first, msg(510, 0)))
			assert.Equal(t, *at(510), d.room.Position())
		})
	}
}

func TestRoom_MessageOfBeforeTheFenceIsNoGap(t *testing.T) {
	t.Parallel()
	// The replica that answered had dropped what aged; the one that leads had not.
	d := empty(50)
	assert.Equal(t, emitted(55), d.live(msg(55, 31)))
}

func TestRoom_QuarantinedMessagesCountButAreNotSent(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	d.room.Live(bad(11, 10), d.now, &d.out)
	d.room.Live(msg(12, 11), d.now, &d.out)
	d.room.Live(bad(13, 12), d.now, &d.out)
	require.Len(t, d.out.Emit, 1)
	assert.Equal(t, uint64(10), d.out.Emit[0].Prev, "a member at 10 has no gap")
	d.out.Clear()

	a := d.resume(t, nil)
	assert.Equal(t, *at(13), a.Position, "the tail counts")
	d.room.Live(msg(14, 13), d.now, &d.out)
	assert.Equal(t, uint64(12), d.out.Emit[0].Prev, "neither for members at 12 nor for those who joined at 13")
	d.out.Clear()

	assert.Equal(t, []uint64{12, 14}, replay(d.resume(t, at(10))))
	assert.Equal(t, []uint64{14}, replay(d.resume(t, &a.Position)))
}
