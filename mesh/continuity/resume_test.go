package continuity_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// busy is a desk that follows since 100 and has 110 to 130 in its ring.
func busy(change ...func(*continuity.Config)) *desk {
	d := joined(msg(100, 90), change...)
	d.live(msg(110, 100), msg(120, 110), msg(130, 120))
	return d
}

func TestRoom_ResumeFromTheRingNeedsNoRead(t *testing.T) {
	t.Parallel()
	d := busy()
	for since, want := range map[uint64][]uint64{100: {110, 120, 130}, 110: {120, 130}, 130: nil} {
		a := d.resume(t, at(since))
		assert.Equal(t, want, replay(a), since)
		assert.Empty(t, a.Reason)
		assert.False(t, a.First)
		assert.Equal(t, *at(130), a.Position)
	}
	assert.Equal(t, []uint64{120, 130}, replay(d.resume(t, atFence(115))), "a position between two messages")
}

func TestRoom_ResumeDuringARepairStandsAtWhatWasSent(t *testing.T) {
	t.Parallel()
	d := busy()
	require.Equal(t, mustRead, d.live(msg(150, 140)))
	a := d.resume(t, at(110))
	assert.Equal(t, []uint64{120, 130}, replay(a))
	assert.Equal(t, uint64(130), a.Position.Seq, "what the repair brings comes live")
	assert.Equal(t, continuity.NeedWait, d.need(at(150)), "it may bring what the client has")
	d.repaired(everFirst, msg(130, 120), msg(140, 130), msg(150, 140))
	assert.Empty(t, replay(d.resume(t, at(150))))
}

func TestRoom_AnswersDoNotShareTheRingsMemory(t *testing.T) {
	t.Parallel()
	d := joined(msg(1, 0), func(c *continuity.Config) { c.RingEntries = 4 })
	last := uint64(1)
	for seq := uint64(2); seq < 40; seq++ {
		d.live(msg(seq, last))
		last = seq
	}
	a, b := d.resume(t, at(37)), d.resume(t, at(37))
	want := slices.Clone(a.Replay)
	clear(b.Replay)
	for seq := last + 1; seq < 60; seq++ {
		d.live(msg(seq, last))
		last = seq
	}
	assert.Equal(t, want, a.Replay)
}

func TestRoom_ResumeFromTheStreamIsProvedByTheAnchor(t *testing.T) {
	t.Parallel()
	d := busy()
	a := d.fetched(t, at(70), continuity.FirstStored{}, msg(70, 60), msg(80, 70), bad(90, 80), msg(100, 90), msg(110, 100), msg(120, 110), msg(130, 120))
	assert.Empty(t, a.Reason)
	assert.Equal(t, []uint64{80, 100, 110, 120, 130}, replay(a))
	assert.Equal(t, *at(130), a.Position)
	assert.Equal(t, []uint64{100, 110, 120, 130}, replay(d.resume(t, at(80))), "the next one is served from the ring")
	assert.Equal(t, continuity.NeedFetch, d.need(at(60)))
}

func TestRoom_ReplayEndsWhereTheRoomStands(t *testing.T) {
	t.Parallel()
	// The read found 140, which is still on its way here: it comes live, and must not come twice.
	d := busy()
	a := d.fetched(t, at(90), continuity.FirstStored{}, msg(90, 80), msg(100, 90), msg(110, 100), msg(120, 110), msg(130, 120), msg(140, 130))
	assert.Equal(t, []uint64{100, 110, 120, 130}, replay(a))
	assert.Equal(t, *at(130), a.Position)
	assert.Equal(t, emitted(140), d.live(msg(140, 130)))
}

func TestRoom_ReplayContinuesWhereTheReadEnded(t *testing.T) {
	t.Parallel()
	d := busy()
	h := d.room.Fetched(80, d.room.Wanted(), history(msg(80, 70), msg(90, 80), msg(100, 90), msg(110, 100), msg(120, 110), msg(130, 120)), continuity.FirstStored{})
	d.live(msg(140, 130), msg(150, 140))
	a, need := d.room.ResumeFrom(h, at(80), d.now)
	require.Equal(t, continuity.NeedNothing, need)
	assert.Equal(t, []uint64{90, 100, 110, 120, 130, 140, 150}, replay(a))
}

