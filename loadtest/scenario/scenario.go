// Package scenario says what a load test does: how many clients, which rooms, what is published, what breaks. Scenarios are YAML files;
// some are bundled. Nothing here runs one.
package scenario

import "time"

// Scenario is one load test. The zero value of a field is its default where the field names no other. Load returns valid ones; after
// a change by hand, Validate tells.
type Scenario struct {
	Name        string // [a-z0-9-]; a file's name unless it says otherwise
	Description string // one sentence for people

	Clients int // at least 1
	Groups  []Group

	ConnectRate float64       // connections per second; 0: as fast as it goes
	Warmup      time.Duration // from the last join to the measured window, with events; 5s by default
	Duration    time.Duration // of the measured window; 30s by default

	Churn     float64 // leaves that are joined again at once, per second in all
	Slow      *Slow   // nil: every client reads as fast as it can
	Reconnect bool    // clients that lose their connection come back, as browsers do
	Fault     *Fault  // nil: nothing is broken
	Repeat    int     // runs; 1 by default
}

// Group is a number of rooms that are alike.
type Group struct {
	Kind      string  // of the rooms; several groups may share one
	Rooms     int     // at least 1
	PerClient int     // how many of the rooms each client joins; 1 by default, 0 is for rooms without clients
	Rate      float64 // events per second over all rooms of the group; 0: none
	Burst     int     // events at once in the same room, the rate stays; 1 by default
	Size      int     // bytes of an event's data; 200 by default
	Events    []Event // what is published, each by its weight; by default one of DefaultEventType
}

// Event is one type of event that a group publishes.
type Event struct {
	Type   string
	Weight int // its share of the group's events is Weight over the sum of all; 1 by default
	// Fields are members of the data beside the mark and the padding, so that it fits the type's schema. "{id}" in a text is
	// replaced by the id of the room.
	Fields map[string]any
}

// DefaultEventType has no schema, so any data fits it.
const DefaultEventType = "loadtest"

// Slow makes a share of the clients slow readers.
type Slow struct {
	Share          float64 // above 0, at most 1; written 5% or 0.05
	BytesPerSecond int     // at least 1
}

// Kinds of a Fault.
const (
	Disconnect = "disconnect" // every connection is cut at once, from the clients' side
	Kill       = "kill"       // servers are killed and started again after Down
	Restart    = "restart"    // servers are asked to end and are started again after Down
	Drain      = "drain"      // servers are asked to end, one after the other, and say so to their clients
)

// Fault is what happens once in the measured window.
type Fault struct {
	Kind  string
	After time.Duration // from the beginning of the window; a third of the duration by default
	Down  time.Duration // how long what was stopped stays down
}
