// Package runner takes one scenario to one target: it connects a swarm of clients, publishes at intended times, breaks what
// the scenario asks for, measures both sides, and writes down what came of it as a report.Result.
package runner

import (
	"context"
	"errors"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

// Target is an installation under load. A run calls its methods one at a time, except for Processes, which it calls
// every second beside the others.
type Target interface {
	// Dialect is what its clients speak: a dialect of the swarm.
	Dialect() string
	// URLs are where clients connect, each as ws://host:port/path.
	URLs() []string
	// Tokens has one for each holder, in their order. Servers without tokens answer with empty ones.
	Tokens(ctx context.Context, holders []Holder) ([]string, error)
	// Publisher is for these rooms (kind:id), which the calls of Publish name by their index. The caller closes it. It fails when
	// there is nobody to publish to.
	Publisher(ctx context.Context, rooms []string) (Publisher, error)
	// Processes are those that serve at present, as far as they are on this machine.
	Processes() []Process
	// Fault is a kill, restart or drain (scenario.Fault) of what clients are connected to; it is down for at least that
	// long. It returns when the target serves again; a target that cannot do it says what to give.
	Fault(ctx context.Context, kind string, down time.Duration) error
	// Describe is for the report.
	Describe() report.Target
}

// Holder is who a token is for, and the rooms that it grants.
type Holder struct {
	User  string
	Rooms []string
}

// Publisher sends events as an application does. Publish is called from many goroutines, for one room from one at a time.
type Publisher interface {
	// Publish sends the events to the room in this order and waits for the acks, where the server gives them. More than one
	// is a burst, which is to reach the server at once, as far as the server's own clients can do that. It returns how
	// many of the first events were stored; an error that wraps ErrNotStored says that none of the others can have been.
	Publish(ctx context.Context, room int, events []Event) (stored int, err error)
	Close()
}

// Event is one of a room.
type Event struct {
	N    uint64 // 1, 2, 3 … in the room
	Type string // for targets whose events have one
	Data []byte // a JSON object; not kept after the call
}

// ErrNotStored marks an error of a Publisher after which the event is certainly not on its way, so that the next one may
// have its number.
var ErrNotStored = errors.New("not stored")

// Process is one of the target's on this machine.
type Process struct {
	Name string // as in the report: "edge 1", "nats-server"
	PID  int
	Role string // report.Server or report.Broker
}
