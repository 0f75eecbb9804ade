package continuity_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh/continuity"
)

func TestRoom_GapIsRepairedInOrder(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	assert.Equal(t, mustRead, d.live(msg(13, 12)))
	assert.True(t, d.room.Repairing())
	assert.Equal(t, nothing, d.live(msg(14, 13)), "one read at a time")
	assert.Equal(t, uint64(14), d.room.Wanted())
	// The read began before 14 and saw no more than 13.
	d.room.Repaired(history(msg(10, 9), msg(11, 10), msg(12, 11), msg(13, 12)), 13, everFirst, d.now, &d.out)
	assert.Equal(t, emitted(11, 12, 13, 14), d.done())
	assert.False(t, d.room.Repairing())
}

func TestRoom_GapBehindARepairIsRepairedToo(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	d.live(msg(12, 11), msg(15, 14))
	d.room.Repaired(history(msg(10, 9), msg(11, 10), msg(12, 11)), 12, everFirst, d.now, &d.out)
	assert.Equal(t, did{Emit: []uint64{11, 12}, Repair: true}, d.done())
	assert.Equal(t, emitted(14, 15), d.repaired(everFirst, msg(12, 11), msg(14, 12), msg(15, 14)))
}

func TestRoom_LateRepairIsIgnored(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	assert.Equal(t, nothing, d.repaired(everFirst, msg(10, 9), msg(11, 10)))
	assert.Equal(t, emitted(11), d.live(msg(11, 10)))
}

func TestRoom_BufferOverflowIsReadFromTheStream(t *testing.T) {
	t.Parallel()
	small := func(c *continuity.Config) { c.Buffer = 2 }

	d := joined(msg(10, 9), small)
	d.live(msg(12, 11), msg(13, 12), msg(14, 13), msg(15, 14))
	d.room.Repaired(history(msg(10, 9), msg(11, 10), msg(12, 11)), 12, everFirst, d.now, &d.out)
	assert.Equal(t, did{Emit: []uint64{11, 12, 13}, Repair: true}, d.done())
	assert.Equal(t, uint64(15), d.room.Wanted(), "a read that does not reach what was dropped is stale")
	assert.Equal(t, emitted(14, 15), d.repaired(everFirst, msg(13, 12), msg(14, 13), msg(15, 14)))

	d = newDesk(small)
	d.live(msg(10, 9), msg(11, 10), msg(12, 11))
	assert.Equal(t, did{Emit: []uint64{11}, Repair: true}, d.sync(new(msg(10, 9)), 10), "while joining")
	assert.Equal(t, uint64(12), d.room.Wanted())
	assert.Equal(t, emitted(12), d.repaired(everFirst, msg(11, 10), msg(12, 11)))
}

func TestRoom_OverrunHistoryResetsMembers(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9), func(c *continuity.Config) { c.Limits.History = 3 })
	d.live(msg(20, 19))
	three := history(msg(18, 17), msg(19, 18), msg(20, 19))
	assert.Equal(t, mustRead, d.repaired(everFirst, three...))
	assert.Equal(t, continuity.NeedWait, d.need(at(10)), "nobody is answered before it is known where the room goes on")
	assert.Equal(t, continuity.NeedWait, d.need(nil))
	assert.Equal(t, did{Reset: continuity.ReasonTruncated}, d.repaired(everFirst, three...))
	assert.Equal(t, "e20", d.room.Position().ID)
	assert.Equal(t, emitted(21), d.live(msg(21, 20)))
}

func TestRoom_LostTailIsFoundByTheAudit(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	assert.Equal(t, nothing, d.audit(new(msg(10, 9)), 11))
	assert.Equal(t, mustRead, d.audit(new(msg(13, 12)), 14))
	assert.Equal(t, uint64(13), d.room.Wanted())
	assert.Equal(t, nothing, d.audit(new(msg(13, 12)), 15), "not while it repairs")
	assert.Equal(t, emitted(12, 13), d.repaired(everFirst, msg(10, 9), msg(12, 10), msg(13, 12)))
	assert.Equal(t, nothing, d.audit(new(msg(13, 12)), 16))
}

func TestRoom_AuditThatLiveMessagesOvertookIsHarmless(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	d.live(msg(12, 10), msg(13, 12))
	assert.Equal(t, nothing, d.audit(new(msg(10, 9)), 11))
	assert.Equal(t, nothing, d.audit(new(msg(13, 12)), 14))
}

