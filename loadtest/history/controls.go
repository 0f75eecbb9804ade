package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// Control is one thing that can be wrong with a run, put into a history of a run in which it was not.
type Control struct {
	Name string
	// Breaks are the invariants that a checker must find violated then; those in MayBreak depend on where
	// in the run it is put, and no other may be.
	Breaks, MayBreak []Invariant
	// Optional controls need something that does not occur in every run.
	Optional bool

	// plan chooses where, and says what it does there. It returns no edits when there is no such place.
	plan func(s *scan, random *rand.Rand) (edits, string)
}

// Controls are all of them.
func Controls() []Control {
	consequences := []Invariant{Delivered, Audible}
	return []Control{
		{Name: "a delivery is dropped", Breaks: []Invariant{Complete}, MayBreak: consequences, plan: dropOne},
		{Name: "a delivery comes twice, after a reconnect", Breaks: []Invariant{Once}, plan: duplicateOne},
		{Name: "two deliveries are swapped", Breaks: []Invariant{Ordered}, plan: swapTwo},
		{Name: "a byte is flipped", Breaks: []Invariant{Genuine}, plan: flipByte},
		{Name: "an event is invented", Breaks: []Invariant{Genuine}, plan: inventEvent},
		{Name: "a room's last event reaches nobody", Breaks: []Invariant{Delivered}, MayBreak: []Invariant{Audible}, plan: loseTail},
		{Name: "a replay is left out", Breaks: []Invariant{Complete, Truthful}, MayBreak: consequences, plan: leaveOutReplay},
		{Name: "recovered is true across a gap", Breaks: []Invariant{Complete, Truthful}, MayBreak: consequences, Optional: true, plan: hideReset},
		{Name: "recovered is false in vain", Breaks: []Invariant{Truthful}, plan: resetInVain},
		{Name: "some reconnections take 20 s", Breaks: []Invariant{Returned}, plan: slowReconnections},
		{Name: "a goroutine leaks per connection", Breaks: []Invariant{Released}, plan: leakGoroutines},
	}
}

// Trial is what a checker said of a history with a control in it.
type Trial struct {
	Control
	Done string // what the control did; "" when the history has no place for it
	// Raised are the invariants with more violations than without the control, and Example the first
	// of what the checker says of them.
	Raised  []Invariant
	Example Violation
	// Caught says that all that must be violated is, and nothing else.
	Caught bool
}

// Try has a checker judge a history with each control in it, one at a time. The seed chooses the places.
func Try(h *History, o Options, seed uint64) ([]Trial, error) {
	sound, err := Check(h.Each, o)
	if err != nil {
		return nil, err
	}
	s, err := scanHistory(h)
	if err != nil {
		return nil, err
	}
	var trials []Trial
	for i, control := range Controls() {
		t := Trial{Control: control}
		changes, done := control.plan(s, rand.New(rand.NewPCG(seed, uint64(i)))) //nolint:gosec // repeatable, not secret
		if len(changes) == 0 {
			t.Caught = control.Optional
			trials = append(trials, t)
			continue
		}
		t.Done = done
		report, err := Check(h.edited(changes), o)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("control: %s", control.Name), err)
		}
		t.compare(sound, report)
		trials = append(trials, t)
	}
	return trials, nil
}

// compare fills in what the control changed.
func (t *Trial) compare(sound, report *Report) {
	t.Caught = true
	for _, found := range report.Checks {
		raised := found.Violations > sound.Finding(found.Name).Violations
		if raised {
			if len(t.Raised) == 0 {
				t.Example = found.Examples[0]
			}
			t.Raised = append(t.Raised, found.Name)
		}
		switch {
		case slices.Contains(t.Breaks, found.Name):
			t.Caught = t.Caught && raised
		case !slices.Contains(t.MayBreak, found.Name):
			t.Caught = t.Caught && !raised
		}
	}
}

// describe names a delivery.
func describe(r Record) string { return fmt.Sprintf("%s %s %d", r.Who, r.Room, r.Seq) }

// moment is where in a thread something is done.
type moment struct {
	thread *thread
	i      int
}

func dropOne(s *scan, random *rand.Rand) (edits, string) {
	places := raffle[moment]{random: random}
	s.livePairs(func(m moment) { places.put(m) })
	if places.n == 0 {
		return nil, ""
	}
	m := places.won
	return edits{m.thread.steps[m.i].place: nil}, describe(s.step(m.thread, m.i))
}

// livePairs finds events that are followed by another one, with nothing in between.
func (s *scan) livePairs(put func(m moment)) {
	for _, t := range s.threads {
		for i := range t.steps {
			if s.isLive(s.step(t, i)) && s.isLive(s.step(t, i+1)) {
				put(moment{t, i})
			}
		}
	}
}

