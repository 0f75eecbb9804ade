package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// floor is the server. One thread does everything, nothing is ever collected, and no goroutine of this program
// runs beside it: so it may wait in the kernel without telling Go's scheduler.
type floor struct {
	epoll        int
	http, ingest int     // listening sockets
	conns        []*conn // by descriptor
	rooms        map[string]*room
	buffer       []byte // for reading
	frame        []byte // the one that is sent; as nothing is collected, nothing is thrown away
	answer       []byte
	dropped      int
}

// conn is a connection of a client or a publisher.
type conn struct {
	fd        int
	publisher bool
	upgraded  bool
	received  []byte // what is incomplete
	seats     []seat
}

// seat is a place in a room: room.members[index] is the connection.
type seat struct {
	room  *room
	index int
}

type room struct{ members []*conn }

// serve listens and prints where; it returns only with an error.
func serve(http, ingest string, out io.Writer) error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	const buffer = 256 << 10
	f := &floor{rooms: make(map[string]*room), buffer: make([]byte, buffer)}
	var err error
	if f.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	var ready struct {
		HTTP   string `json:"http"`
		Ingest string `json:"ingest"`
	}
	if f.http, ready.HTTP, err = f.listen(http); err != nil {
		return err
	}
	if f.ingest, ready.Ingest, err = f.listen(ingest); err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(ready); err != nil {
		return err
	}
	return f.run()
}

func (f *floor) listen(address string) (fd int, bound string, err error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Is4() {
		return -1, "", fmt.Errorf("address %q, want IPv4 and port, as 127.0.0.1:8080", address)
	}
	fail := func(err error) (int, string, error) { return -1, "", fmt.Errorf("listen on %s: %w", address, err) }
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return fail(err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fail(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); err != nil {
		return fail(err)
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		return fail(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return fail(err)
	}
	if in, ok := name.(*unix.SockaddrInet4); ok {
		at = netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)) //nolint:gosec // a port fits
	}
	return fd, at.String(), f.watch(fd)
}

func (f *floor) watch(fd int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)} //nolint:gosec // a descriptor fits
	return unix.EpollCtl(f.epoll, unix.EPOLL_CTL_ADD, fd, &ev)
}

func (f *floor) run() error {
	const batch = 256
	var events [batch]unix.EpollEvent
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(f.epoll), uintptr(unsafe.Pointer(&events[0])), batch,
			^uintptr(0), 0, 0) // -1: for as long as it takes
		switch errno {
		case 0:
		case unix.EINTR: // Go's scheduler takes the wait for a goroutine that runs for long
			continue
		default:
			return fmt.Errorf("epoll: %w", errno)
		}
		for i := range int(n) {
			switch fd := int(events[i].Fd); fd {
			case f.http, f.ingest:
				if err := f.accept(fd); err != nil {
					return err
				}
			default:
				if c := f.conns[fd]; c != nil && !f.read(c) {
					f.close(c)
				}
			}
		}
	}
}

// accept takes all who wait.
func (f *floor) accept(listener int) error {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EAGAIN:
			return nil
		case unix.EINTR, unix.ECONNABORTED:
			continue
		default:
			return fmt.Errorf("accept: %w", err)
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // without it, events come later
		for fd >= len(f.conns) {
			f.conns = append(f.conns, make([]*conn, max(len(f.conns), 1024))...)
		}
		f.conns[fd] = &conn{fd: fd, publisher: listener == f.ingest}
		if err := f.watch(fd); err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
	}
}

// read reads once. It reports whether the connection goes on.
func (f *floor) read(c *conn) bool {
	had := copy(f.buffer, c.received)
	if had == len(f.buffer) {
		return false // too long, whatever it is
	}
	n, errno := f.call(unix.SYS_RECVFROM, c.fd, f.buffer[had:])
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return true
	}
	if errno != 0 || n == 0 {
		return false
	}
	b := f.buffer[:had+n]
	var rest []byte
	ok := true
	switch {
	case c.publisher:
		rest = f.publish(c, b)
	case c.upgraded:
		rest, ok = f.messages(c, b)
	default:
		rest, ok = f.upgrade(c, b)
	}
	c.received = append(c.received[:0], rest...)
	return ok
}

func (f *floor) close(c *conn) {
	for len(c.seats) > 0 {
		f.leave(c, 0)
	}
	f.conns[c.fd] = nil
	_ = unix.Close(c.fd)
}

// call reads or writes without blocking.
func (f *floor) call(number uintptr, fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// send sends a whole message or drops it. A part of one would be the end of the stream's framing, so that is
// the end of the connection: epoll then says that it has ended.
func (f *floor) send(fd int, b []byte) {
	n, errno := f.call(unix.SYS_SENDTO, fd, b)
	if n == len(b) && errno == 0 {
		return
	}
	f.dropped++
	if errno == 0 {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
	}
}

// publish takes lines of a publisher and returns what is incomplete.
func (f *floor) publish(c *conn, b []byte) (rest []byte) {
	f.answer = f.answer[:0]
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			break
		}
		line := b[:end]
		b = b[end+1:]
		if string(line) == "?" {
			f.answer = append(strconv.AppendInt(append(f.answer, '?'), int64(f.dropped), 10), '\n')
			continue
		}
		name, event, _ := bytes.Cut(line, []byte(" "))
		if r := f.rooms[string(name)]; r != nil {
			f.frame = appendText(f.frame[:0], event)
			for _, member := range r.members {
				f.send(member.fd, f.frame)
			}
		}
		f.answer = append(f.answer, "+\n"...)
	}
	if len(f.answer) > 0 {
		f.send(c.fd, f.answer)
	}
	return b
}

// say takes a client's message.
func (f *floor) say(c *conn, message []byte) {
	word, name, _ := bytes.Cut(bytes.TrimSuffix(message, []byte("\n")), []byte(" "))
	r := f.rooms[string(name)]
	switch {
	case string(word) == "join":
		if r == nil {
			r = new(room)
			f.rooms[string(name)] = r
		}
		c.seats = append(c.seats, seat{r, len(r.members)})
		r.members = append(r.members, c)
		f.answer = append(append(append(f.answer[:0], "joined "...), name...), '\n')
		f.frame = appendText(f.frame[:0], f.answer)
		f.send(c.fd, f.frame)
	case string(word) == "leave" && r != nil:
		for i, s := range c.seats {
			if s.room == r {
				f.leave(c, i)
				return
			}
		}
	}
}

// leave gives up a seat; the last member of the room moves to it.
func (f *floor) leave(c *conn, i int) {
	s := c.seats[i]
	c.seats = append(c.seats[:i], c.seats[i+1:]...)
	end := len(s.room.members) - 1
	last := s.room.members[end]
	s.room.members[end] = nil
	s.room.members = s.room.members[:end]
	if s.index == end {
		return
	}
	s.room.members[s.index] = last
	for k := range last.seats {
		if last.seats[k] == (seat{s.room, end}) {
			last.seats[k].index = s.index
		}
	}
}
