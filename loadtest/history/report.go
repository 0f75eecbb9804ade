package history

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// maxExamples of violations that a report gives of each invariant.
const maxExamples = 10

// Report is what a checker found.
type Report struct {
	Files   int           `json:"files"`
	Records int           `json:"records"`
	Began   int64         `json:"began"` // Unix nanoseconds, as all times of a report
	Lasted  time.Duration `json:"lasted_ns"`
	Healed  int64         `json:"healed,omitempty"`
	Quiet   int64         `json:"quiet,omitempty"`

	Checks []Finding `json:"checks"`
	NATS   NATS      `json:"nats"`

	Publishing Publishing   `json:"publishing"`
	Classes    []ClassCount `json:"clients"`

	Connections int `json:"connections"` // that were welcomed
	Moves       int `json:"moves"`       // of them while the one before was up
	Deliveries  int `json:"deliveries"`
	Applied     int `json:"applied"`
	Duplicates  int `json:"duplicates"` // which clients recognised
	Gaps        int `json:"gaps"`       // which clients noticed, and closed by joining again
	Lags        int `json:"lags"`
	// Told are deliveries that were expected and are missing, as the client was told.
	Told int `json:"told"`

	FirstJoins int                `json:"first_joins"`
	Recovered  int                `json:"recovered"`
	Replayed   int                `json:"replayed"` // events that these announced
	Resets     map[string]*Resets `json:"resets"`   // recovered false, by reason
	Denied     map[string]int     `json:"denied"`   // by code

	Delay     Spread        `json:"delay"`      // from publish to event, of steady clients
	CalmDelay Spread        `json:"calm_delay"` // with no fault under way, nor in the 10 s before
	Silence   time.Duration `json:"silence_ns"` // the longest after healing, from ack to event
	MostJoins int           `json:"most_joins"` // of a steady client in a room in one minute

	Reconnection Reconnection `json:"reconnection"`
	Faults       []*Fault     `json:"faults"`
	Usage        []EdgeUsage  `json:"usage"`
}

// ClassCount counts the clients of a class.
type ClassCount struct {
	Class   Class `json:"class"`
	Clients int   `json:"clients"`
	// Cut are those whose process was killed: they are judged as far as their records go.
	Cut int `json:"cut"`
}

// Finding is what was found of one invariant.
type Finding struct {
	Name Invariant `json:"name"`
	// Of is how many things were looked at, Unit what they are.
	Of         int         `json:"of"`
	Unit       string      `json:"unit"`
	Violations int         `json:"violations"`
	Examples   []Violation `json:"examples,omitempty"`
}

// Violation is one instance of something that must not be. Fields that say nothing are zero.
type Violation struct {
	Client string `json:"client,omitempty"`
	Edge   string `json:"edge,omitempty"`
	Room   string `json:"room,omitempty"`
	ID     string `json:"id,omitempty"` // of the event
	Seq    uint64 `json:"seq,omitempty"`
	Time   int64  `json:"time,omitempty"`
	Text   string `json:"text"` // what was found and what was expected
}

// Verdict is the outcome of a check.
type Verdict uint8

const (
	Holds    Verdict = iota // every invariant holds
	Violated                // at least one does not
	Vacuous                 // there was nothing to judge: no events, or no client that got any
)

// Verdict sums up a report.
func (r *Report) Verdict() Verdict {
	switch {
	case slices.ContainsFunc(r.Checks, func(c Finding) bool { return c.Violations > 0 }):
		return Violated
	case r.Publishing.Stored == 0 || r.Applied == 0:
		return Vacuous
	default:
		return Holds
	}
}

// Finding is what was found of one invariant.
func (r *Report) Finding(name Invariant) Finding {
	i := slices.IndexFunc(r.Checks, func(c Finding) bool { return c.Name == name })
	return r.Checks[i]
}

// Violated lists the invariants that do not hold.
func (r *Report) Violated() []Invariant {
	var names []Invariant
	for _, c := range r.Checks {
		if c.Violations > 0 {
			names = append(names, c.Name)
		}
	}
	return names
}

func (r *Report) class(class Class) *ClassCount {
	i := slices.IndexFunc(r.Classes, func(c ClassCount) bool { return c.Class == class })
	if i < 0 {
		i = len(r.Classes)
		r.Classes = append(r.Classes, ClassCount{Class: class})
	}
	return &r.Classes[i]
}

// sumUp fills in what is known at the end.
func (c *checker) sumUp() {
	r := c.report
	r.Files = len(c.files)
	r.Began, r.Lasted = c.run.first, time.Duration(c.run.last-c.run.first)
	r.Healed, r.Quiet, r.Faults = c.run.healed, c.run.quiet, c.run.faults
	slices.SortFunc(r.Classes, func(a, b ClassCount) int { return cmp.Compare(a.Class, b.Class) })
	r.Delay, r.CalmDelay = spreadOf(c.delays), spreadOf(c.calm)
}

func keepExample(examples []Violation, v Violation) []Violation {
	if len(examples) < maxExamples {
		examples = append(examples, v)
	}
	return examples
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
