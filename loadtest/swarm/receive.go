package swarm

import (
	"errors"
	"time"
)

// What clients read. All share the worker's buffer; a client keeps bytes of its own only while a frame is
// incomplete.

// Slow readers read every slowPause, from a socket with little room.
const (
	slowPause  = 100 * time.Millisecond
	slowBuffer = 4 << 10
)

// readAtMost bounds one read.
const readAtMost = 64 << 10

// readable reads all that is there; ended says that the connection's end is behind it.
func (c *client) readable(ended bool) {
	generation := c.generation
	for {
		n := c.read(readAtMost)
		if n == 0 || c.generation != generation || n < readAtMost && !ended {
			return
		}
	}
}

// readSlowly takes what a slow reader may have by now.
func (c *client) readSlowly() {
	if !c.slow {
		return
	}
	c.read(max(c.rate*int(slowPause/time.Millisecond)/1000, 1))
	if c.slow && c.fd >= 0 {
		c.alarm(slowPause, forRead)
	}
}

// speedUp ends the bound of a slow reader.
func (c *client) speedUp() {
	if c.slow {
		c.slow = false
		c.watch(true, c.writing)
	}
}

// read reads once and deals with what comes. It returns how many bytes that were, 0 when there is nothing now or
// ever.
func (c *client) read(most int) int {
	w := c.w
	had := len(c.received)
	for len(w.buffer) < had+most {
		w.buffer = append(w.buffer, make([]byte, max(len(w.buffer), readAtMost))...)
	}
	b := w.buffer
	copy(b, c.received)
	n, err := w.poller.read(c.fd, b[had:had+most])
	w.now = time.Now().UnixNano()
	switch {
	case errors.Is(err, errAgain):
		return 0
	case err != nil:
		c.end(reasonOf(err), true)
		return 0
	case n == 0:
		c.end(reasonEnded, true)
		return 0
	}
	w.sums.BytesIn += uint64(n) //nolint:gosec // a count
	c.seen = w.now
	generation := c.generation
	rest := c.take(b[:had+n])
	if c.generation != generation {
		return n // it has ended, and keeps nothing
	}
	const small = 4 << 10
	if len(rest) == 0 && cap(c.received) > small {
		c.received = nil
	} else {
		c.received = append(c.received[:0], rest...)
	}
	return n
}

// take deals with what was received and returns what is incomplete.
func (c *client) take(b []byte) (rest []byte) {
	generation := c.generation
	if c.state == clientDials {
		size, why := cutResponse(b, c.nonce())
		switch {
		case why != "":
			c.end(why, true)
			return nil
		case size == 0:
			return b
		}
		b = b[size:]
		c.opened()
	}
	for c.generation == generation {
		f, size, err := cutFrame(b)
		if err != nil {
			c.end(reasonFrame+": "+err.Error(), true)
			return nil
		}
		if size == 0 {
			return b
		}
		b = b[size:]
		c.frame(f)
	}
	return nil
}

func (c *client) frame(f frame) {
	switch f.op {
	case opPing:
		c.send(opPong, f.payload)
	case opPong:
	case opClose:
		c.closed(f.payload)
	case opText, opBinary, opContinuation:
		switch {
		case (f.op == opContinuation) != (c.message != nil):
			c.end(reasonFrame+": a fragment is out of place", true)
		case f.final && c.message == nil:
			c.w.dialect.message(c, f.payload)
		case len(c.message)+len(f.payload) > messageLimit:
			c.end(reasonFrame+": "+errTooLong.Error(), true)
		default:
			c.fragment(f)
		}
	}
}

// fragment collects a message that comes in several frames.
func (c *client) fragment(f frame) {
	if c.message == nil {
		c.message = make([]byte, 0, 2*len(f.payload))
	}
	c.message = append(c.message, f.payload...)
	if f.final {
		whole := c.message
		c.message = nil
		c.w.dialect.message(c, whole)
	}
}

// closed answers a close frame with its code and ends the connection.
func (c *client) closed(payload []byte) {
	why, again := c.w.dialect.closed(closeOf(payload))
	c.send(opClose, payload[:min(len(payload), 2)])
	if c.fd >= 0 {
		c.end(why, again)
	}
}
