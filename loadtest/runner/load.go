package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
)

const (
	// maxQueued bounds the bursts that are due and not yet published; when so many wait, the schedule waits as well, and
	// what it is late by is counted.
	maxQueued = 1 << 16
	// hopeless is how many publishes may fail before any was acked.
	hopeless = 10
)

// load publishes the events of a scenario, each at its intended time and each room's in order. What cannot be published at its
// time follows as soon as it can, with its intended time unchanged: a slow broker shows in the latency and not as a lower
// rate. run is for one goroutine, the others for any.
type load struct {
	publisher Publisher
	patience  time.Duration // without an ack, after which a failure ends the load
	data      *scenario.Data
	lanes     []*lane       // by room
	flows     []*flow       // by group, those that publish
	slots     chan struct{} // one is taken for each burst on its way
	flying    sync.WaitGroup

	mu       sync.Mutex
	sent     uint64 // since begin, as all below
	acked    uint64
	failed   uint64
	failures map[string]int
	late     *hdrhistogram.Histogram // µs
	lastAck  time.Time
	fatal    error
	giveUp   context.CancelCauseFunc // ends the present run
}

// flow is the schedule of a group.
type flow struct {
	lanes    []*lane
	interval time.Duration // between bursts
	burst    int
	next     time.Duration // since the start of the run
	turn     int
}

// lane publishes to one room, one burst after the other.
type lane struct {
	room int

	mu     sync.Mutex
	queue  []burst
	busy   bool
	n      uint64 // number of the last event
	stored uint64 // since begin
}

type burst struct {
	at    time.Time
	count int
}

// newLoad prepares the events of the scenario for the rooms of a plan.
func newLoad(s *scenario.Scenario, plan scenario.Plan, p Publisher, patience time.Duration) (*load, error) {
	data, err := s.Data(plan)
	if err != nil {
		return nil, err
	}
	l := &load{publisher: p, patience: patience, data: data, slots: make(chan struct{}, maxQueued)}
	for room := range plan.Rooms {
		l.lanes = append(l.lanes, &lane{room: room})
	}
	for g, group := range s.Groups {
		if group.Rate <= 0 {
			continue
		}
		count := max(1, group.Burst)
		f := &flow{burst: count, interval: time.Duration(float64(count) / group.Rate * float64(time.Second))}
		for room, of := range plan.Groups {
			if of == g {
				f.lanes = append(f.lanes, l.lanes[room])
			}
		}
		l.flows = append(l.flows, f)
	}
	l.begin()
	return l, nil
}

// begin starts all counts anew.
func (l *load) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent, l.acked, l.failed, l.failures = 0, 0, 0, map[string]int{}
	l.late = newHistogram()
	for _, lane := range l.lanes {
		lane.mu.Lock()
		lane.stored = 0
		lane.mu.Unlock()
	}
}

// run publishes for so long, and returns when the last event has been acked or given up. The error says why it ended
// early.
func (l *load) run(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.mu.Lock()
	l.giveUp, l.fatal, l.lastAck = cancel, nil, time.Now()
	l.mu.Unlock()

	var schedule sync.WaitGroup
	schedule.Go(func() { l.schedule(ctx, d) })
	schedule.Wait()
	l.flying.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal != nil {
		return l.fatal
	}
	return context.Cause(ctx)
}

// schedule hands out bursts at their times. Groups begin apart from each other, so that they do not all publish at the same
// moments.
func (l *load) schedule(ctx context.Context, d time.Duration) {
	pace := newPacer()
	defer pace.stop()
	start := time.Now()
	for i, f := range l.flows {
		f.next = f.interval * time.Duration(i) / time.Duration(len(l.flows))
	}
	for {
		f := l.soonest()
		if f == nil || f.next >= d {
			// The run takes as long as it was to take, so that rates are right.
			pace.until(ctx, start.Add(d))
			return
		}
		at := start.Add(f.next)
		if !pace.until(ctx, at) {
			return
		}
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		l.flying.Add(1)
		l.push(ctx, f.lanes[f.turn%len(f.lanes)], burst{at: at, count: f.burst})
		f.turn++
		f.next += f.interval
	}
}

