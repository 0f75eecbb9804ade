package runner

import "time"

// Options of a run. The zero value is good.
type Options struct {
	// Workers is the number of client processes; 0: as few as the file limit allows.
	Workers int
	// WorkerCommand starts one; nil: this program with "loadtest worker".
	WorkerCommand []string
	// Haste is that of swarm.Config: how soon clients come back, when not as browsers do.
	Haste time.Duration
	// Patience is how long the run waits for clients that neither come in nor fail, and for events that do not
	// arrive. Default 15 s.
	Patience time.Duration
	// Progress hears what goes on, about four times a second, from one goroutine. It must not block.
	Progress func(Snapshot)
	// Args are the command line, for the report.
	Args []string
}

// Phase is what a run is doing.
type Phase string

// The phases, in their order.
const (
	PhasePrepare Phase = "prepare" // tokens, publisher, client processes
	PhaseConnect Phase = "connect" // until every client has joined or failed
	PhaseWarmup  Phase = "warm-up" // load, not measured
	PhaseMeasure Phase = "measure"
	PhaseFinish  Phase = "finish" // until the last event has arrived
	PhaseDone    Phase = "done"
)

// Snapshot is what a run is like at a moment.
type Snapshot struct {
	Run, Runs int // 1 of 3
	Phase     Phase
	Elapsed   time.Duration // in this phase
	Length    time.Duration // of this phase; 0: not known

	Clients, Connected, Failed int
	// PublishedPerSecond and ReceivedPerSecond are over the last second or so.
	PublishedPerSecond, ReceivedPerSecond float64
	// P50 and P99 of the latency over the last second or so; 0 when nothing came.
	P50, P99 time.Duration
	Errors   map[string]int // what went wrong so far, by reason: of clients and of publishing
	CPU      float64        // processors in use by the target's processes; 0 when they are not known
	RSS      uint64         // bytes of the same
	Harness  float64        // share of time for which the busiest client process is not waiting
	Fault    string         // what is broken at present
}
