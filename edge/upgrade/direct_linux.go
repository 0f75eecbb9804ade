package upgrade

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidingsmesh/tidings/internal/nonblock"
)

// directListener accepts descriptors that neither the scheduler nor the runtime's poller knows. A
// handshake that has arrived as a whole when it is accepted, as nearly all have, is answered on the spot;
// everything else becomes a net.Conn and goes the long way.
type directListener struct {
	file *os.File // a duplicate: a net.Listener does not let others wait for it
	raw  syscall.RawConn
}

// newDirectListener returns nil when ln is not plain TCP or the acceptor wants net.Conns. It ends with ctx.
func (a *Acceptor) newDirectListener(ctx context.Context, ln net.Listener) (*directListener, error) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok || a.cfg.DeliverDescriptor == nil {
		return nil, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	dup := -1
	var dupErr error
	err = raw.Control(func(fd uintptr) {
		// A connection counts as accepted once its request is there, or after about a second.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 1)
		dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err := errors.Join(err, dupErr); err != nil {
		return nil, err
	}
	l := &directListener{file: os.NewFile(uintptr(dup), "listener")}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = l.file.Close() })
	return l, nil
}

// next waits for a connection.
func (l *directListener) next() (fd int, peer netip.AddrPort, err error) {
	var errno syscall.Errno
	err = l.raw.Read(func(listener uintptr) bool {
		fd, peer, errno = nonblock.Accept(int(listener))
		return errno != unix.EAGAIN
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("accept4", errno)
	}
	return fd, peer, err
}

// acceptDirect accepts one connection, for which there is a slot, and sees to it that the slot is given
// back.
func (a *Acceptor) acceptDirect(ctx context.Context, l *directListener) error {
	fd, peer, err := l.next()
	if err != nil {
		<-a.slots
		return err
	}
	buffer := a.buffers.Get().(*[]byte) //nolint:errcheck // the pool holds nothing else
	n, _ := nonblock.Read(fd, *buffer)  // nothing is there, or it is dead, and reading says so again
	if a.direct(ctx, fd, peer.Addr().Unmap(), (*buffer)[:n]) {
		a.buffers.Put(buffer)
		<-a.slots
		return nil
	}
	conn, err := connOf(fd)
	if err != nil {
		a.buffers.Put(buffer)
		<-a.slots
		return err
	}
	if !a.pending.add(conn) { // not while the loop runs
		_ = conn.Close()
		a.buffers.Put(buffer)
		<-a.slots
		return nil
	}
	go a.handle(ctx, conn, buffer, n)
	return nil
}

// direct upgrades and delivers a connection whose handshake is all in b and needs nothing that could
// take time. It returns false, having done nothing, for any other.
func (a *Acceptor) direct(ctx context.Context, fd int, peer netip.Addr, b []byte) bool {
	var scanner headScanner
	size, refusal := scanner.scan(b, a)
	if refusal != nil || size == 0 {
		return false
	}
	h, refusal := parseHead(b[:size], a.cfg.Subprotocol)
	if refusal != nil || !a.isUpgrade(&h) || h.has(fieldAuthorization) {
		return false
	}
	request, refusal := a.examine(&h, peer)
	if refusal == nil {
		refusal = a.check(ctx, request, time.Now().Add(a.cfg.Timeout))
	}
	if refusal != nil || a.switchProtocols(descriptor(fd), b[:size], request.Deflate) != nil {
		return false
	}
	a.cfg.DeliverDescriptor(fd, early(b[size:]), request)
	return true
}

// descriptor writes to a socket that has been sent nothing so far: it takes it all at once or is dead.
type descriptor int

func (d descriptor) Write(b []byte) (int, error) {
	n, errno := nonblock.Send(int(d), b)
	switch {
	case errno != 0:
		return n, os.NewSyscallError("send", errno)
	case n < len(b):
		return n, io.ErrShortWrite
	}
	return n, nil
}

// connOf makes a net.Conn of a descriptor, which it owns from then on.
func connOf(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "accepted")
	defer func() { _ = file.Close() }() // the connection has a duplicate
	return net.FileConn(file)
}
