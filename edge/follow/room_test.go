package follow_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tidingsmesh/tidings/edge/follow"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/continuity"
)

func position(seq uint64) *wire.Position {
	return &wire.Position{Epoch: "e", Seq: seq, ID: fmt.Sprint("evt-", seq), TS: int64(1000 + seq)}
}

func first(seq uint64) wire.ServerFrame {
	return wire.ServerFrame{Op: wire.OpJoined, Position: position(seq)}
}

func recovered(seq uint64, replay int) wire.ServerFrame {
	f := first(seq)
	f.Recovered, f.Replay = new(true), replay
	return f
}

func lost(seq uint64, reason continuity.Reason) wire.ServerFrame {
	f := first(seq)
	f.Recovered, f.Reason = new(false), reason
	return f
}

func event(seq, prev uint64) wire.ServerFrame {
	return wire.ServerFrame{
		Op: wire.OpEvent, Seq: seq, Prev: prev, TS: int64(1000 + seq), Event: fmt.Appendf(nil, `{"id":"evt-%d"}`, seq),
	}
}

func joined(seq uint64) *follow.Room {
	r := &follow.Room{Name: "campaign:42"}
	r.Joined(first(seq))
	return r
}

func TestRoom_FirstJoinIsNoReset(t *testing.T) {
	r := &follow.Room{Name: "campaign:42"}
	assert.Equal(t, wire.RoomRef{Room: "campaign:42"}, r.Ref())
	assert.Equal(t, follow.Duplicate, r.Event(event(3, 2)), "before the answer")
	assert.False(t, r.Joined(first(7)))
	assert.Equal(t, follow.Live, r.State)
	assert.Equal(t, position(7), r.Ref().Since)
}

func TestRoom_AppliesInOrderOnce(t *testing.T) {
	r := joined(7)
	assert.Equal(t, follow.New, r.Event(event(9, 7)))
	assert.Equal(t, follow.Duplicate, r.Event(event(9, 7)))
	assert.Equal(t, follow.Duplicate, r.Event(event(8, 7)))
	assert.Equal(t, follow.New, r.Event(event(12, 8)), "a predecessor before the position is no gap")
	assert.Equal(t, position(12), r.At)
}

func TestRoom_AGapIsNotApplied(t *testing.T) {
	r := joined(7)
	assert.Equal(t, follow.Early, r.Event(event(12, 9)))
	assert.Equal(t, position(7), r.Ref().Since, "it joins again from where it stands")
}

func TestRoom_AReplayIsCountedNotCompared(t *testing.T) {
	r := joined(7)
	r.Restart()
	assert.Equal(t, follow.Joining, r.State)
	assert.False(t, r.Joined(recovered(20, 2)))
	assert.True(t, r.Replaying())
	assert.Equal(t, follow.New, r.Event(event(10, 9)), "its predecessor may be one that nobody was sent")
	assert.Equal(t, position(10), r.Ref().Since, "a connection lost now resumes here")
	assert.Equal(t, follow.New, r.Event(event(15, 10)))
	assert.Equal(t, position(20), r.At)
	assert.False(t, r.Replaying())
}

func TestRoom_AReplayThatRepeatsIsStillCounted(t *testing.T) {
	r := joined(7)
	r.Event(event(10, 7))
	r.Joined(recovered(15, 2)) // asked for from 7, over a connection that is gone
	assert.Equal(t, follow.Duplicate, r.Event(event(10, 7)))
	assert.Equal(t, follow.New, r.Event(event(15, 10)))
	assert.False(t, r.Replaying())
	assert.Equal(t, follow.Early, r.Event(event(17, 16)))
}

func TestRoom_AnOlderAnswerDoesNotTurnBack(t *testing.T) {
	r := joined(7)
	r.Event(event(9, 7))
	r.Joined(recovered(7, 0))
	assert.Equal(t, position(9), r.At)
}

func TestRoom_ALateFirstAnswerIsNoProof(t *testing.T) {
	r := &follow.Room{Name: "campaign:42"}
	r.Joined(first(7)) // over the connection that is being left
	r.Restart()
	assert.False(t, r.Joined(first(12)), "over the other one, which was asked before there was a position")
	assert.Equal(t, follow.Gap, r.State, "8 to 12 may be missing")
	assert.Equal(t, position(7), r.Ref().Since, "it joins again from where it stands")
	r.Joined(recovered(12, 1))
	assert.Equal(t, follow.Live, r.State)
	assert.Equal(t, follow.New, r.Event(event(11, 9)))

	r.Joined(first(12))
	assert.Equal(t, follow.Live, r.State, "nothing is missing")
	other := first(3)
	other.Position.Epoch = "f"
	r.Joined(other)
	assert.Equal(t, follow.Gap, r.State, "nothing is known of another history")
}

func TestRoom_ResetMovesToTheNewPosition(t *testing.T) {
	for reason, stands := range map[continuity.Reason]uint64{
		continuity.ReasonTruncated: 20, continuity.ReasonExpired: 20, continuity.ReasonEpoch: 3, continuity.ReasonBehind: 3,
	} {
		r := joined(7)
		assert.True(t, r.Joined(lost(stands, reason)))
		assert.Equal(t, position(stands), r.At, reason)
	}
	r := joined(7)
	assert.True(t, r.Joined(lost(3, continuity.ReasonTruncated)))
	assert.Equal(t, uint64(7), r.At.Seq, "in the same history what was applied is not applied again")
}

func TestRoom_PingsKeepAQuietPositionYoung(t *testing.T) {
	r := joined(7)
	r.Refresh(5000)
	assert.Equal(t, int64(5000), r.At.TS)
	r.Refresh(4000)
	assert.Equal(t, int64(5000), r.At.TS)

	r.Lagged()
	r.Refresh(6000)
	assert.Equal(t, int64(5000), r.At.TS, "the edge has more for it")
	r.Event(event(8, 7))
	r.Refresh(7000)
	assert.Equal(t, int64(7000), r.At.TS)

	r.Joined(recovered(30, 1))
	r.Refresh(9000)
	assert.Equal(t, int64(7000), r.At.TS, "in a replay")
	r.Restart()
	r.Refresh(9000)
	assert.Equal(t, int64(7000), r.At.TS, "not joined")
}

func TestRoom_DeniedStaysDenied(t *testing.T) {
	r := joined(7)
	r.State = follow.Denied
	r.Restart()
	assert.Equal(t, follow.Denied, r.State)
}
