package upgrade

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// httpListener is the net.Listener of the HTTP server.
type httpListener struct {
	conns  chan net.Conn // unbuffered: nothing is left behind when it closes
	once   sync.Once
	closed chan struct{}
}

func newHTTPListener() *httpListener {
	return &httpListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// offer waits for the HTTP server to accept the connection. It returns why it
// did not.
func (l *httpListener) offer(ctx context.Context, conn net.Conn, deadline time.Time) *Refusal {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case l.conns <- conn:
		return nil
	case <-ctx.Done():
		return refuseShutdown
	case <-l.closed:
		return refuseNoHTTP
	case <-timer.C:
		return refuseNoHTTP
	}
}

// Accept implements net.Listener.
func (l *httpListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *httpListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener. The listeners given to Serve know where they
// listen; this one is behind them all.
func (l *httpListener) Addr() net.Addr { return httpAddr{} }

type httpAddr struct{}

func (httpAddr) Network() string { return "tcp" }
func (httpAddr) String() string  { return "upgrade" }

// replayConn is a connection whose first bytes were read already. Like every
// connection of net/http it is read by one goroutine at a time.
type replayConn struct {
	net.Conn
	ahead []byte // nil once read
}

// tlsReplayConn lets net/http fill in Request.TLS.
type tlsReplayConn struct {
	*replayConn
	tls *tls.Conn
}

// ConnectionState is what net/http asks connections for.
func (c tlsReplayConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// newReplayConn copies ahead.
func newReplayConn(conn net.Conn, ahead []byte) net.Conn {
	replay := &replayConn{Conn: conn, ahead: bytes.Clone(ahead)}
	if t, ok := conn.(*tls.Conn); ok {
		return tlsReplayConn{replay, t}
	}
	return replay
}

// Read implements net.Conn.
func (c *replayConn) Read(b []byte) (int, error) {
	if len(c.ahead) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.ahead)
	if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
		c.ahead = nil
	}
	return n, nil
}

// CloseWrite lets net/http end a connection without losing its last response.
func (c *replayConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}

// unwrap returns the connection as accepted and what was not yet read of the
// bytes to replay.
func unwrap(conn net.Conn) (net.Conn, []byte) {
	switch c := conn.(type) {
	case *replayConn:
		return c.Conn, c.ahead
	case tlsReplayConn:
		return c.Conn, c.ahead
	default:
		return conn, nil
	}
}

// ServeHTTP upgrades a handshake that comes as a later request of an HTTP
// connection, as from a reverse proxy that uses its connections again (browsers
// open new ones). Mount it at Config.Path. The request as net/http understood
// it is written out and goes the same way as a first request, by the same rules.
// What is no handshake is answered with 426.
func (a *Acceptor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, deadline := r.Context(), time.Now().Add(a.cfg.Timeout)
	raw := renderHead(r)
	h, refusal := a.reparse(raw)
	var request *Request
	if refusal == nil {
		addr, _ := netip.ParseAddrPort(r.RemoteAddr) // invalid if not TCP, as documented
		request, refusal = a.examine(&h, addr.Addr().Unmap())
	}
	if refusal == nil {
		refusal = a.check(ctx, request, deadline)
	}
	if refusal != nil {
		a.account(ctx, refusal, remoteAddr(r.RemoteAddr), &h)
		refusal.header(w.Header().Add)
		w.WriteHeader(refusal.status())
		_, _ = io.WriteString(w, refusal.Message+"\n") // a client that left needs no answer
		return
	}

	hijacked, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// HTTP/2, or a middleware hides the connection.
		a.account(ctx, refuseNotUpgrade, remoteAddr(r.RemoteAddr), &h)
		http.Error(w, refuseNotUpgrade.Message, refuseNotUpgrade.Status)
		return
	}
	conn, unread := unwrap(hijacked)
	ahead, _ := buffered.Reader.Peek(buffered.Reader.Buffered()) // cannot fail for what is buffered
	if !a.pending.add(conn) {
		a.end(ctx, conn, refuseShutdown, &h)
		return
	}
	defer a.pending.done(conn)
	_ = conn.SetDeadline(deadline) // on a dead connection writing fails, too
	a.deliver(ctx, conn, &h, request, raw, early(append(ahead, unread...)))
}

// Examine makes a Request of a plain request, of whatever path, by the rules that a handshake is under: where it may come
// from, and how it shows a token. Nothing is counted or logged. Of a page that is refused nothing else is told.
func (a *Acceptor) Examine(r *http.Request) (*Request, *Refusal) {
	origins, authorization := r.Header.Values("Origin"), r.Header.Values("Authorization")
	if len(origins) > 1 || len(authorization) > 1 {
		return nil, refuseDuplicate
	}
	host, ok := parseHostPort(r.Host)
	if !ok {
		return nil, refuseHost
	}
	addr, _ := netip.ParseAddrPort(r.RemoteAddr) // invalid if not TCP, as documented
	request := &Request{
		Path: r.URL.Path, Host: r.Host, Origin: r.Header.Get("Origin"), RemoteAddr: addr.Addr().Unmap(),
	}
	if refusal := a.identify(request, host, len(origins) > 0, []byte(r.Header.Get("Authorization"))); refusal != nil {
		return nil, refusal
	}
	return request, nil
}

// remoteAddr is the net.Addr of a Request.RemoteAddr.
type remoteAddr string

func (remoteAddr) Network() string  { return "tcp" }
func (a remoteAddr) String() string { return string(a) }

// reparse puts a rendered head under the limits and rules of a first one.
func (a *Acceptor) reparse(raw []byte) (head, *Refusal) {
	if len(raw) > a.cfg.MaxHeadBytes {
		return head{}, a.refuseHeadTooLarge
	}
	var scanner headScanner
	if _, refusal := scanner.scan(raw, a); refusal != nil {
		return head{}, refusal
	}
	h, refusal := parseHead(raw, a.cfg.Subprotocol)
	if refusal == nil && !a.isUpgrade(&h) {
		refusal = refuseNotUpgrade
	}
	return h, refusal
}

// renderHead writes a request head out. Nothing in a Request of net/http has
// line ends in it.
func renderHead(r *http.Request) []byte {
	var b bytes.Buffer
	b.WriteString(r.Method + " " + r.RequestURI + " " + r.Proto + "\r\nHost: " + r.Host + "\r\n")
	for _, coding := range r.TransferEncoding {
		b.WriteString("Transfer-Encoding: " + coding + "\r\n")
	}
	_ = r.Header.Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	return b.Bytes()
}
