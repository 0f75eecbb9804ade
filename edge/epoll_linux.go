package edge

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tidingsmesh/tidings/edge/upgrade"
	"github.com/tidingsmesh/tidings/internal/nonblock"
)

// epollDriver reads all sockets of a shard with one goroutine. Its epoll descriptor is itself
// registered with the Go runtime's poller, so that waiting parks the goroutine instead of blocking
// a thread. Sockets are duplicates taken out of their net.Conn: the runtime's poller no longer
// knows them, and they belong to one session from attach to release.
type epollDriver struct {
	fd   int
	file *os.File // wraps fd for the runtime's poller
	raw  syscall.RawConn

	mu    sync.Mutex // guards table
	table []*session // by descriptor

	buffer []byte
}

const (
	epollEvents = 256
	epollBuffer = 64 << 10
)

const epollAvailable = true

func newEpollDriver() (driver, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	// Only a non-blocking descriptor is taken into the runtime's poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &epollDriver{fd: fd, file: file, raw: raw, buffer: make([]byte, epollBuffer)}, nil
}

func (d *epollDriver) stop() { _ = d.file.Close() }

func (d *epollDriver) run() {
	events := make([]unix.EpollEvent, epollEvents)
	for {
		n := 0
		// The wrapped descriptor is edge-triggered in the runtime's poller: it may be waited for
		// only after a look that found nothing.
		err := d.raw.Read(func(uintptr) bool {
			var errno syscall.Errno
			n, errno = nonblock.Wait(d.fd, events)
			return n > 0 || errno != 0
		})
		if err != nil || n < 0 {
			return // stopped
		}
		for i := range events[:n] {
			d.event(&events[i])
		}
	}
}

func (d *epollDriver) event(ev *unix.EpollEvent) {
	fd := int(ev.Fd)
	d.mu.Lock()
	s := d.table[fd]
	d.mu.Unlock()
	if s == nil {
		return
	}
	if ev.Events&unix.EPOLLOUT != 0 {
		d.watch(fd, unix.EPOLL_CTL_MOD, 0)
		s.shard.post(note{kind: noteWritable, session: s})
	}
	if ev.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
		return
	}
	n, errno := nonblock.Read(fd, d.buffer)
	switch {
	case n > 0:
		s.receive(d.buffer[:n])
	case errno == unix.EAGAIN:
	default:
		d.detach(fd, s)
	}
}

// detach is the reader's farewell: the descriptor is out of epoll and of the table before the loop,
// which may then release it, hears of it.
func (d *epollDriver) detach(fd int, s *session) {
	d.watch(fd, unix.EPOLL_CTL_DEL, 0)
	d.mu.Lock()
	d.table[fd] = nil
	d.mu.Unlock()
	s.shard.post(note{kind: noteGone, session: s})
}

func (d *epollDriver) watch(fd, op int, extra uint32) {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | extra, Fd: int32(fd)} //nolint:gosec // a descriptor fits
	_ = unix.EpollCtl(d.fd, op, fd, &ev)                                                 // fails only for a descriptor that is not there
}

func (d *epollDriver) attach(conn upgrade.Conn, s *session) {
	fd, err := takeDescriptor(conn.Conn)
	_ = conn.Close() // the duplicate keeps the connection
	if err != nil {
		s.shard.edge.log.Warn("cannot take over a connection; if files ran out, raise the limit (ulimit -n)", errAttr(err))
		s.sock = &epollSocket{fd: -1, driver: d}
		s.shard.post(note{kind: noteOpened, session: s})
		s.shard.post(note{kind: noteGone, session: s})
		return
	}
	d.attachDescriptor(fd, conn.Early, s)
}

// attachDescriptor is attach for a socket that is its own descriptor already.
func (d *epollDriver) attachDescriptor(fd int, early []byte, s *session) {
	tuneDescriptor(fd, s.shard.edge.cfg.kernelTimeout())
	s.sock = &epollSocket{fd: fd, driver: d}
	s.shard.post(note{kind: noteOpened, session: s})
	var extra uint32
	if len(early) > 0 {
		s.receive(early) // before the reader sees the descriptor
		// The answer may have filled the socket and asked to be woken before there was anybody to
		// do so. This wakes the session in any case.
		extra = unix.EPOLLOUT
	}
	d.mu.Lock()
	for fd >= len(d.table) {
		d.table = append(d.table, make([]*session, 1024)...)
	}
	d.table[fd] = s
	d.mu.Unlock()
	d.watch(fd, unix.EPOLL_CTL_ADD, extra)
}

// takeDescriptor duplicates the descriptor of a TCP connection.
func takeDescriptor(conn net.Conn) (int, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return -1, fmt.Errorf("a %T has no descriptor of its own", conn)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -1, err
	}
	dup := -1
	var dupErr error
	if err := raw.Control(func(fd uintptr) {
		dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return -1, err
	}
	return dup, dupErr
}

// epollSocket is a descriptor of its own.
type epollSocket struct {
	fd     int
	driver *epollDriver
}

func (k *epollSocket) write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, errno := nonblock.Send(k.fd, b)
	switch errno {
	case 0, unix.EAGAIN:
		return n, nil
	default:
		return 0, errno
	}
}

func (k *epollSocket) await()      { k.driver.watch(k.fd, unix.EPOLL_CTL_MOD, unix.EPOLLOUT) }
func (k *epollSocket) closeWrite() { _ = unix.Shutdown(k.fd, unix.SHUT_WR) }
func (k *epollSocket) shut()       { _ = unix.Shutdown(k.fd, unix.SHUT_RDWR) }

func (k *epollSocket) release() {
	if k.fd >= 0 {
		nonblock.Close(k.fd)
		k.fd = -1
	}
}
