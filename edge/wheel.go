package edge

import "time"

// tick is the precision of all timers of sessions. Nothing fires early, and at most two ticks late.
const tick = 250 * time.Millisecond

// wheelSlots is the length of a turn in ticks: about a minute, longer than the usual ping interval.
const wheelSlots = 256

// wheel fires sessions at ticks. What is due later than one turn comes round again. It belongs to a
// shard's loop.
type wheel struct {
	slots [wheelSlots][]*session
	now   uint32 // the last tick that was handled
}

// set makes s fire at a tick. A session that fires earlier anyway is left where it is: when it fires
// it says again what it waits for. So each setting of a turn is earlier than the one before it, which
// bounds the entries that a session leaves behind.
func (w *wheel) set(s *session, at uint32) {
	at = max(at, w.now+1)
	if s.firesAt != 0 && s.firesAt <= at {
		return
	}
	s.firesAt = at
	slot := &w.slots[at%wheelSlots]
	*slot = append(*slot, s)
}

// advance calls fire for every session that is due up to now. fire may call set.
func (w *wheel) advance(now uint32, fire func(*session)) {
	for w.now < now {
		w.now++
		slot := &w.slots[w.now%wheelSlots]
		due := *slot
		*slot = nil
		for _, s := range due {
			switch {
			case s.state == stateGone:
			case s.firesAt == w.now:
				s.firesAt = 0
				fire(s)
			case s.firesAt > w.now && s.firesAt%wheelSlots == w.now%wheelSlots:
				*slot = append(*slot, s) // in a later turn
			}
		}
	}
}

// ticks is a duration in ticks, one more than it takes because the present one has begun already.
func ticks(d time.Duration) uint32 {
	return uint32((max(d, 0)+tick-1)/tick) + 1 //nolint:gosec // what is configured or left of a token is short enough
}
