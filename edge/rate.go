package edge

import "time"

// rate limits events to so many a second after a burst, by the generic cell rate algorithm (ITU-T
// I.371): all it remembers is the time at which the next event would be due at the steady rate.
type rate struct{ due int64 } // nanoseconds

// allow reports whether an event at now (nanoseconds) keeps to the limit, and counts it if so.
func (r *rate) allow(now int64, perSecond, burst int) bool {
	step := int64(time.Second) / int64(perSecond)
	due := max(r.due, now)
	if due-now > step*int64(burst-1) {
		return false
	}
	r.due = due + step
	return true
}
