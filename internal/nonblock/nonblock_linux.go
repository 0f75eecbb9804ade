// Package nonblock makes system calls on non-blocking sockets of which Go's scheduler does not hear. A call
// that it hears of may block for all it knows: it wakes the runtime's monitor thread whenever the process
// was idle, which then looks around every 20 µs for a while. In a process that handles small things one
// by one this costs more than the calls. A call that could really block would hold up a whole processor,
// so nothing here may be used on a descriptor that is not a non-blocking socket (or, for Wait, epoll).
//
// The error number is 0 when all is well, and never EINTR.
package nonblock

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read is read(2). At the end of the stream it returns 0 and 0.
func Read(fd int, b []byte) (int, syscall.Errno) {
	return call(unix.SYS_READ, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b), 0)
}

// Send is send(2) without a signal when the peer has gone.
func Send(fd int, b []byte) (int, syscall.Errno) {
	return call(unix.SYS_SENDTO, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// Close is close(2).
func Close(fd int) {
	_, _ = call(unix.SYS_CLOSE, fd, nil, 0, 0)
}

// Wait is epoll_wait(2) that does not wait.
func Wait(epoll int, events []unix.EpollEvent) (int, syscall.Errno) {
	return call(unix.SYS_EPOLL_PWAIT, epoll, unsafe.Pointer(unsafe.SliceData(events)), len(events), 0)
}

// Set is setsockopt(2) for an option that is a number.
func Set(fd, level, option, value int) syscall.Errno {
	v := int32(value) //nolint:gosec // options are C ints
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&v)), unsafe.Sizeof(v), 0)
	return errno
}

// Accept is accept4(2): the new descriptor is non-blocking and not inherited by other programs. The
// address is invalid unless the peer is on IPv4 or IPv6; it has no zone.
func Accept(listener int) (fd int, peer netip.AddrPort, errno syscall.Errno) {
	var sa unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(sa))
	for {
		r, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&sa)),
			uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(r), addrPort(&sa), 0
		case unix.EINTR:
		default:
			return -1, netip.AddrPort{}, errno
		}
	}
}

func addrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), hostOrder(in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr), hostOrder(in.Port))
	default:
		return netip.AddrPort{}
	}
}

// hostOrder turns a port as it lies in a sockaddr into a number.
func hostOrder(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}

// call makes a system call whose second and third arguments are memory and its length.
func call(number uintptr, fd int, p unsafe.Pointer, n, flags int) (int, syscall.Errno) {
	for {
		r, _, errno := unix.RawSyscall6(number, uintptr(fd), uintptr(p), uintptr(n), uintptr(flags), 0, 0)
		switch errno {
		case 0:
			return int(r), 0
		case unix.EINTR:
			if number == unix.SYS_CLOSE {
				return 0, 0 // it is closed all the same
			}
		default:
			return 0, errno
		}
	}
}