// soonest is the group whose next burst is due first, nil when nothing is published at all.
func (l *load) soonest() *flow {
	var first *flow
	for _, f := range l.flows {
		if first == nil || f.next < first.next {
			first = f
		}
	}
	return first
}

// push queues a burst and starts the lane when it is idle.
func (l *load) push(ctx context.Context, lane *lane, b burst) {
	lane.mu.Lock()
	defer lane.mu.Unlock()
	lane.queue = append(lane.queue, b)
	if !lane.busy {
		lane.busy = true
		go l.drain(ctx, lane) // ends when the queue is empty; run waits for every burst
	}
}

// drain publishes what the lane holds, until it holds nothing.
func (l *load) drain(ctx context.Context, lane *lane) {
	for {
		lane.mu.Lock()
		if len(lane.queue) == 0 {
			lane.busy, lane.queue = false, nil
			lane.mu.Unlock()
			return
		}
		b := lane.queue[0]
		lane.queue = lane.queue[1:]
		lane.mu.Unlock()
		if ctx.Err() == nil {
			l.publish(ctx, lane, b)
		}
		<-l.slots
		l.flying.Done()
	}
}

// publish sends one burst; the lane is the caller's.
func (l *load) publish(ctx context.Context, lane *lane, b burst) {
	events := make([]Event, b.count)
	for i := range events {
		n := lane.n + 1 + uint64(i)
		events[i] = Event{N: n, Type: l.data.EventType(lane.room, n), Data: l.data.Append(nil, lane.room, n, b.at)}
	}
	late := time.Since(b.at)
	stored, err := l.publisher.Publish(ctx, lane.room, events)

	used := stored
	if err != nil && !errors.Is(err, ErrNotStored) {
		used = b.count // some of them may arrive
	}
	lane.mu.Lock()
	lane.n += uint64(used)        //nolint:gosec // not negative
	lane.stored += uint64(stored) //nolint:gosec // not negative
	lane.mu.Unlock()
	l.account(b.count, stored, late, err, ctx.Err() != nil)
}

// account counts one burst. A failure because the run is over is none.
func (l *load) account(count, stored int, late time.Duration, err error, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent += uint64(count)   //nolint:gosec // not negative
	l.acked += uint64(stored) //nolint:gosec // not negative
	record(l.late, late, count)
	if stored > 0 {
		l.lastAck = time.Now()
	}
	if err == nil || over {
		return
	}
	l.failed += uint64(count - stored) //nolint:gosec // not negative
	l.failures[reason(err)] += count - stored
	if l.fatal == nil && (time.Since(l.lastAck) > l.patience || l.acked == 0 && l.failed >= hopeless) {
		l.fatal = fmt.Errorf("publishing: %w", err)
		l.giveUp(l.fatal)
	}
}

// reason is an error without what differs from event to event.
func reason(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(text, ErrNotStored.Error()+": ")
}

// last is the number of the newest event of each room.
func (l *load) last() []uint64 {
	last := make([]uint64, len(l.lanes))
	for i, lane := range l.lanes {
		lane.mu.Lock()
		last[i] = lane.n
		lane.mu.Unlock()
	}
	return last
}

// expected is how many deliveries the events since begin are good for, with so many clients in each room.
func (l *load) expected(members []int) uint64 {
	var sum uint64
	for i, lane := range l.lanes {
		lane.mu.Lock()
		sum += lane.stored * uint64(members[i]) //nolint:gosec // not negative
		lane.mu.Unlock()
	}
	return sum
}

// counts are those since begin.
func (l *load) counts() (acked, failed uint64, failures map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked, l.failed, maps.Clone(l.failures)
}

// report is what was published since begin, over so many seconds.
func (l *load) report(seconds float64) report.Publish {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := report.Publish{
		Sent: l.sent, Acked: l.acked, Failed: l.failed, Failures: maps.Clone(l.failures),
		LateMs: report.Summarize(l.late, perMs),
	}
	if seconds > 0 {
		p.PerSecond = float64(l.sent) / seconds
	}
	return p
}
