package swarm

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Times of a try. A server that is overloaded answers late but for minutes it need not be waited for.
const (
	handshakeTime = 10 * time.Second // until the answer to the handshake
	joinTime      = 30 * time.Second // from there until all rooms are joined
	rejoinWait    = time.Second      // before asking again for what was denied for now
	stableTime    = 10 * time.Second // a connection that lasts so long makes the next wait a first one
)

// clientState is how far a client's connection is.
type clientState uint8

const (
	clientIdle    clientState = iota // has not begun
	clientWaits                      // before the next try
	clientDials                      // TCP and the handshake are under way
	clientJoins                      // the handshake is done, not all rooms are
	clientIn                         // all rooms are joined, or were
	clientGivenUp                    // for good
)

// client is one WebSocket client. The worker's goroutine owns it; there may be tens of thousands.
type client struct {
	w       *worker
	token   string
	members []member

	fd         int // -1: none
	id         int32
	generation int32 // changes with each connection, and as it ends
	server     int32 // index of the one that the present or next try goes to
	tries      int32 // since the last stable connection
	state      clientState
	failed     bool // counted in Failed
	wasIn      bool // has been in all its rooms once
	looping    bool // counted in LoopsSuspected
	slow       bool // reads with a bound
	// reading and writing are what epoll watches for.
	reading, writing bool
	rate             int // bytes per second of a slow reader

	began  int64 // when the present try did, Unix ns
	lost   int64 // when the last connection that was in ended; 0 when none has since it was in again
	in     int64 // since when the present connection is in
	seen   int64 // when something was last received
	silent time.Duration

	received []byte // the beginning of a frame, or of the answer to the handshake
	message  []byte // the beginning of a fragmented message
	unsent   []byte
}

// name is the name of a member's room.
func (c *client) name(m *member) string { return c.w.rooms[m.room] }

// named is the member with a room of that name, or nil. A client has few.
func (c *client) named(name []byte) *member {
	for i := range c.members {
		if m := &c.members[i]; c.w.rooms[m.room] == string(name) {
			return m
		}
	}
	return nil
}

// memberOf is the member with the room of that index, or nil.
func (c *client) memberOf(room int) *member {
	for i := range c.members {
		if m := &c.members[i]; int(m.room) == room {
			return m
		}
	}
	return nil
}

func (c *client) sendText(b []byte)   { c.send(opText, b) }
func (c *client) sendBinary(b []byte) { c.send(opBinary, b) }

func (c *client) send(op opcode, payload []byte) {
	if c.fd < 0 {
		return
	}
	c.unsent = appendFrame(c.unsent, op, payload, c.w.random.Uint32())
	c.flush()
}

// flush sends what it can.
func (c *client) flush() {
	for len(c.unsent) > 0 && c.fd >= 0 {
		n, err := c.w.poller.write(c.fd, c.unsent)
		switch {
		case errors.Is(err, errAgain):
			c.watch(c.reading, true)
			return
		case err != nil:
			c.end(reasonOf(err), true)
			return
		}
		if c.unsent = c.unsent[n:]; len(c.unsent) == 0 {
			c.unsent = nil
		}
	}
	if c.fd >= 0 {
		c.watch(c.reading, false)
	}
}

// watch changes what epoll watches for.
func (c *client) watch(read, write bool) {
	if c.reading == read && c.writing == write {
		return
	}
	c.reading, c.writing = read, write
	ready := readiness{id: c.id, generation: c.generation, read: read, write: write}
	if err := c.w.poller.watch(c.fd, ready, false); err != nil {
		c.end(reasonOf(err), true)
	}
}

// connect begins a try.
func (c *client) connect() {
	w := c.w
	if c.state == clientIdle {
		w.sums.Attempted++
	}
	c.setState(clientDials)
	c.generation++
	c.began = w.now
	receive := 0
	if c.rate > 0 {
		receive = slowBuffer
	}
	fd, err := w.poller.dial(w.addresses[c.server], w.sourceOf(c), receive)
	if err != nil {
		c.end(reasonOf(err), true)
		return
	}
	c.fd = fd
	c.unsent = appendRequest(c.unsent[:0], w.set.Servers[c.server], c.nonce(), w.dialect.header(c))
	// On this machine the connection is mostly there at once.
	n, err := w.poller.write(fd, c.unsent)
	if err != nil && !errors.Is(err, errAgain) {
		c.end(reasonOf(err), true)
		return
	}
	if c.unsent = c.unsent[n:]; len(c.unsent) == 0 {
		c.unsent = nil
	}
	c.reading, c.writing = true, c.unsent != nil
	if err := w.poller.watch(fd, readiness{id: c.id, generation: c.generation, read: true, write: c.writing}, true); err != nil {
		c.end(reasonOf(err), true)
		return
	}
	c.alarm(handshakeTime, forDeadline)
}