func TestRoom_AuditKeepsAQuietRoomsPositionYoung(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	d.audit(new(msg(10, 9)), 5000)
	pos := *at(10)
	pos.TS = storedAt(5000)
	assert.Equal(t, pos, d.resume(t, at(10)).Position)
}

func TestRoom_LiveMessagesDoNotMakeAPositionYoungerThanTheyAre(t *testing.T) {
	t.Parallel()
	// An edge that was stopped for an hour takes what waited: what came after is not known yet.
	d := joined(msg(10, 9))
	d.now += hour
	d.room.Live(msg(11, 10), d.now, &d.out)
	assert.Equal(t, storedAt(11), d.room.Position().TS)
}

func TestRoom_NewestRemovedByTheLimitsIsNoLoss(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	require.Equal(t, nothing, d.audit(new(msg(10, 9)), 1000))
	assert.Equal(t, mustRead, d.audit(nil, 1030), "the proof tells")
	// Nothing that is gone was stored after the room was last compared.
	assert.Equal(t, nothing, d.repaired(continuity.FirstStored{Seq: 900, Time: storedAt(900)}))
	assert.Equal(t, nothing, d.audit(nil, 1060), "once is enough")
	assert.Equal(t, emitted(1070), d.live(msg(1070, 0)))
}

func TestRoom_NewestRemovedPerhapsWithOthersIsALoss(t *testing.T) {
	t.Parallel()
	d := joined(msg(10, 9))
	require.Equal(t, mustRead, d.audit(nil, 1030))
	first := continuity.FirstStored{Seq: 900, Time: storedAt(900)}
	assert.Equal(t, mustRead, d.repaired(first))
	assert.Equal(t, did{Reset: continuity.ReasonTruncated}, d.repaired(first))
	fence := continuity.Position{Epoch: "one", Seq: 899, TS: storedAt(1030)}
	assert.Equal(t, fence, d.room.Position(), "an empty room's fence is before all that the stream has")
	assert.Equal(t, emitted(1040), d.live(msg(1040, 0)))
}

// TestRoom_RollbackIsTold: each way in which a stream that lost acked messages shows itself.
func TestRoom_RollbackIsTold(t *testing.T) {
	t.Parallel()
	live := func(messages ...continuity.Message) func(*desk) did {
		return func(d *desk) did { return d.live(messages...) }
	}
	audit := func(last *continuity.Message, fence uint64) func(*desk) did {
		return func(d *desk) did { return d.audit(last, fence) }
	}
	cases := map[string]struct {
		head   func() *desk
		shows  func(*desk) did
		newest continuity.Message
	}{
		"a message follows an older one":          {nil, live(msg(30, 15)), msg(30, 15)},
		"the newest sequence is used again":       {nil, live(other(20, 15)), other(20, 15)},
		"it is, and nobody decoded it":            {nil, live(continuity.Message{Seq: 20, Prev: 15, Time: storedAt(20) + 1}), other(20, 15)},
		"an older sequence is used again":         {nil, live(other(17, 15)), other(17, 15)},
		"a sequence is used where nothing was":    {nil, live(other(18, 15)), other(18, 15)},
		"a much older sequence is used again":     {nil, live(func() continuity.Message { m := other(3, 0); m.Time += hour; return m }()), other(3, 0)},
		"the audit finds another message there":   {nil, audit(new(other(20, 15)), 40), other(20, 15)},
		"the audit finds an older newest":         {nil, audit(new(msg(15, 14)), 40), msg(15, 14)},
		"a message has the sequence of the fence": {func() *desk { return empty(50) }, live(other(50, 0)), other(50, 0)},
		"a message has one before the fence":      {func() *desk { return empty(50) }, live(other(45, 0)), other(45, 0)},
		"the audit finds one before the fence":    {func() *desk { return empty(50) }, audit(new(other(45, 0)), 60), other(45, 0)},
		"a message follows one before the fence":  {func() *desk { return empty(50) }, live(msg(200, 49)), msg(200, 49)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := joined(msg(15, 14))
			d.live(msg(17, 15), msg(20, 17))
			if c.head != nil {
				d = c.head()
			}
			require.Equal(t, mustRead, c.shows(d))
			assert.Equal(t, uint64(1), d.room.Head(), "all that there is has to be read")
			assert.Equal(t, did{Reset: continuity.ReasonEpoch}, d.repaired(everFirst, c.newest))
			assert.Equal(t, c.newest.ID, d.room.Position().ID)
			next := msg(c.newest.Seq+50, c.newest.Seq)
			assert.Equal(t, emitted(next.Seq), d.live(next))
		})
	}
}

