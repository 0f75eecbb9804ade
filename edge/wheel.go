package edge

// wheel fires sessions at whole seconds. Its precision is its tick; what is due later than one turn
// comes round again. It belongs to a shard's loop.
type wheel struct {
	slots [wheelSlots][]*session
	now   uint32 // the last second that was handled
}

// wheelSlots is the length of a turn in seconds; longer than the usual ping interval.
const wheelSlots = 64

// set makes s fire at a second. An earlier setting is superseded, never removed: a session knows
// its own second and the wheel passes over the rest.
func (w *wheel) set(s *session, at uint32) {
	at = max(at, w.now+1)
	if s.firesAt == at {
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
		var later []*session
		for _, s := range due {
			switch {
			case s.state == stateGone || s.firesAt < w.now:
			case s.firesAt > w.now:
				if s.firesAt%wheelSlots == w.now%wheelSlots {
					later = append(later, s)
				}
			default:
				s.firesAt = 0
				fire(s)
			}
		}
		*slot = append(*slot, later...)
	}
}