func swapTwo(s *scan, random *rand.Rand) (edits, string) {
	places := raffle[moment]{random: random}
	s.livePairs(func(m moment) { places.put(m) })
	if places.n == 0 {
		return nil, ""
	}
	m := places.won
	a, b := s.step(m.thread, m.i), s.step(m.thread, m.i+1)
	done := fmt.Sprintf("%s and %d", describe(a), b.Seq)
	a.Time, b.Time = b.Time, a.Time
	return edits{m.thread.steps[m.i].place: {b}, m.thread.steps[m.i+1].place: {a}}, done
}

func flipByte(s *scan, random *rand.Rand) (edits, string) {
	places := raffle[moment]{random: random}
	for _, t := range s.threads {
		for i := range t.steps {
			if r := s.step(t, i); r.Kind == Event && s.isStored(r) && r.Hash != "" {
				places.put(moment{t, i})
			}
		}
	}
	if places.n == 0 {
		return nil, ""
	}
	m := places.won
	r := s.step(m.thread, m.i)
	hash := []byte(r.Hash)
	hash[random.IntN(len(hash))] ^= 1
	r.Hash = string(hash)
	return edits{m.thread.steps[m.i].place: {r}}, describe(r)
}

// duplicateOne applies the last event before a reconnection once more after it.
func duplicateOne(s *scan, random *rand.Rand) (edits, string) {
	type again struct {
		after moment
		event Record
	}
	places := raffle[again]{random: random}
	for _, t := range s.threads {
		var last *step
		for i := range t.steps {
			switch r := s.step(t, i); r.Kind {
			case Event:
				if !r.Duplicate && s.isStored(r) {
					last = &t.steps[i]
				}
			case Joined:
				if r.Recovered == nil || !*r.Recovered {
					last = nil
				} else if last != nil && last.ups != t.steps[i].ups && s.replays(t, i) {
					places.put(again{moment{t, i + r.Count}, s.at(last.place)})
				}
			case Leave, Denied:
				last = nil
			default:
			}
		}
	}
	if places.n == 0 {
		return nil, ""
	}
	m, event := places.won.after, places.won.event
	before := s.step(m.thread, m.i)
	event.Time, event.Replay = before.Time, false
	return edits{m.thread.steps[m.i].place: {before, event}}, describe(event)
}

// replays reports whether the replay that an answer announces follows it.
func (s *scan) replays(t *thread, i int) bool {
	for k := range s.step(t, i).Count {
		if s.step(t, i+1+k).Kind != Event {
			return false
		}
	}
	return true
}

func inventEvent(s *scan, random *rand.Rand) (edits, string) {
	places := raffle[moment]{random: random}
	for _, t := range s.threads {
		for i := range t.steps {
			r, next := s.step(t, i), s.step(t, i+1)
			if !s.isLive(r) || s.stream.room(t.room).find(r.Seq+1) >= 0 {
				continue
			}
			if next.Kind == "" || s.isLive(next) && next.Seq > r.Seq+1 {
				places.put(moment{t, i})
			}
		}
	}
	if places.n == 0 {
		return nil, ""
	}
	m := places.won
	r := s.step(m.thread, m.i)
	invented := r
	invented.Seq, invented.Prev = r.Seq+1, r.Seq
	invented.ID, invented.Hash = "invented", strings.Repeat("0", len(r.Hash))
	return edits{m.thread.steps[m.i].place: {r, invented}}, describe(invented)
}

// loseTail takes the last event of a room away from all who got it live and did not join again after it.
func loseTail(s *scan, random *rand.Rand) (edits, string) {
	type loss struct {
		edits edits
		room  string
		seq   uint64
	}
	places := raffle[loss]{random: random}
	for _, name := range s.stream.names() {
		stored := s.stream.rooms[name].stored
		if len(stored) == 0 {
			continue
		}
		last := &stored[len(stored)-1]
		if last.of == nil || last.of.acked == 0 {
			continue
		}
		lost := loss{make(edits), name, last.seq}
		due := false
		for _, t := range s.threads {
			if t.room != name {
				continue
			}
			if i := s.lastLive(t, last.seq); i >= 0 {
				lost.edits[t.steps[i].place] = nil
				due = due || s.isDue(t, i, last)
			}
		}
		if due {
			places.put(lost)
		}
	}
	if places.n == 0 {
		return nil, ""
	}
	return places.won.edits, fmt.Sprintf("%s %d, %d clients", places.won.room, places.won.seq, len(places.won.edits))
}

// lastLive is the step at which an event came live, -1 if it did not or if something but duplicates
// followed.
func (s *scan) lastLive(t *thread, seq uint64) int {
	for i := range slices.Backward(t.steps) {
		switch r := s.step(t, i); {
		case r.Kind == Event && r.Duplicate:
		case r.Seq == seq && s.isLive(r):
			return i
		default:
			return -1
		}
	}
	return -1
}

// isDue reports whether an event that came at the last step has to come: the client was in the room
// before, and is connected to its end, which is late enough.
func (s *scan) isDue(t *thread, i int, e *stored) bool {
	c := t.client
	if c.done == 0 || c.links == 0 || c.outage != nil {
		return false
	}
	for i--; i >= 0; i-- {
		switch r := s.step(t, i); r.Kind {
		case Leave, Denied:
			return false
		case Joined:
			if r.Time <= e.began() {
				return s.run.quiet != 0 && s.run.quiet <= c.done || e.settled()+int64(within) <= c.done
			}
		default:
		}
	}
	return false
}