func (c *client) nonce() [16]byte { return nonce(c.w.seed, c.id, c.generation) }

// alarm wakes the client for something that belongs to the present connection, or the wait for the next.
func (c *client) alarm(after time.Duration, why purpose) {
	c.w.alarms.add(alarm{at: c.w.now + int64(after), client: c.id, generation: c.generation, purpose: why})
}

// ring is called when an alarm goes off.
func (c *client) ring(why purpose) {
	switch why {
	case forConnect:
		c.connect()
	case forDeadline:
		switch {
		case c.state == clientDials:
			c.end(reasonTimeout, true)
		case c.state == clientJoins && !c.failed && c.w.now-c.began >= int64(joinTime):
			c.end(reasonTimeout, true)
		}
	case forSilence:
		if left := time.Duration(c.seen - c.w.now + int64(c.silent)); left > 0 {
			c.alarm(left, forSilence)
		} else {
			c.end(reasonSilent, true)
		}
	case forRead:
		c.readSlowly()
	case forJoin:
		c.joinAgain()
	case forMove:
		const normal = 1000
		c.send(opClose, []byte{normal >> 8, normal & 0xff})
		if c.fd >= 0 {
			c.end("", true)
		}
	}
}

// opened comes after the answer to the handshake.
func (c *client) opened() {
	c.setState(clientJoins)
	c.alarm(joinTime, forDeadline)
	for i := range c.members {
		c.members[i].state = memberAsked
	}
	generation := c.generation
	c.w.dialect.opened(c)
	if c.generation == generation && len(c.members) == 0 {
		c.arrived()
	}
}

// joined says that the server has let the client into a room. lost says that events may have been missed of
// which the server cannot say which. Also for a server that says so unasked.
func (c *client) joined(m *member, lost bool) {
	w := c.w
	c.counted(m)
	if lost {
		w.sums.NotRecovered++
		m.restart()
	}
	m.state = memberLive
	if m.since == 0 {
		m.since, m.heard = w.now, w.heard[m.room]
	}
	w.moves++
	if c.state != clientJoins {
		return
	}
	for i := range c.members {
		if c.members[i].state != memberLive {
			return
		}
	}
	c.arrived()
}

// arrived comes when all rooms are joined.
func (c *client) arrived() {
	w := c.w
	switch {
	case !c.wasIn:
		record(w.joinTime, (w.now-c.began)/1e3)
	case c.lost >= w.markAt:
		w.sums.Reconnects++
		record(w.reconnect, (w.now-c.lost)/1e3)
	}
	c.setState(clientIn)
	c.setFailed(false)
	c.wasIn, c.lost, c.in = true, 0, w.now
	if c.rate > 0 && !w.finishing() {
		c.slow = true
		c.watch(false, c.writing)
		c.alarm(slowPause, forRead)
	}
}

// denied says that the server has not let the client into a room; again, that it may later.
func (c *client) denied(m *member, why string, again bool) {
	c.w.failure("denied " + why)
	c.counted(m)
	if again {
		m.state = memberWaits
		c.alarm(rejoinWait+rand.N(rejoinWait), forJoin) //nolint:gosec // spreads load
		return
	}
	m.state = memberDenied
	if c.state == clientJoins {
		c.setFailed(true)
	}
}

func (c *client) joinAgain() {
	for i := range c.members {
		if m := &c.members[i]; m.state == memberWaits && c.fd >= 0 {
			c.rejoin(m)
		}
	}
}

// rejoin asks once more for a room, from the member's position.
func (c *client) rejoin(m *member) {
	m.state = memberAsked
	c.w.dialect.join(c, m)
}

// counted counts the answers for one room: a client that asks all the time is in a loop.
func (c *client) counted(m *member) {
	const many, within = 12, int64(time.Minute)
	if m.churn {
		m.churn = false
		return
	}
	if c.w.now-m.joinsSince > within {
		m.joins, m.joinsSince = 0, c.w.now
	}
	m.joins = min(m.joins, many) + 1
	if m.joins > many && !c.looping {
		c.looping = true
		c.w.sums.LoopsSuspected++
	}
}

