package upgrade

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// handle takes one accepted connection to where it belongs. It owns the
// connection and the slot until then, and the buffer, of which n bytes were
// read already; nil: it takes one when there is something to read.
func (a *Acceptor) handle(ctx context.Context, conn net.Conn, buffer *[]byte, n int) {
	defer func() { <-a.slots }()
	defer a.pending.done(conn)
	deadline := time.Now().Add(a.cfg.Timeout)
	_ = conn.SetDeadline(deadline) // fails only on a dead connection, and reading says so

	if answer, refusal := handshakeTLS(conn); refusal != nil {
		a.end(ctx, answer, refusal, nil)
		return
	}
	if buffer == nil {
		buffer = a.buffers.Get().(*[]byte) //nolint:errcheck // the pool holds nothing else
	}
	defer a.buffers.Put(buffer)
	n, size, refusal := a.readHead(conn, *buffer, n)
	if refusal != nil {
		a.end(ctx, conn, refusal, nil)
		return
	}
	b := (*buffer)[:n]
	h, refusal := parseHead(b[:size], a.cfg.Subprotocol)
	switch {
	case refusal != nil:
		a.end(ctx, conn, refusal, &h)
	case a.isUpgrade(&h):
		a.upgrade(ctx, conn, &h, b[:size], b[size:], deadline)
	default:
		a.passOn(ctx, conn, &h, b, deadline)
	}
}

// handshakeTLS does the TLS handshake of a TLS connection. It returns the
// connection that can still take an answer.
func handshakeTLS(conn net.Conn) (net.Conn, *Refusal) {
	t, ok := conn.(*tls.Conn)
	if !ok {
		return conn, nil
	}
	// The deadline bounds it, and shutting down closes the connection.
	err := t.Handshake()
	if err == nil {
		return conn, nil
	}
	if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok && plain.Conn != nil && isToken(plain.RecordHeader[:3]) {
		return plain.Conn, refuseTLSExpected // it begins like an HTTP request
	}
	return conn, closeOnTLS
}

// readHead reads until the head is complete. n bytes are in b already. It
// returns how many there are then and how many of them are the head.
func (a *Acceptor) readHead(conn net.Conn, b []byte, n int) (_, size int, refusal *Refusal) {
	var scanner headScanner
	var err error
	for m := n; ; {
		if m > 0 {
			if !tokenBytes[b[0]] {
				return n, 0, refuseNotHTTP // at once, not when a head that never comes is late
			}
			if size, refusal = scanner.scan(b[:n], a); size > 0 || refusal != nil {
				return n, size, refusal
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && n == 0:
			return n, 0, closeOnTimeout // nothing asked, nothing answered
		case errors.Is(err, os.ErrDeadlineExceeded):
			return n, 0, refuseTimeout
		case err != nil:
			return n, 0, closeOnDisconnect
		case n == len(b):
			return n, 0, a.refuseHeadTooLarge
		}
		m, err = conn.Read(b[n:])
		n += m
	}
}

// upgrade answers a WebSocket handshake and delivers the connection.
func (a *Acceptor) upgrade(ctx context.Context, conn net.Conn, h *head, raw, ahead []byte, deadline time.Time) {
	request, refusal := a.examine(h, addrOf(conn))
	if refusal == nil {
		refusal = a.check(ctx, request, deadline)
	}
	if refusal != nil {
		a.end(ctx, conn, refusal, h)
		return
	}
	a.deliver(ctx, conn, h, request, raw, early(ahead))
}

// early is a copy of the bytes that came with a handshake, nil for none.
func early(ahead []byte) []byte {
	if len(ahead) == 0 {
		return nil
	}
	return bytes.Clone(ahead)
}

// check asks Config.Check.
func (a *Acceptor) check(ctx context.Context, request *Request, deadline time.Time) *Refusal {
	if a.cfg.Check == nil {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return a.cfg.Check(ctx, request)
}

// deliver sends the 101 response and hands the connection over.
func (a *Acceptor) deliver(ctx context.Context, conn net.Conn, h *head, request *Request, raw, early []byte) {
	if err := a.switchProtocols(conn, raw, request.Deflate); err != nil {
		refusal := closeOnDisconnect
		if errors.Is(err, os.ErrDeadlineExceeded) {
			refusal = closeOnTimeout
		}
		a.end(ctx, conn, refusal, h)
		return
	}
	if !a.pending.release(conn) {
		a.end(ctx, conn, closeOnShutdown, h)
		return
	}
	_ = conn.SetDeadline(time.Time{}) // fails only on a dead connection, and its receiver finds out
	a.cfg.Deliver(Conn{Conn: conn, Early: early, Request: request})
}

// passOn gives a connection with all its bytes to the HTTP server.
func (a *Acceptor) passOn(ctx context.Context, conn net.Conn, h *head, b []byte, deadline time.Time) {
	refusal := refuseShutdown
	if a.pending.release(conn) {
		_ = conn.SetDeadline(time.Time{}) // fails only on a dead connection, and the HTTP server finds out
		refusal = a.http.offer(ctx, newReplayConn(conn, b), deadline)
	}
	if refusal != nil {
		a.end(ctx, conn, refusal, h)
	}
}

// addrOf returns the peer's address, if it is TCP.
func addrOf(conn net.Conn) netip.Addr {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}