func TestRoom_HistoryThatTheRingHasLeftBehindIsReadAgain(t *testing.T) {
	t.Parallel()
	d := busy(func(c *continuity.Config) { c.RingEntries = 1 })
	h := d.room.Fetched(90, 130, history(msg(90, 80), msg(100, 90), msg(110, 100), msg(120, 110), msg(130, 120)), continuity.FirstStored{})
	d.live(msg(140, 130), msg(150, 140))
	_, need := d.room.ResumeFrom(h, at(90), d.now)
	assert.Equal(t, continuity.NeedFetch, need, "140 is in neither")
	_, need = d.room.ResumeFrom(h, at(80), d.now)
	assert.Equal(t, continuity.NeedFetch, need, "what came before 90 is in neither")
}

func TestRoom_HistoryOfAnotherTimeIsNotMixedWithTheRing(t *testing.T) {
	t.Parallel()
	// Read before the stream lost 100 and the room was reset.
	d := busy(func(c *continuity.Config) { c.RingEntries = 2 })
	old := history(msg(80, 70), msg(90, 80), msg(100, 90), msg(110, 100), msg(120, 110), msg(130, 120))
	require.Equal(t, mustRead, d.audit(new(other(110, 95)), 200))
	h := d.room.Fetched(80, 130, old, continuity.FirstStored{})
	_, need := d.room.ResumeFrom(h, at(80), d.now)
	assert.Equal(t, continuity.NeedWait, need)
	d.repaired(everFirst, msg(90, 80), other(95, 90), other(110, 95))
	a, need := d.room.ResumeFrom(h, at(80), d.now)
	require.Equal(t, continuity.NeedNothing, need)
	assert.Equal(t, continuity.ReasonEpoch, a.Reason)

	d = busy()
	h = d.room.Fetched(80, 130, old, continuity.FirstStored{})
	d.cfg.Limits.Epoch = "two"
	d.audit(new(msg(90, 80)), 95)
	_, need = d.room.ResumeFrom(h, &continuity.Position{Epoch: "two", Seq: 80, ID: "e80", TS: d.now}, d.now)
	assert.Equal(t, continuity.NeedFetch, need, "of another stream")
}

