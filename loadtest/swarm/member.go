package swarm

import "slices"

type memberState uint8

const (
	memberOut    memberState = iota // no connection
	memberAsked                     // the join is on its way
	memberLive                      // joined
	memberDenied                    // for good, or until the next connection
	memberWaits                     // denied for now, to be asked for again
)

// position is how far a client has read a room, for dialects that resume. It survives a lost connection;
// leaving the room clears it.
type position struct {
	epoch  string // names the history that offset belongs to
	offset uint64
	time   int64 // when it was last known to be the newest, by the server's clock
	// A replay goes on for left events; end and endTime are the offset and time after it.
	left    int
	end     uint64
	endTime int64
	behind  bool // the server has skipped events that it will send later
}

// member is a client in a room.
type member struct {
	room  int32 // index
	state memberState
	churn bool // it left by itself, to come again
	joins uint8
	// joinsSince is when the count of joins began, Unix ns.
	joinsSince int64
	at         position

	// first and last are the numbers of the events that the count goes from and to; last is 0 when there was
	// none. open are the numbers between them that have not come, in order.
	first, last uint64
	open        []span
	since       int64  // when it joined, Unix ns; 0: not yet
	heard       uint64 // the latest event that anybody knew of then
}

// span is the numbers from a up to, and with, b.
type span struct{ a, b uint64 }

// wanted reports whether the room is to be asked for.
func (m *member) wanted() bool { return m.state != memberLive && m.state != memberDenied }

// verdict on one event.
type verdict struct {
	missing int64 // how many more numbers are missing; less than 0: were
	twice   bool
	late    bool // it came after a later one
}

// take notes that event n has come.
func (m *member) take(n uint64) verdict {
	switch {
	case m.last == 0: // counting begins with what comes first
		m.first, m.last = n, n
		return verdict{}
	case n == m.last+1:
		m.last = n
		return verdict{}
	case n > m.last:
		missed := span{m.last + 1, n - 1}
		m.open = append(m.open, missed)
		m.last = n
		return verdict{missing: missed.size()}
	case n < m.first:
		v := verdict{late: true}
		if n+1 < m.first {
			missed := span{n + 1, m.first - 1}
			m.open = slices.Insert(m.open, 0, missed)
			v.missing = missed.size()
		}
		m.first = n
		return v
	}
	for i, s := range m.open {
		if n < s.a || n > s.b {
			continue
		}
		var left []span
		if s.a < n {
			left = append(left, span{s.a, n - 1})
		}
		if n < s.b {
			left = append(left, span{n + 1, s.b})
		}
		m.open = slices.Replace(m.open, i, i+1, left...)
		return verdict{missing: -1, late: true}
	}
	return verdict{twice: true}
}

func (s span) size() int64 { return int64(s.b - s.a + 1) } //nolint:gosec // numbers of events fit

// restart begins to count anew. What is missing so far stays missing.
func (m *member) restart() { m.first, m.last, m.open = 0, 0, nil }

// forget is leaving the room.
func (m *member) forget() {
	m.restart()
	m.at, m.since, m.heard = position{}, 0, 0
}
