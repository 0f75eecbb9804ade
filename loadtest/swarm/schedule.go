package swarm

// purpose is what a client is woken for.
type purpose uint8

const (
	forConnect  purpose = iota // a wait before a try is over
	forDeadline                // a try has taken too long
	forSilence                 // nothing may have been received for too long
	forRead                    // a slow reader may read on
	forJoin                    // rooms that were denied for now are to be asked for again
	forMove                    // the server will go
)

// alarm is an entry of a schedule. It is void when the client has another generation by then: that changes
// with each connection, and as it ends.
type alarm struct {
	at         int64 // Unix ns
	client     int32
	generation int32
	purpose    purpose
}

// schedule is a heap of alarms, the earliest one first. (container/heap would allocate for each.)
type schedule []alarm

func (s *schedule) add(a alarm) {
	h := append(*s, a)
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if h[parent].at <= h[i].at {
			break
		}
		h[parent], h[i] = h[i], h[parent]
		i = parent
	}
	*s = h
}

// next takes out the earliest alarm that is due at now; ok is false when none is.
func (s *schedule) next(now int64) (a alarm, ok bool) {
	h := *s
	if len(h) == 0 || h[0].at > now {
		return alarm{}, false
	}
	a = h[0]
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if h[child].at < h[least].at {
				least = child
			}
		}
		if least == i {
			break
		}
		h[least], h[i] = h[i], h[least]
		i = least
	}
	*s = h
	return a, true
}

// due is when the earliest alarm is, or otherwise.
func (s schedule) due(otherwise int64) int64 {
	if len(s) == 0 {
		return otherwise
	}
	return min(s[0].at, otherwise)
}