// TestLimits_Proof: what is read for a client at 50 in a room that is followed since 100, when the
// anchor is not there any more.
func TestLimits_Proof(t *testing.T) {
	t.Parallel()
	newer := history(msg(60, 50), msg(80, 60), msg(100, 80))
	young := func(pos *continuity.Position, seq uint64) *continuity.Position {
		pos.TS = storedAt(seq)
		return pos
	}
	day := 24 * hour
	cases := map[string]struct {
		pos      *continuity.Position
		now      int64
		first    continuity.FirstStored
		messages []continuity.Message
		want     continuity.Reason
	}{
		"fence, all kept":                          {atFence(50), storedAt(200), everFirst, newer, ""},
		"fence, older messages kept":               {atFence(50), storedAt(200), everFirst, append(history(msg(45, 0)), newer...), ""},
		"event, gone although all is kept":         {at(50), storedAt(200), everFirst, newer, continuity.ReasonEpoch},
		"event, another in its place":              {at(50), storedAt(200), everFirst, append(history(other(50, 45)), newer...), continuity.ReasonEpoch},
		"event, only others before it":             {at(50), storedAt(200), everFirst, append(history(msg(45, 0)), newer...), continuity.ReasonEpoch},
		"event, aged while it was the newest":      {young(at(50), 3000), storedAt(3100), continuity.FirstStored{Seq: 55, Time: storedAt(2000)}, history(msg(3050, 0)), ""},
		"fence, aged while nothing came":           {young(atFence(50), 3000), storedAt(3100), continuity.FirstStored{Seq: 55, Time: storedAt(2000)}, history(msg(3050, 0)), ""},
		"nothing came at all":                      {young(at(50), 3000), storedAt(3100), continuity.FirstStored{Seq: 55, Time: storedAt(2000)}, nil, ""},
		"older than anything is kept":              {at(50), storedAt(50) + day, continuity.FirstStored{Seq: 55, Time: storedAt(55)}, newer, continuity.ReasonExpired},
		"almost as old as that":                    {at(50), storedAt(50) + day - minute, continuity.FirstStored{Seq: 55, Time: storedAt(55)}, newer, continuity.ReasonExpired},
		"the size limit came near":                 {young(at(50), 3000), storedAt(3100), continuity.FirstStored{Seq: 55, Time: storedAt(2950)}, newer, continuity.ReasonTruncated},
		"the stream has nothing":                   {young(at(50), 3000), storedAt(3100), continuity.FirstStored{Seq: 9000}, nil, continuity.ReasonTruncated},
		"the size limit overtook the read":         {at(50), storedAt(200), continuity.FirstStored{Seq: 70, Time: storedAt(70)}, append(history(msg(50, 45)), newer...), continuity.ReasonTruncated},
		"valid in the future":                      {young(atFence(50), 300), storedAt(200), continuity.FirstStored{Seq: 55, Time: storedAt(55)}, newer, continuity.ReasonPosition},
		"valid when there were newer ones already": {young(atFence(50), 1000), storedAt(1000), continuity.FirstStored{Seq: 55, Time: storedAt(55)}, newer, continuity.ReasonPosition},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk()
			d.now = c.now
			last := c.messages
			d.sync(func() *continuity.Message {
				if len(last) == 0 {
					return nil
				}
				return &last[len(last)-1]
			}(), 5000)
			a := d.fetched(t, c.pos, c.first, c.messages...)
			assert.Equal(t, c.want, a.Reason)
			if c.want != "" {
				assert.Empty(t, a.Replay)
				assert.Equal(t, d.room.Position(), a.Position)
			}
		})
	}
}

func TestLimits_WithoutMaxAgeNothingExpires(t *testing.T) {
	t.Parallel()
	d := joined(msg(100, 80), func(c *continuity.Config) { c.Limits.MaxAge = 0 })
	d.now += 1000 * 24 * hour
	assert.Empty(t, d.fetched(t, atFence(50), everFirst, msg(60, 50), msg(80, 60), msg(100, 80)).Reason)
}

func TestLimits_HistoryAsLongAsARoomKeepsMayLackMessages(t *testing.T) {
	t.Parallel()
	three := history(msg(60, 50), msg(80, 60), msg(100, 80))
	for keeps, want := range map[int]continuity.Reason{4: "", 3: continuity.ReasonTruncated, 2: continuity.ReasonTruncated, 0: ""} {
		d := joined(msg(100, 80), func(c *continuity.Config) { c.Limits.History = keeps })
		assert.Equal(t, want, d.fetched(t, atFence(50), everFirst, three...).Reason, keeps)
	}
}

func TestRoom_ClientAheadOfTheEdgeIsAnsweredAfterAnAudit(t *testing.T) {
	t.Parallel()
	// It comes from an edge where 140 has arrived already.
	d := busy()
	require.Equal(t, continuity.NeedAudit, d.need(at(140)))
	require.Equal(t, mustRead, d.audit(new(msg(140, 130)), 141))
	require.Equal(t, continuity.NeedWait, d.need(at(140)))
	require.Equal(t, emitted(140), d.repaired(continuity.FirstStored{}, msg(130, 120), msg(140, 130)))
	a := d.resume(t, at(140))
	assert.Empty(t, a.Reason)
	assert.Empty(t, a.Replay)
	assert.Empty(t, d.resume(t, atFence(141)).Reason, "the fence counts when what it found is here")
}

func TestRoom_ClientAtAFenceAheadOfTheEdgeIsRight(t *testing.T) {
	t.Parallel()
	d := empty(50)
	require.Equal(t, continuity.NeedAudit, d.need(atFence(60)))
	require.Equal(t, nothing, d.audit(nil, 70))
	a := d.resume(t, atFence(60))
	assert.Empty(t, a.Reason)
	assert.Equal(t, uint64(50), a.Position.Seq)
	assert.Equal(t, emitted(80), d.live(msg(80, 0)))
}

