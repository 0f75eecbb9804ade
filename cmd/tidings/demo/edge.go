package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/runner/child"
)

const (
	// restartAfter is how long an edge that has ended stays down, long enough to be seen.
	restartAfter = 4 * time.Second
	// drainTime is the --drain of an edge.
	drainTime = 3 * time.Second
	// startTime bounds the start of an edge until it is ready.
	startTime = 30 * time.Second
	// endTime is what an edge gets beyond its drain at the end of the demo before it is killed.
	endTime = 5 * time.Second
)

// state is what an edge is doing.
type state string

const (
	starting state = "starting" // its process runs and is not ready yet
	up       state = "up"
	draining state = "draining" // asked to end, and asking its clients to move
	down     state = "down"     // no process; it is started again restartAfter it ended
)

// errNotNow says that an edge cannot be ended in the state it is in.
var errNotNow = errors.New("not possible now")

// edge is one edge as a real process, started again whenever it has ended. Its methods are safe for concurrent use.
type edge struct {
	name string
	port string // of browsers; the same over all its lives
	log  *slog.Logger

	process *child.Child
	first   chan error // gets the outcome of its first start, once

	mu    sync.Mutex
	state state
	since time.Time // when it came into the state
}

func newEdge(name, port string, process *child.Child, log *slog.Logger) *edge {
	return &edge{
		name: name, port: port, process: process, log: log.With(slog.String("edge", name)),
		first: make(chan error, 1), state: starting, since: time.Now(),
	}
}

// run keeps the edge alive until ctx ends, then ends it in order, or at once when hard ends as well. There is no process
// when it returns.
func (e *edge) run(ctx, hard context.Context) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		e.enter(starting)
		err := e.start(ctx)
		if attempt == 0 {
			e.first <- err
		}
		if err == nil {
			e.enter(up)
			e.log.Info("edge is up", slog.Int("pid", e.process.PID()))
			select {
			case <-e.process.Exited():
				e.log.Info("edge has ended", slog.Duration("again_in", restartAfter))
			case <-ctx.Done():
				e.enter(draining)
				limited, cancel := context.WithTimeout(hard, drainTime+endTime)
				e.process.Stop(limited)
				cancel()
			}
		} else if ctx.Err() == nil {
			e.log.Warn("edge did not start", slog.String("error", err.Error()))
		}
		e.enter(down)
		pause(ctx, restartAfter)
	}
}

func (e *edge) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	err := e.process.Restart(ctx)
	if err != nil {
		e.process.Kill() // it may run without ever being ready
	}
	return err
}

func (e *edge) enter(s state) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state, e.since = s, time.Now()
}

// kill ends the process at whatever it is doing.
func (e *edge) kill() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != up && e.state != draining {
		return fmt.Errorf("%w: %s is %s, there is nothing to kill", errNotNow, e.name, e.state)
	}
	e.process.Signal(syscall.SIGKILL)
	e.state, e.since = down, time.Now()
	return nil
}

// drain asks the process to end in order.
func (e *edge) drain() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != up {
		return fmt.Errorf("%w: %s is %s, only an edge that is up can be drained", errNotNow, e.name, e.state)
	}
	e.process.Signal(syscall.SIGTERM)
	e.state, e.since = draining, time.Now()
	return nil
}

// status is what the page shows of an edge.
type status struct {
	Name  string    `json:"name"`
	URL   string    `json:"url"`
	State state     `json:"state"`
	PID   int       `json:"pid"` // 0 while there is no process
	Since time.Time `json:"since"`
}

// status is what there is to see now; host is the one under which the page was asked for.
func (e *edge) status(host string) status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := status{Name: e.name, URL: e.url(host), State: e.state, Since: e.since.UTC()}
	if e.state == up || e.state == draining {
		s.PID = e.process.PID()
	}
	return s
}

// pause waits until the time is over or ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
