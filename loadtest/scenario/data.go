package scenario

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Data builds the data of events. It is safe for many goroutines.
type Data struct {
	plan   Plan
	groups []publishing
}

// publishing is what one group publishes.
type publishing struct {
	size  int
	cycle []*template // events in the order of a room, each as often as its weight
}

// template is one event's data without the room: its fields as JSON, cut where the id of the room belongs.
type template struct {
	eventType string
	fields    []string // `"id":"`, `",`; empty: no fields
}

// idMark stands for the id of the room in texts of an event's fields.
const idMark = "{id}"

// Data is for a valid scenario and its plan.
func (s *Scenario) Data(plan Plan) (*Data, error) {
	d := &Data{plan: plan, groups: make([]publishing, len(s.Groups))}
	for g, group := range s.Groups {
		d.groups[g].size = group.Size
		for i, e := range group.Events {
			t, err := newTemplate(e)
			if err != nil {
				return nil, fmt.Errorf("groups[%d].events[%d].fields: %w", g, i, err)
			}
			for range e.Weight {
				d.groups[g].cycle = append(d.groups[g].cycle, t)
			}
		}
	}
	return d, nil
}

// EventType is the type of the n-th event of a room, n from 1. Rooms of a group start at different places of their cycle.
func (d *Data) EventType(room int, n uint64) string { return d.template(room, n).eventType }

// Append appends the data of the n-th event of a room, a JSON object that opens with its mark:
//
//	{"lt":"<room>.<n>.<at, Unix ns>", <fields>, "pad":"xxxx"}
//
// At is when the event should be sent. The object has the group's size in bytes; only with an n of more than maxDigits digits may it be
// a little longer.
func (d *Data) Append(dst []byte, room int, n uint64, at time.Time) []byte {
	start := len(dst)
	dst = append(dst, `{"lt":"`...)
	dst = strconv.AppendInt(dst, int64(room), 10)
	dst = append(dst, '.')
	dst = strconv.AppendUint(dst, n, 10)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, at.UnixNano(), 10)
	dst = append(dst, `",`...)
	name := d.plan.Rooms[room]
	dst = d.template(room, n).append(dst, name[strings.IndexByte(name, ':')+1:])
	dst = append(dst, `"pad":"`...)
	for pad := d.groups[d.plan.Groups[room]].size - (len(dst) - start) - len(`"}`); pad > 0; {
		k := min(pad, len(padding))
		dst = append(dst, padding[:k]...)
		pad -= k
	}
	return append(dst, `"}`...)
}

func (d *Data) template(room int, n uint64) *template {
	cycle := d.groups[d.plan.Groups[room]].cycle
	return cycle[(n+uint64(room))%uint64(len(cycle))] //nolint:gosec // an index is not negative
}

var padding = strings.Repeat("x", 256)

// Digits of the longest n that fits into the least size, and of a time as Unix nanoseconds.
const (
	maxDigits  = 12
	timeDigits = 19
)

func newTemplate(e Event) (*template, error) {
	t := &template{eventType: e.Type}
	for _, taken := range []string{"lt", "pad"} {
		if _, ok := e.Fields[taken]; ok {
			return nil, fmt.Errorf("%q is the harness's own", taken)
		}
	}
	if len(e.Fields) == 0 {
		return t, nil
	}
	text, err := json.Marshal(e.Fields)
	if err != nil {
		return nil, fmt.Errorf("cannot be written as JSON: %w", err)
	}
	t.fields = strings.Split(string(text[1:len(text)-1])+",", idMark)
	return t, nil
}

// append appends the fields. The id is one of a Plan's, digits only.
func (t *template) append(dst []byte, id string) []byte {
	for i, part := range t.fields {
		if i > 0 {
			dst = append(dst, id...)
		}
		dst = append(dst, part...)
	}
	return dst
}

// leastSize is the size without padding, with the longest ids and marks of so many rooms.
func (t *template) leastSize(rooms int) int {
	id := strconv.Itoa(rooms)
	return len(`{"lt":"..","pad":""}`) + len(id) + maxDigits + timeDigits + len(t.append(nil, id))
}

// data is an example.
func (t *template) data() json.RawMessage {
	return fmt.Appendf(nil, `{"lt":"0.1.0",%s"pad":""}`, t.append(nil, "1"))
}
