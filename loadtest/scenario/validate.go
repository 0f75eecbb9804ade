package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tidingsmesh/tidings/internal/spelling"
	"github.com/tidingsmesh/tidings/subjects"
	"github.com/tidingsmesh/tidings/subjects/schema"
)

// Limits. They keep a slip of the hand from taking all memory; a machine gives out before them.
const (
	maxClients = 10_000_000
	maxRooms   = 10_000_000
	maxRate    = 10_000_000 // of anything, per second
	maxSize    = 8 << 20    // the most that a stream of Tidings takes
	maxJoins   = 100_000_000
	maxRepeat  = 1000
	maxWeight  = 1000
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// problem is what is wrong with one field, named as in a file: "groups[0].rate".
type problem struct {
	path string
	err  error
}

// Validate reports all that is wrong, a line each that begins with the field as files name it.
func (s *Scenario) Validate() error {
	var wrong []error
	for _, p := range s.problems() {
		wrong = append(wrong, fmt.Errorf("%s: %w", p.path, p.err))
	}
	return errors.Join(wrong...)
}

// check collects problems.
type check []problem

func (c *check) that(ok bool, path, format string, args ...any) {
	if !ok {
		*c = append(*c, problem{path, fmt.Errorf(format, args...)})
	}
}

func (c *check) upTo(path string, n, most int) {
	c.that(n >= 1 && n <= most, path, "%d is not within 1 and %d", n, most)
}

func (c *check) rate(path string, n float64) {
	c.that(n >= 0 && n <= maxRate, path, "%v is not within 0 and %d per second", n, maxRate)
}

func (s *Scenario) problems() []problem {
	var c check
	c.that(nameForm.MatchString(s.Name), "name", "%q is no name; 1 to 64 of A-Z a-z 0-9 . _ - will do", s.Name)
	c.upTo("clients", s.Clients, maxClients)
	c.rate("connect-rate", s.ConnectRate)
	c.that(s.Warmup >= 0, "warmup", "%s is below 0s", s.Warmup)
	c.that(s.Duration >= time.Second, "duration", "%s is below 1s", s.Duration)
	c.rate("churn", s.Churn)
	c.upTo("repeat", s.Repeat, maxRepeat)
	c.groups(s)
	c.slow(s.Slow)
	c.fault(s)
	return c
}

func (c *check) groups(s *Scenario) {
	c.that(len(s.Groups) > 0, "groups", "there is none; clients need at least one group of rooms")
	rooms, joins := 0, 0
	for i, g := range s.Groups {
		before := len(*c)
		c.group(fmt.Sprintf("groups[%d]", i), g)
		if len(*c) > before {
			return // sums of wrong numbers say nothing
		}
		rooms += g.Rooms
		joins += g.PerClient
	}
	c.that(rooms <= maxRooms, "groups", "%d rooms in all, the most is %d", rooms, maxRooms)
	c.that(joins == 0 || s.Clients <= maxJoins/joins, "groups", "%d clients in %d rooms each, the most is %d joins in all", s.Clients, joins, maxJoins)
	c.that(s.Churn == 0 || joins > 0, "churn", "no client joins a room that it could leave")
}

func (c *check) group(path string, g Group) {
	before := len(*c)
	err := subjects.Room{Kind: g.Kind, ID: "1"}.Validate()
	c.that(err == nil, path+".kind", "%w", err)
	c.upTo(path+".rooms", g.Rooms, maxRooms)
	c.that(g.PerClient >= 0 && g.PerClient <= g.Rooms, path+".per-client", "%d is not within 0 and the number of rooms, %d", g.PerClient, g.Rooms)
	c.rate(path+".rate", g.Rate)
	c.upTo(path+".burst", g.Burst, 10_000)
	c.that(g.Size <= maxSize, path+".size", "%d bytes are above the most, %d", g.Size, maxSize)
	c.that(len(g.Events) > 0, path+".events", "there is none")
	if len(*c) > before {
		return
	}
	for i, e := range g.Events {
		c.event(fmt.Sprintf("%s.events[%d]", path, i), g, e)
	}
}

// event checks the data, too: an edge would put what does not fit its schema into quarantine, and all would count as missing.
func (c *check) event(path string, g Group, e Event) {
	c.upTo(path+".weight", e.Weight, maxWeight)
	err := subjects.Event{ID: "-", Source: "-", Type: e.Type}.Validate()
	c.that(err == nil, path+".type", "%w", err)
	if err != nil {
		return
	}
	t, err := newTemplate(e)
	if err != nil {
		c.that(false, path+".fields", "%w", err)
		return
	}
	if least := t.leastSize(g.Rooms); g.Size < least {
		c.that(false, strings.Split(path, ".")[0]+".size", "%d bytes are too few for the mark and the fields of %s; the least is %d", g.Size, e.Type, least)
		return
	}
	err = checkSchema(e.Type, t.data())
	c.that(err == nil, path, "%w", err)
}

// checkSchema compares data of the catalogue's types with their schemas. Nothing is known about others.
func checkSchema(eventType string, data json.RawMessage) error {
	if !slices.ContainsFunc(subjects.Catalogue(), func(t subjects.Typed) bool { return t.EventType() == eventType }) {
		return nil
	}
	catalogue, err := schema.Load("")
	if err != nil {
		return fmt.Errorf("built-in catalogue: %w", err)
	}
	return catalogue.Check(subjects.Event{ID: "-", Source: "-", Type: eventType, Data: data})
}

func (c *check) slow(s *Slow) {
	if s == nil {
		return
	}
	c.that(s.Share > 0 && s.Share <= 1, "slow.share", "%v is not above 0%% and at most 100%%", s.Share)
	c.that(s.BytesPerSecond >= 1, "slow.bytes-per-second", "%d is below 1", s.BytesPerSecond)
}

func (c *check) fault(s *Scenario) {
	f := s.Fault
	if f == nil {
		return
	}
	c.kind(f.Kind)
	c.that(f.After >= 0, "fault.after", "%s is below 0s", f.After)
	c.that(f.Down >= 0, "fault.down", "%s is below 0s", f.Down)
	c.that(f.Down == 0 || f.Kind == Kill || f.Kind == Restart, "fault.down", "with %s nothing stays down", f.Kind)
	c.that(f.After+f.Down < s.Duration, "fault", "is over %s into the window, which ends at %s; nobody would be seen coming back", f.After+f.Down, s.Duration)
	c.that(s.Reconnect, "fault", "nobody would come back; write reconnect: true")
}

func (c *check) kind(kind string) {
	kinds := []string{Disconnect, Kill, Restart, Drain}
	if !slices.Contains(kinds, kind) {
		c.that(false, "fault.kind", "%w; there are %s", spelling.Unknown("kind", kind, kinds), strings.Join(kinds, ", "))
	}
}