// churn leaves a room and joins it again. It reports whether the client was in one.
func (c *client) churned() bool {
	if c.state != clientIn || len(c.members) == 0 {
		return false
	}
	m := &c.members[c.w.random.IntN(len(c.members))]
	if m.state != memberLive {
		return false
	}
	c.w.dialect.leave(c, m)
	if c.fd < 0 {
		return true
	}
	m.forget()
	m.churn = true
	c.rejoin(m)
	return true
}

// events counts every mark in a message, of rooms that the client is in.
func (c *client) events(payload []byte) {
	for {
		k, rest, ok := nextMark(payload)
		if !ok {
			return
		}
		payload = rest
		for i := range c.members {
			if m := &c.members[i]; int(m.room) == k.room {
				if m.state == memberLive {
					c.w.count(m, k)
				}
				break
			}
		}
	}
}

// silence says that the connection is dead when nothing was received for so long.
func (c *client) silence(d time.Duration) {
	first := c.silent == 0
	c.silent = d
	if first {
		c.alarm(d, forSilence)
	}
}

// moveWithin makes the client go to another server at a random moment within d, if there is one.
func (c *client) moveWithin(d time.Duration) {
	if len(c.w.set.Servers) > 1 && d > 0 {
		c.alarm(rand.N(d), forMove) //nolint:gosec // spreads load
	}
}

// fail ends the connection for a reason to count. The client reconnects if it is to.
func (c *client) fail(why string) { c.end(why, true) }

// giveUp is fail for good.
func (c *client) giveUp(why string) { c.end(why, false) }

// end is the end of a connection or a try, for whatever reason; "" is one of the swarm's own, which is not
// counted.
func (c *client) end(why string, again bool) { c.hangUp(why, again, false) }

func (c *client) hangUp(why string, again, abruptly bool) {
	w := c.w
	if c.fd >= 0 {
		w.poller.hangUp(c.fd, abruptly)
		c.fd = -1
	}
	c.generation++ // alarms and readiness of this connection are void
	c.received, c.message, c.unsent = nil, nil, nil
	c.silent, c.slow, c.reading, c.writing = 0, false, false, false
	if why != "" {
		w.failure(why)
	}
	was := c.state
	if was == clientIn {
		if c.lost = w.now; w.now-c.in >= int64(stableTime) {
			c.tries = 0
		}
	}
	for i := range c.members {
		m := &c.members[i]
		m.state, m.churn = memberOut, false
	}
	c.server = (c.server + 1) % int32(len(w.set.Servers)) //nolint:gosec // few servers
	c.setState(clientWaits)
	c.tries++
	switch {
	case again && w.set.Reconnect:
		c.setFailed(was != clientIn)
		c.alarm(c.wait(), forConnect)
	case again && !c.wasIn && int(c.tries) < len(w.set.Servers):
		c.alarm(0, forConnect)
	default:
		c.setFailed(true)
		c.setState(clientGivenUp)
	}
}

// wait is until the next try.
func (c *client) wait() time.Duration {
	if haste := c.w.set.Haste; haste > 0 {
		return rand.N(time.Duration(haste)) //nolint:gosec // spreads load
	}
	return backoff(c.tries)
}

// backoff is the wait before a try, of which the first has number 1: random, so that clients that lost the
// same server do not come back at the same moment (docs/protocol.md, "Close codes").
func backoff(try int32) time.Duration {
	const doublings = 5
	return rand.N(time.Second << min(try-1, doublings)) //nolint:gosec // spreads load
}

// setState keeps the sums right.
func (c *client) setState(to clientState) {
	sums := &c.w.sums
	count := func(s clientState, by int) {
		switch s {
		case clientDials:
			c.w.pending += by
		case clientJoins:
			c.w.pending += by
			sums.Open += by
		case clientIn:
			sums.Open += by
			sums.Joined += by
		default:
		}
	}
	count(c.state, -1)
	count(to, +1)
	c.state = to
}

func (c *client) setFailed(failed bool) {
	if c.failed == failed {
		return
	}
	if c.failed = failed; failed {
		c.w.sums.Failed++
	} else {
		c.w.sums.Failed--
	}
}
