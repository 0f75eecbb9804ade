package runner

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSlope_IsThatOfALineThroughThePoints(t *testing.T) {
	line := func(slope float64, noise ...float64) []point {
		var points []point
		for i, n := range noise {
			points = append(points, point{float64(i), 100 + slope*float64(i) + n})
		}
		return points
	}
	assert.InDelta(t, 3.0, slope(line(3, 0, 0, 0, 0)), 1e-9)
	assert.InDelta(t, -2.0, slope(line(-2, 1, -1, -1, 1)), 1e-9, "noise that is even takes nothing away")
	assert.Zero(t, slope(line(3, 0, 0)), "two points tell nothing")
	assert.Zero(t, slope([]point{{1, 1}, {1, 2}, {1, 3}}))
}

func TestSince_IsWhatAHistogramHasGained(t *testing.T) {
	earlier, now := newHistogram(), newHistogram()
	record(earlier, 5*time.Millisecond, 3)
	record(now, 5*time.Millisecond, 3)
	record(now, 40*time.Millisecond, 2)
	gained := since(now, earlier)
	assert.EqualValues(t, 2, gained.TotalCount())
	assert.InDelta(t, 40_000, gained.ValueAtPercentile(1), 40)
	assert.EqualValues(t, 5, now.TotalCount(), "it is left as it was")
	assert.EqualValues(t, 5, since(now, nil).TotalCount())
	assert.EqualValues(t, 3, since(earlier, now).TotalCount(), "one that began anew is new as a whole")
}

func TestRecord_LosesNothing(t *testing.T) {
	h := newHistogram()
	for _, d := range []time.Duration{-time.Second, 0, time.Microsecond, 100 * time.Hour} {
		record(h, d, 1)
	}
	assert.EqualValues(t, 4, h.TotalCount())
}

func TestHolder_ManyRoomsAreGrantedAsKinds(t *testing.T) {
	few := Holder{Rooms: []string{"campaign:1", "settlement:2"}}
	assert.Equal(t, few.Rooms, few.patterns())
	many := Holder{Rooms: []string{"campaign:1"}}
	for range manyRooms {
		many.Rooms = append(many.Rooms, "settlement:2")
	}
	assert.Equal(t, []string{"campaign:*", "settlement:*"}, many.patterns())
}

func TestCounted_TellsTheCommonestFirst(t *testing.T) {
	assert.Equal(t, "refused (9), HTTP 503 (7), timeout (2)", counted(map[string]int{"timeout": 2, "refused": 9, "close 4500": 1, "HTTP 503": 7}))
	assert.Equal(t, "no reason is known; the server did not answer in time", counted(nil))
}

func TestHere_KnowsThisMachine(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "192.0.2.1": false, "example.com": false} {
		assert.Equal(t, want, here(host), host)
	}
	assert.Equal(t, "host:4222", hostPort("nats://host"))
	assert.Equal(t, "host:80", hostPort("ws://host/ws"))
	assert.Equal(t, "[::1]:8080", hostPort("ws://[::1]:8080/ws"))
}
