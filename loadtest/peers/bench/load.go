package main

import (
	"time"

	"github.com/tidingsmesh/tidings/loadtest/scenario"
)

// Names of what is measured; all but idle are scenarios of the runner.
const (
	wide        = "wide"
	narrow      = "narrow"
	burstWide   = "burst-wide"
	burstNarrow = "burst-narrow"
	single      = "single"
	kill        = "kill"
	idle        = "idle"
)

// size of an event's data, bytes.
const size = 200

// members of a small room.
const members = 10

// haste is within what time clients come back in kill, again and again: the servers are compared, not the patience of clients.
const haste = 200 * time.Millisecond

// loads are the scenarios for so many clients.
func loads(clients int, quick bool) map[string]*scenario.Scenario {
	warmup, window := 2*time.Second, 6*time.Second
	if quick {
		warmup, window = time.Second, 2*time.Second
	}
	load := func(name string, clients, rooms int, rate float64, burst int) *scenario.Scenario {
		return &scenario.Scenario{
			Name: name, Clients: clients, Warmup: warmup, Duration: window, Repeat: 1,
			Groups: []scenario.Group{{
				Kind: "room", Rooms: rooms, PerClient: 1, Rate: rate, Burst: burst, Size: size,
				Events: []scenario.Event{{Type: scenario.DefaultEventType, Weight: 1}},
			}},
		}
	}
	rooms := clients / members
	death := load(kill, clients/2, rooms/2, float64(rooms/2), 1)
	death.Reconnect = true
	death.Duration = 8 * time.Second
	death.Fault = &scenario.Fault{Kind: scenario.Kill, After: 2 * time.Second}
	return map[string]*scenario.Scenario{
		wide:        load(wide, clients, 1, 10, 1),
		narrow:      load(narrow, clients, rooms, float64(rooms), 1),
		single:      load(single, clients, 1, 1, 1),
		burstWide:   load(burstWide, clients, 1, 10, 10),
		burstNarrow: load(burstNarrow, clients, rooms, float64(rooms), 10),
		kill:        death,
	}
}

// steps is what a contestant goes through in a round.
func (c *contestant) steps() []string {
	steps := []string{idle, wide, narrow}
	if c.ratios {
		steps = append(steps, single, burstWide, burstNarrow)
	}
	if c.whole {
		steps = append(steps, kill)
	}
	return steps
}
