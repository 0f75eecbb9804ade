package swarm

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is the sockets of a worker and what waits for them: epoll, and an eventfd to wake it. All but wake
// belongs to one goroutine.
type poller struct {
	fd, waker int
	events    []unix.EpollEvent
	got       []readiness
}

// readiness says what a socket is ready for. It is named by what watch was given.
type readiness struct {
	id, generation int32
	read, write    bool
	ended          bool // the other side sends no more, or there was an error; ready for both then
}

// wakeID is nobody's id.
const wakeID = -1

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	waker, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	const batch = 512
	p := &poller{fd: fd, waker: waker, events: make([]unix.EpollEvent, batch), got: make([]readiness, 0, batch)}
	if err := p.control(unix.EPOLL_CTL_ADD, waker, unix.EPOLLIN, wakeID, 0); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) close() {
	_ = unix.Close(p.waker)
	_ = unix.Close(p.fd)
}

// wake ends a wait, the present or the next one. Any goroutine may call it.
func (p *poller) wake() {
	_, _ = unix.Write(p.waker, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // fails only when it is awake for long
}

// wait blocks its thread until a socket is ready, wake was called or so much time has passed. What it returns
// is valid until the next call.
func (p *poller) wait(d time.Duration) ([]readiness, error) {
	// Rounded up: a timer that is due in half a millisecond must not make this spin.
	timeout := int((max(d, 0) + time.Millisecond - 1) / time.Millisecond)
	n, err := unix.EpollWait(p.fd, p.events, timeout)
	p.got = p.got[:0]
	if err != nil && !errors.Is(err, unix.EINTR) {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	for i := range max(n, 0) {
		ev := &p.events[i]
		if ev.Fd == wakeID {
			var none [8]byte
			_, _ = unix.Read(p.waker, none[:]) // empties it
			continue
		}
		ended := ev.Events&(unix.EPOLLRDHUP|unix.EPOLLERR|unix.EPOLLHUP) != 0
		p.got = append(p.got, readiness{
			id: ev.Fd, generation: ev.Pad,
			read: ended || ev.Events&unix.EPOLLIN != 0, write: ended || ev.Events&unix.EPOLLOUT != 0, ended: ended,
		})
	}
	return p.got, nil
}

func (p *poller) control(op, fd int, events uint32, id, generation int32) error {
	ev := unix.EpollEvent{Events: events, Fd: id, Pad: generation}
	if err := unix.EpollCtl(p.fd, op, fd, &ev); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// watch says what to wait for from now on; first, that the socket is new. Errors are always waited for.
//
// Readiness is told once (edge-triggered), when it comes or is there already, so whoever hears of it reads until
// there is less than asked for. Otherwise the kernel would look at each socket a second time after each event.
func (p *poller) watch(fd int, r readiness, first bool) error {
	events := uint32(unix.EPOLLET & 0xffffffff)
	if r.read {
		events |= unix.EPOLLIN | unix.EPOLLRDHUP
	}
	if r.write {
		events |= unix.EPOLLOUT
	}
	op := unix.EPOLL_CTL_MOD
	if first {
		op = unix.EPOLL_CTL_ADD
	}
	return p.control(op, fd, events, r.id, r.generation)
}

// dial begins a connection; it is there when the socket is ready for writing. from, when valid, is its source
// address; receive, when not 0, is the size of its receive buffer in bytes.
func (p *poller) dial(to netip.AddrPort, from netip.Addr, receive int) (fd int, err error) {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = p.prepare(fd, from, receive); err == nil {
		err = unix.Connect(fd, socketAddress(to))
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (p *poller) prepare(fd int, from netip.Addr, receive int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if receive > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receive); err != nil {
			return err
		}
	}
	if !from.IsValid() {
		return nil
	}
	// The port is chosen at connect, so that one serves for connections to several servers.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	return unix.Bind(fd, socketAddress(netip.AddrPortFrom(from, 0)))
}

func socketAddress(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

// read and write never block: without data or space they return 0 and errAgain. The end of the stream is 0
// and no error. They go past Go's scheduler, which has nothing to do for a call that returns at once.
func (p *poller) read(fd int, b []byte) (int, error) {
	return transfer(unix.SYS_RECVFROM, fd, b, unix.MSG_DONTWAIT)
}

func (p *poller) write(fd int, b []byte) (int, error) {
	return transfer(unix.SYS_SENDTO, fd, b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

const errAgain = unix.EAGAIN

func transfer(call uintptr, fd int, b []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			flags, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// hangUp closes a socket; abruptly, the other side is told so (RST), and nothing that is unsent is sent.
func (p *poller) hangUp(fd int, abruptly bool) {
	if abruptly {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // else it ends in order
	}
	_ = unix.Close(fd)
}

// fileLimit is how many files this process may have open, the limit raised as far as it goes.
func fileLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024 // the usual one
	}
	return int(min(limit.Max, 1<<20))
}