// leaveOutReplay lets an answer say that nothing was missed, though something was.
func leaveOutReplay(s *scan, random *rand.Rand) (edits, string) {
	places := raffle[moment]{random: random}
	for _, t := range s.threads {
		if t.client.class == Churn {
			continue // it may have forgotten what it missed
		}
		for i := range t.steps {
			r := s.step(t, i)
			if r.Kind != Joined || r.Recovered == nil || !*r.Recovered || !s.replays(t, i) {
				continue
			}
			isNew := false
			for k := range r.Count {
				e := s.step(t, i+1+k)
				isNew = isNew || !e.Duplicate && s.isStored(e)
			}
			if isNew {
				places.put(moment{t, i})
			}
		}
	}
	if places.n == 0 {
		return nil, ""
	}
	m := places.won
	r := s.step(m.thread, m.i)
	changes := make(edits)
	for k := range r.Count {
		changes[m.thread.steps[m.i+1+k].place] = nil
	}
	done := fmt.Sprintf("%s %s, %d events up to %d", r.Who, r.Room, r.Count, r.Position.Seq)
	r.Count = 0
	changes[m.thread.steps[m.i].place] = []Record{r}
	return changes, done
}

// hideReset turns an answer that something may have been missed, and was, into its opposite.
func hideReset(s *scan, random *rand.Rand) (edits, string) {
	places := raffle[moment]{random: random}
	for _, t := range s.threads {
		if t.client.class == Churn {
			continue
		}
		stands := uint64(0)
		for i := range t.steps {
			switch r := s.step(t, i); r.Kind {
			case Event:
				stands = max(stands, r.Seq)
			case Joined:
				room := s.stream.room(t.room)
				reason := continuity.Reason(r.Text)
				if r.Recovered != nil && !*r.Recovered && reason == continuity.ReasonTruncated &&
					stands > 0 && room.upTo(r.Position.Seq, r.Position.ID) > room.upTo(stands, "") {
					places.put(moment{t, i})
				}
				stands = max(stands, r.Position.Seq)
				if reason == continuity.ReasonEpoch || reason == continuity.ReasonBehind {
					stands = r.Position.Seq
				}
			default:
			}
		}
	}
	if places.n == 0 {
		return nil, ""
	}
	m := places.won
	r := s.step(m.thread, m.i)
	r.Recovered, r.Text = new(true), ""
	return edits{m.thread.steps[m.i].place: {r}}, fmt.Sprintf("%s %s, up to %d", r.Who, r.Room, r.Position.Seq)
}

// resetInVain tells a client that it may have missed something, instead of sending what it missed.
func resetInVain(s *scan, random *rand.Rand) (edits, string) {
	places := raffle[moment]{random: random}
	for _, t := range s.threads {
		if t.client.class == Churn {
			continue // answers to joins from before it left can still come
		}
		for i := range t.steps {
			if r := s.step(t, i); r.Kind == Joined && r.Recovered != nil && *r.Recovered && s.replays(t, i) {
				places.put(moment{t, i})
			}
		}
	}
	if places.n == 0 {
		return nil, ""
	}
	m := places.won
	r := s.step(m.thread, m.i)
	changes := make(edits)
	for k := range r.Count {
		changes[m.thread.steps[m.i+1+k].place] = nil
	}
	r.Recovered, r.Count, r.Text = new(false), 0, string(continuity.ReasonPosition)
	changes[m.thread.steps[m.i].place] = []Record{r}
	return changes, fmt.Sprintf("%s %s at %d", r.Who, r.Room, r.Position.Seq)
}

// slowReconnections lets one in fifty begin 20 s earlier, which moves the 99th percentile.
func slowReconnections(s *scan, random *rand.Rand) (edits, string) {
	n := len(s.outages)
	if n == 0 {
		return nil, ""
	}
	changes := make(edits)
	for _, i := range random.Perm(n)[:n/50+1] {
		p := s.outages[i]
		r := s.at(p)
		r.Time -= int64(20 * time.Second)
		changes[p] = []Record{r}
	}
	return changes, fmt.Sprintf("%d of %d", len(changes), n)
}

func leakGoroutines(s *scan, random *rand.Rand) (edits, string) {
	places := raffle[string]{random: random}
	for _, edge := range sortedKeys(s.rest) {
		if s.base[edge] != nil && s.ups[edge] > 5 {
			places.put(edge)
		}
	}
	if places.n == 0 {
		return nil, ""
	}
	edge := places.won
	p := s.rest[edge]
	r := s.at(p)
	leaky := *r.Usage
	leaky.Goroutines = s.base[edge].Goroutines + s.ups[edge]
	r.Usage = &leaky
	return edits{p: {r}}, fmt.Sprintf("%s, %d", edge, s.ups[edge])
}
