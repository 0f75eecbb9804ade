package history

import (
	"errors"
	"fmt"
	"time"
)

// Invariant is something that has to hold in every history.
type Invariant string

const (
	// Ordered: what a client applies of a room goes forward in the stream, unless it was told that the
	// stream has another history.
	Ordered Invariant = "order"
	// Complete: between two events that a client applies of a room, and up to each position that an edge
	// vouches for, it has applied everything, or was told that it may not have.
	Complete Invariant = "complete"
	// Genuine: what a client is sent is in the stream, at that sequence, in that room, with that content;
	// and what is in the stream was published.
	Genuine Invariant = "genuine"
	// Once: no client applies an event again, and the stream has none twice.
	Once Invariant = "once"
	// Delivered: whatever the stream has reached everybody who was in the room before its publisher began
	// and stayed there, however late.
	Delivered Invariant = "delivered"
	// Truthful: recovered true is true, the replay is what was announced, and recovered false has a cause
	// in the stream.
	Truthful Invariant = "truthful"
	// Agreement: all who were sent something at a sequence were sent the same.
	Agreement Invariant = "agreement"
	// Returned: interrupted clients are back in all their rooms in time.
	Returned Invariant = "reconnection"
	// Audible: after the last fault every room is heard again in time.
	Audible Invariant = "silence"
	// Calm: no client joins a room again and again.
	Calm Invariant = "rejoins"
	// Released: edges hold as much after the last client has left as before the first one came.
	Released Invariant = "usage"
)

// invariants in the order of a report, with what is counted of each.
var invariants = []Finding{
	{Name: Ordered, Unit: "events applied"},
	{Name: Complete, Unit: "events passed"},
	{Name: Genuine, Unit: "events delivered or stored"},
	{Name: Once, Unit: "events applied or stored"},
	{Name: Delivered, Unit: "deliveries expected"},
	{Name: Truthful, Unit: "answers to joins"},
	{Name: Agreement, Unit: "deliveries compared"},
	{Name: Returned, Unit: "reconnections"},
	{Name: Audible, Unit: "deliveries after healing"},
	{Name: Calm, Unit: "joins of steady clients"},
	{Name: Released, Unit: "figures of edges"},
}

// Options are what a checker has to know of the run beside its history.
type Options struct {
	// History is how many events of a room the stream keeps: a client that missed so many may be told
	// that its position is truncated. Default 256.
	History int
	// MaxAge is how long the stream keeps events, default 24 h: an older position may be expired.
	MaxAge time.Duration
}

// DefaultOptions fit a stream with its default configuration.
func DefaultOptions() Options { return Options{History: 256, MaxAge: 24 * time.Hour} }

// Bars. They are part of the promise and not configurable.
const (
	meanReconnection = 5 * time.Second
	p99Reconnection  = 15 * time.Second
	// within is how long after an ack its event may take when no fault is under way.
	within = 10 * time.Second
	// maxJoins of one client in one room in a minute.
	maxJoins = 12
	// unanswered joins are given up by then, with their connection.
	unanswered = time.Minute
	// aftermath of a fault: a connection that is lost so long after its end is lost because of it.
	aftermath = 2 * time.Second
)

// checker judges one history. It reads it twice: for the stream and the run, and then client by client.
type checker struct {
	opts    Options
	report  *Report
	checks  map[Invariant]*Finding
	stream  *stream
	run     run
	usage   map[string]*edgeUsage
	clients map[string]*client
	files   map[string]bool
	// strangers is what was delivered at sequences where the stream has something else or nothing.
	strangers map[uint64]stranger
	returns   []reconnection
	delays    []time.Duration // from publish to event, of steady clients
	calm      []time.Duration // those of them with no fault around
}

type stranger struct{ who, room, id, hash string }

// Check judges a history. The error is one of reading it, or says that it is not what processes of a run
// write; violations are in the report.
func Check(source Source, opts Options) (*Report, error) {
	c := &checker{
		opts: opts, report: &Report{Resets: make(map[string]*Resets), Denied: make(map[string]int)},
		checks: make(map[Invariant]*Finding), stream: newStream(),
		usage: make(map[string]*edgeUsage), clients: make(map[string]*client), files: make(map[string]bool),
		strangers: make(map[uint64]stranger),
	}
	c.report.Checks = append(c.report.Checks, invariants...)
	for i := range c.report.Checks {
		c.checks[c.report.Checks[i].Name] = &c.report.Checks[i]
	}
	if err := source(c.readRun); err != nil {
		return nil, err
	}
	c.stream.sort()
	c.run.sort()
	c.judgeStream()
	if err := source(c.readClients); err != nil {
		return nil, err
	}
	for _, who := range sortedKeys(c.clients) {
		c.clients[who].finish()
	}
	c.judgeReturns()
	c.judgeUsage()
	c.sumUp()
	return c.report, nil
}

// readRun is the first reading: everything but clients.
func (c *checker) readRun(file string, r Record) error {
	c.report.Records++
	c.files[file] = true
	if r.Time <= 0 {
		return errors.New("a record without time")
	}
	c.run.spans(r.Time)
	switch r.Kind {
	case Publish, Acked, Failed:
		return c.stream.publishing(r)
	case Stored:
		c.stream.add(r)
	case Begin, End, Healed, Quiet:
		return c.run.take(r)
	case Base, Sample, Rest:
		return c.takeUsage(r)
	case Client, Dial, Up, Join, Joined, Denied, Leave, Event, Gap, Lag, Down, Done:
	default:
		return fmt.Errorf("a record of unknown kind %q", r.Kind)
	}
	return nil
}

// readClients is the second reading.
func (c *checker) readClients(file string, r Record) error {
	switch r.Kind {
	case Client:
		if c.clients[r.Who] != nil {
			return fmt.Errorf("client %s begins a second time", r.Who)
		}
		switch r.Class {
		case Steady, Churn, Slow, Expires:
		default:
			return fmt.Errorf("client %s is of unknown class %q", r.Who, r.Class)
		}
		c.clients[r.Who] = &client{checker: c, name: r.Who, class: r.Class, file: file, members: make(map[string]*member)}
		return nil
	case Dial, Up, Join, Joined, Denied, Leave, Event, Gap, Lag, Down, Done:
		who := c.clients[r.Who]
		if who == nil || who.file != file {
			return fmt.Errorf("%s of client %q, which does not begin in this file", r.Kind, r.Who)
		}
		return who.take(r)
	default:
		return nil
	}
}

// of adds to the denominator of an invariant.
func (c *checker) of(name Invariant, n int) { c.checks[name].Of += n }

// fail notes a violation of an invariant.
func (c *checker) fail(name Invariant, v Violation, format string, args ...any) {
	check := c.checks[name]
	check.Violations++
	if len(check.Examples) < maxExamples {
		v.Text = fmt.Sprintf(format, args...)
		check.Examples = append(check.Examples, v)
	}
}
