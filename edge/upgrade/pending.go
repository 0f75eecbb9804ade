package upgrade

import (
	"crypto/tls"
	"net"
	"sync"
)

// pendingSet holds the connections that are accepted and not yet delivered, so
// that shutting down can end them, and counts the goroutines working on them.
type pendingSet struct {
	working sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

// add takes a connection in, for which done must be called, or returns false
// after abandon.
func (p *pendingSet) add(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.conns[conn] = struct{}{}
	p.working.Add(1)
	return true
}

// release takes the connection out so that abandon does not end it any more. It
// returns false after abandon.
func (p *pendingSet) release(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	return !p.closed
}

// done ends what add began.
func (p *pendingSet) done(conn net.Conn) {
	p.release(conn)
	p.working.Done()
}

// abandon ends all connections in the set and those to come, and waits for the
// goroutines working on them.
func (p *pendingSet) abandon() {
	p.mu.Lock()
	p.closed = true
	for conn := range p.conns {
		if t, ok := conn.(*tls.Conn); ok {
			conn = t.NetConn() // closing t would write an alert and could wait for that
		}
		_ = conn.Close() // wakes its goroutine, which closes it again
	}
	p.mu.Unlock()
	p.working.Wait()
}
