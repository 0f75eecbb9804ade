package history

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// run is what was done to the system, and when.
type run struct {
	first, last   int64
	healed, quiet int64 // 0: never
	faults        []*Fault
}

// Fault is one fault of a run. It took effect if there is evidence of it.
type Fault struct {
	Name     string `json:"name"`
	Target   string `json:"target,omitempty"`
	Evidence string `json:"evidence,omitempty"`
	Begin    int64  `json:"begin"` // Unix nanoseconds
	End      int64  `json:"end"`   // 0: it was still going on when the history ends
}

func (r *run) spans(t int64) {
	if r.first == 0 || t < r.first {
		r.first = t
	}
	r.last = max(r.last, t)
}

func (r *run) take(rec Record) error {
	switch rec.Kind {
	case Begin:
		r.faults = append(r.faults, &Fault{Name: rec.Who, Target: rec.Text, Begin: rec.Time})
	case End:
		i := slices.IndexFunc(r.faults, func(f *Fault) bool { return f.Name == rec.Who && f.End == 0 })
		if i < 0 {
			return fmt.Errorf("the end of fault %s, which did not begin", rec.Who)
		}
		r.faults[i].End, r.faults[i].Evidence = rec.Time, rec.Text
	case Healed:
		if r.healed != 0 {
			return errors.New("healed for a second time")
		}
		r.healed = rec.Time
	case Quiet:
		if r.quiet != 0 {
			return errors.New("quiet for a second time")
		}
		r.quiet = rec.Time
	default:
	}
	return nil
}

func (r *run) sort() {
	slices.SortStableFunc(r.faults, func(a, b *Fault) int { return cmp.Compare(a.Begin, b.Begin) })
}

// faultless reports whether no fault took effect. One that has no end counts as one that did.
func (r *run) faultless() bool {
	return !slices.ContainsFunc(r.faults, func(f *Fault) bool { return f.End == 0 || f.Evidence != "" })
}

// at is the latest fault to which something that happened at t can be put down, nil when there is none.
func (r *run) at(t int64) *Fault {
	for _, f := range slices.Backward(r.faults) {
		if f.Begin <= t && (f.End == 0 || t <= f.End+int64(aftermath)) {
			return f
		}
	}
	return nil
}

// calm reports whether no fault was under way at t, nor shortly before.
func (r *run) calm(t int64) bool {
	return !slices.ContainsFunc(r.faults, func(f *Fault) bool {
		return f.Begin <= t && (f.End == 0 || t <= f.End+int64(within))
	})
}
