package mesh

import "time"

// settling are the rooms in which something happened lately: they are compared with the stream a while
// after it. A message that was lost in the middle of a room shows with the next one, so only the end of
// activity needs a look; a busy room costs nothing here. It belongs to the feed's loop.
type settling struct {
	after time.Duration // 0: never
	slots [settleSlots][]*feedRoom
	tick  int64 // the last that was handled, see tickOf
}

// settleSlots is the length of the wheel; a room is compared within two parts of settleParts after its
// time.
const (
	settleSlots = settleParts + 2
	settleParts = 8
)

func (s *settling) tickOf(t time.Time) int64 { return t.UnixNano() / int64(s.interval()) }

// interval is how often advance wants to be called.
func (s *settling) interval() time.Duration {
	if s.after == 0 {
		return time.Hour // there is nothing to advance
	}
	return max(s.after/settleParts, time.Millisecond)
}

// touch notes that something happened in a room.
func (s *settling) touch(room *feedRoom, now time.Time) {
	if s.after == 0 {
		return
	}
	room.touched = now
	if !room.settling {
		room.settling = true
		s.put(room)
	}
}

func (s *settling) put(room *feedRoom) {
	slot := &s.slots[max(s.due(room), s.tick+1)%settleSlots]
	*slot = append(*slot, room)
}

// due is the tick at which a room has been quiet for long enough.
func (s *settling) due(room *feedRoom) int64 { return s.tickOf(room.touched.Add(s.after)) + 1 }

// advance calls quiet for every room whose time has come.
func (s *settling) advance(now time.Time, quiet func(*feedRoom)) {
	to := s.tickOf(now)
	s.tick = max(s.tick, to-settleSlots) // each slot once is enough, however long ago the last call was
	for s.tick < to {
		s.tick++
		slot := &s.slots[s.tick%settleSlots]
		rooms := *slot
		*slot = nil
		for _, room := range rooms {
			if s.due(room) > s.tick {
				s.put(room) // something happened since
				continue
			}
			room.settling = false
			quiet(room)
		}
	}
}
