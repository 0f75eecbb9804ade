package mesh

import (
	"net"

	"github.com/nats-io/nats.go"
)

// liveConn is the network connection under a NATS connection whose messages are handled by the goroutine
// that reads them. The client library reads again once all that it read before is in the channels of the
// subscriptions: that is when drained is called. Waking another goroutine for each message, and the
// runtime's monitor for each read, costs more than the message itself when they come one by one.
type liveConn struct {
	net.Conn
	read    func(b []byte) (int, error)
	drained func()
}

func newLiveConn(conn net.Conn, drained func()) *liveConn {
	c := &liveConn{Conn: conn, read: conn.Read, drained: drained}
	if tcp, ok := conn.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			c.read = quietReader(tcp, raw)
		}
	}
	return c
}

func (c *liveConn) Read(b []byte) (int, error) {
	c.drained()
	return c.read(b)
}

// liveDialer makes liveConns for the client library, over TCP or to an embedded server.
type liveDialer struct {
	net.Dialer
	server  nats.InProcessConnProvider // nil: TCP
	drained func()
}

func (d *liveDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.Dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return newLiveConn(conn, d.drained), nil
}

// InProcessConn implements nats.InProcessConnProvider.
func (d *liveDialer) InProcessConn() (net.Conn, error) {
	conn, err := d.server.InProcessConn()
	if err != nil {
		return nil, err
	}
	return newLiveConn(conn, d.drained), nil
}