func TestRoom_ClientBeyondTheStreamIsToldSo(t *testing.T) {
	t.Parallel()
	for _, seq := range []uint64{300, 1<<53 + 1, math.MaxUint64} {
		d := busy()
		pos := at(130)
		pos.Seq = seq
		require.Equal(t, continuity.NeedAudit, d.need(pos))
		require.Equal(t, nothing, d.audit(new(msg(130, 120)), 200))
		require.Equal(t, continuity.NeedAudit, d.need(pos), "it is not there now either")
		assert.Equal(t, continuity.Answer{Position: d.room.Position(), Reason: continuity.ReasonBehind}, d.room.Beyond())
	}
}

func TestRoom_LyingPositionsAreRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		pos  continuity.Position
		want continuity.Reason
	}{
		"zero":                         {continuity.Position{Epoch: "one"}, continuity.ReasonPosition},
		"zero with an id":              {continuity.Position{Epoch: "one", ID: "e0", TS: storedAt(130)}, continuity.ReasonPosition},
		"nothing":                      {continuity.Position{}, continuity.ReasonPosition},
		"another epoch":                {continuity.Position{Epoch: "two", Seq: 120, ID: "e120"}, continuity.ReasonEpoch},
		"another epoch, far ahead":     {continuity.Position{Epoch: "two", Seq: math.MaxUint64}, continuity.ReasonEpoch},
		"no epoch":                     {continuity.Position{Seq: 120, ID: "e120"}, continuity.ReasonEpoch},
		"wrong id":                     {continuity.Position{Epoch: "one", Seq: 120, ID: "e110"}, continuity.ReasonEpoch},
		"wrong id at the ring's base":  {continuity.Position{Epoch: "one", Seq: 100, ID: "e110"}, continuity.ReasonEpoch},
		"id where no message is":       {continuity.Position{Epoch: "one", Seq: 121, ID: "e121"}, continuity.ReasonEpoch},
		"id between head and fence":    {continuity.Position{Epoch: "one", Seq: 140, ID: "e140"}, continuity.ReasonEpoch},
		"id of another room's message": {continuity.Position{Epoch: "one", Seq: 105, ID: "elsewhere"}, continuity.ReasonEpoch},
	}
	for name, c := range cases {
		d := busy()
		d.audit(new(msg(130, 120)), 150)
		assert.Equal(t, continuity.Answer{Position: d.room.Position(), Reason: c.want}, d.resume(t, &c.pos), name)
	}

	d := empty(50)
	assert.Equal(t, continuity.ReasonEpoch, d.resume(t, at(50)).Reason, "id at a fence")
}

func TestRoom_LiarsDoNotGetTheWholeHistory(t *testing.T) {
	t.Parallel()
	// The room had more before; what is left of it began at 500.
	kept := history(msg(500, 490), msg(600, 500), msg(700, 600))
	first := continuity.FirstStored{Seq: 450, Time: storedAt(450)}
	for name, pos := range map[string]continuity.Position{
		"valid today":   {Epoch: "one", Seq: 1, TS: storedAt(700)},
		"valid then":    {Epoch: "one", Seq: 1, ID: "e1", TS: storedAt(2)},
		"valid never":   {Epoch: "one", Seq: 1, ID: "e1"},
		"valid one day": {Epoch: "one", Seq: 1, TS: math.MaxInt64},
		"long before":   {Epoch: "one", Seq: 1, TS: math.MinInt64},
	} {
		d := joined(msg(700, 600))
		a := d.fetched(t, &pos, first, kept...)
		assert.NotEmpty(t, a.Reason, name)
		assert.Empty(t, a.Replay, name)
	}
}

func TestReasons_AreAClosedSet(t *testing.T) {
	t.Parallel()
	assert.ElementsMatch(t, []continuity.Reason{"expired", "epoch", "behind", "truncated", "position"}, continuity.Reasons())
}