func TestRoom_StreamThatIsShorterThanBeforeIsTold(t *testing.T) {
	t.Parallel()
	d := joined(msg(100, 90))
	require.Equal(t, nothing, d.audit(new(msg(100, 90)), 101))
	// Rolled back to 80; the fence of one audit may have been set before the last message came.
	assert.Equal(t, mustRead, d.audit(new(msg(70, 60)), 81))
	assert.Equal(t, did{Reset: continuity.ReasonEpoch}, d.repaired(everFirst, msg(70, 60)))
}

func TestRoom_RepairThatMeetsARollbackIsTold(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		during []continuity.Message
		read   []continuity.Message
	}{
		"what was announced is gone":              {nil, history(msg(20, 15), msg(21, 20))},
		"the last one is another":                 {nil, history(other(20, 15), msg(25, 20))},
		"the last one is gone":                    {nil, history(msg(25, 15))},
		"all is gone":                             {nil, nil},
		"a sequence is used again while it reads": {history(continuity.Message{Seq: 20, Prev: 15, Time: storedAt(20) + 1}), history(msg(20, 15), msg(23, 20), msg(25, 23))},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := joined(msg(20, 15))
			require.Equal(t, mustRead, d.live(msg(25, 23)))
			require.Equal(t, nothing, d.live(c.during...))
			assert.Equal(t, mustRead, d.repaired(everFirst, c.read...))
			assert.Equal(t, did{Reset: continuity.ReasonEpoch}, d.repaired(everFirst, msg(15, 14)), "and what was announced is not waited for again")
			assert.Equal(t, "e15", d.room.Position().ID)
		})
	}
}

func TestRoom_MembersAreToldOnceWhenTheStreamGoesBackTwice(t *testing.T) {
	t.Parallel()
	d := joined(msg(20, 15))
	require.Equal(t, mustRead, d.live(msg(30, 10)))
	// What comes while it reads is from yet another history.
	require.Equal(t, nothing, d.live(msg(33, 7)))
	assert.Equal(t, mustRead, d.repaired(everFirst, msg(10, 9), msg(30, 10)))
	assert.Equal(t, did{Reset: continuity.ReasonEpoch}, d.repaired(everFirst, msg(7, 6), msg(33, 7)))
}

func TestRoom_RecreatedStreamIsTold(t *testing.T) {
	t.Parallel()
	d := joined(msg(20, 15))
	d.cfg.Limits.Epoch = "two"
	assert.Equal(t, did{Reset: continuity.ReasonEpoch}, d.audit(new(msg(3, 2)), 4))
	assert.Equal(t, continuity.Position{Epoch: "two", Seq: 3, ID: "e3", TS: storedAt(20)}, d.room.Position())
	assert.Equal(t, continuity.ReasonEpoch, d.resume(t, at(3)).Reason, "positions of the old one match nothing")
	assert.Equal(t, emitted(5), d.live(msg(5, 3)))

	d = joined(msg(20, 15))
	d.live(msg(30, 29))
	d.cfg.Limits.Epoch = "two"
	assert.Equal(t, mustRead, d.repaired(everFirst))
	assert.Equal(t, did{Reset: continuity.ReasonEpoch}, d.repaired(everFirst), "while it repairs, and the room is empty now")
	assert.Equal(t, continuity.Position{Epoch: "two", Seq: 1, TS: storedAt(30)}, d.room.Position())
	assert.Equal(t, emitted(5), d.live(msg(5, 0)))
}

func TestRoom_RecreatedStreamThatWasTakenForTheOldOneIsTold(t *testing.T) {
	t.Parallel()
	// The snapshot was of the old stream although its epoch had changed already.
	d := joined(msg(20, 15))
	d.cfg.Limits.Epoch = "two"
	d.audit(new(msg(5000, 4999)), 5001)
	require.Equal(t, uint64(5000), d.room.Position().Seq)
	assert.Equal(t, mustRead, d.audit(new(msg(3, 2)), 4), "fences go up, or the stream is another")
	assert.Equal(t, did{Reset: continuity.ReasonEpoch}, d.repaired(everFirst, msg(3, 2)))
}
