package mesh

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSettling_ARoomIsLookedAtWhenItHasBeenQuiet(t *testing.T) {
	s := settling{after: 2 * time.Second}
	start := time.Unix(1_800_000_000, 12345)
	s.advance(start, nil)
	busy, quiet, again := &feedRoom{}, &feedRoom{}, &feedRoom{}
	at := make(map[*feedRoom][]time.Duration)
	s.touch(quiet, start)
	for elapsed := time.Duration(0); elapsed < 10*time.Second; elapsed += 50 * time.Millisecond {
		if elapsed < 5*time.Second {
			s.touch(busy, start.Add(elapsed))
		}
		if elapsed == 0 || elapsed == 6*time.Second {
			s.touch(again, start.Add(elapsed))
		}
		s.advance(start.Add(elapsed), func(r *feedRoom) { at[r] = append(at[r], elapsed) })
	}
	const late = 2 * 250 * time.Millisecond // two parts of the wheel
	for name, c := range map[string]struct {
		room *feedRoom
		due  []time.Duration
	}{
		"quiet": {quiet, []time.Duration{2 * time.Second}},
		"busy":  {busy, []time.Duration{6950 * time.Millisecond}}, // after the last of it, and never before
		"again": {again, []time.Duration{2 * time.Second, 8 * time.Second}},
	} {
		if assert.Len(t, at[c.room], len(c.due), name) {
			for i, due := range c.due {
				assert.InDelta(t, due+late/2, at[c.room][i], float64(late/2), name)
			}
		}
	}
}

func TestSettling_ALongPauseForgetsNobody(t *testing.T) {
	s := settling{after: 2 * time.Second}
	start := time.Unix(1_800_000_000, 0)
	s.advance(start, nil)
	rooms := make([]feedRoom, 100)
	for i := range rooms {
		s.touch(&rooms[i], start.Add(time.Duration(i)*30*time.Millisecond))
		s.advance(start.Add(time.Duration(i)*30*time.Millisecond), func(*feedRoom) {})
	}
	looked := 0
	for i := range rooms {
		if !rooms[i].settling {
			looked++
		}
	}
	s.advance(start.Add(time.Hour), func(*feedRoom) { looked++ })
	assert.Equal(t, len(rooms), looked)
}

func TestSettling_Off(t *testing.T) {
	var s settling
	room := &feedRoom{}
	s.touch(room, time.Now())
	assert.False(t, room.settling)
	assert.Positive(t, s.interval(), "a ticker wants that")
}
