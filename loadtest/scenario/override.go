package scenario

import "math"

// SetRate makes total the events per second of all groups together, in the proportions there are. Without any, the first group gets all.
func (s *Scenario) SetRate(total float64) {
	sum := 0.0
	for _, g := range s.Groups {
		sum += g.Rate
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		switch {
		case sum > 0:
			g.Rate *= total / sum
		case i == 0:
			g.Rate = total
		}
	}
}

// SetRooms makes total the rooms of all groups together, in the proportions there are, but at least one of each.
func (s *Scenario) SetRooms(total int) {
	sum := 0
	for _, g := range s.Groups {
		sum += g.Rooms
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		g.Rooms = max(int(math.Round(float64(g.Rooms)*float64(total)/float64(max(sum, 1)))), 1)
	}
}

// SetSize makes each event's data that many bytes.
func (s *Scenario) SetSize(bytes int) {
	for i := range s.Groups {
		s.Groups[i].Size = bytes
	}
}
