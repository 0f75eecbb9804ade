// Package link is a TCP link between two processes on one machine, which can be cut, made deaf in one
// direction, delayed and throttled: what a network does to people who trust it. A client dials the link's
// address instead of the target's.
package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Direction of bytes.
type Direction int

const (
	Up   Direction = iota // from who dialled to the target
	Down                  // from the target to who dialled
)

// Condition is what a link does to one direction. The zero value is a good one.
type Condition struct {
	// Hold lets nothing through. What was sent arrives when it ends, as with lost packets that TCP sends
	// again; who waits for an answer meanwhile waits in vain, also for that to a new connection.
	Hold bool
	// Delay holds up each piece of data.
	Delay time.Duration
	// Rate is the most bytes per second; 0 is any number.
	Rate int
}

// Filter sees the bytes of one direction of one connection and returns those to pass on. It may keep
// what is incomplete for the next call, and owns what it returns until then.
type Filter func(b []byte) []byte

// Link forwards connections to a target until it is closed. Its methods may be called from any goroutine.
type Link struct {
	// Address is what to dial instead of the target, host:port.
	Address string

	target   string
	listener net.Listener
	filter   func(Direction) Filter
	pumps    sync.WaitGroup
	done     chan struct{}
	bytes    [2]atomic.Int64
	accepted atomic.Int64

	mu         sync.Mutex // guards what follows
	conditions [2]Condition
	changed    chan struct{} // closed and replaced at each change of conditions
	cut        bool
	open       map[net.Conn]struct{} // both ends of every connection
}

// Listen opens a link to a target on a loopback port. filter, which may be nil, makes a Filter for each
// direction of each connection, or nil for none.
func Listen(ctx context.Context, target string, filter func(Direction) Filter) (*Link, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("link to %s: %w", target, err)
	}
	l := &Link{
		Address: listener.Addr().String(), target: target, listener: listener, filter: filter,
		done: make(chan struct{}), changed: make(chan struct{}), open: make(map[net.Conn]struct{}),
	}
	l.pumps.Go(l.accept)
	return l, nil
}

// Close ends the link and all its connections.
func (l *Link) Close() {
	close(l.done)
	_ = l.listener.Close()
	l.hangUp()
	l.pumps.Wait()
}

// Set changes the condition of one direction.
func (l *Link) Set(d Direction, c Condition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conditions[d] = c
	l.change()
}

// change needs mu.
func (l *Link) change() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Cut resets every connection, and every new one, until Mend.
func (l *Link) Cut() {
	l.mu.Lock()
	l.cut = true
	l.mu.Unlock()
	l.hangUp()
}

// Mend makes the link a good one again.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
	l.conditions = [2]Condition{}
	l.change()
}

// hangUp resets every connection.
func (l *Link) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.open {
		reset(conn)
	}
}

// reset closes a connection so that the peer is told by RST.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// Passed is how many bytes have gone in a direction.
func (l *Link) Passed(d Direction) int64 { return l.bytes[d].Load() }

// Accepted is the number of connections that were begun.
func (l *Link) Accepted() int64 { return l.accepted.Load() }

// Open is the number of connections that there are.
func (l *Link) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open) / 2
}

func (l *Link) accept() {
	for {
		conn, err := l.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			l.pause(10 * time.Millisecond) // out of descriptors
			continue
		}
		l.accepted.Add(1)
		l.pumps.Go(func() { l.connect(conn) })
	}
}

// connect joins a connection with one to the target.
func (l *Link) connect(conn net.Conn) {
	if l.isCut() || !l.wait(Up) {
		reset(conn)
		return
	}
	var dialer net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	target, err := dialer.DialContext(ctx, "tcp", l.target)
	cancel()
	if err != nil {
		reset(conn)
		return
	}
	if !l.add(conn, target) {
		reset(conn)
		reset(target)
		return
	}
	l.pumps.Go(func() { l.pump(Down, conn, target) })
	l.pump(Up, target, conn)
}

func (l *Link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

func (l *Link) add(a, b net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done:
		return false
	default:
	}
	if l.cut {
		return false
	}
	l.open[a], l.open[b] = struct{}{}, struct{}{}
	return true
}

// pump forwards one direction until either end is over.
func (l *Link) pump(d Direction, to, from net.Conn) {
	var filter Filter
	if l.filter != nil {
		filter = l.filter(d)
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			b := buffer[:n]
			if filter != nil {
				b = filter(b)
			}
			if !l.pass(d, to, b) {
				break
			}
		}
		if err != nil {
			break
		}
	}
	if tcp, ok := to.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // the other direction may have something left to say
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, from)
	if _, other := l.open[to]; !other {
		_ = to.Close()
		_ = from.Close()
	}
}

// pass writes b as the present condition of the direction says.
func (l *Link) pass(d Direction, to net.Conn, b []byte) bool {
	for len(b) > 0 {
		if !l.wait(d) {
			return false
		}
		c := l.condition(d)
		n := len(b)
		if c.Rate > 0 {
			n = min(n, max(1, c.Rate/10))
		}
		if c.Delay > 0 && !l.pause(c.Delay) {
			return false
		}
		l.bytes[d].Add(int64(n)) // before the write, so that who has received them finds them counted
		if written, err := to.Write(b[:n]); err != nil {
			l.bytes[d].Add(int64(written - n))
			return false
		}
		b = b[n:]
		if c.Rate > 0 && !l.pause(time.Duration(n)*time.Second/time.Duration(c.Rate)) {
			return false
		}
	}
	return true
}

func (l *Link) condition(d Direction) Condition {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conditions[d]
}

// wait returns when a direction does not hold, and false when the link is closed before.
func (l *Link) wait(d Direction) bool {
	for {
		l.mu.Lock()
		hold, changed := l.conditions[d].Hold, l.changed
		l.mu.Unlock()
		if !hold {
			return true
		}
		select {
		case <-changed:
		case <-l.done:
			return false
		}
	}
}

func (l *Link) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-l.done:
		return false
	}
}
