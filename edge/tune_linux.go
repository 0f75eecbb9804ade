package edge

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// tuneSocket sets what a socket with many siblings needs; see the constants. Failing to is no
// reason to refuse a client.
func tuneSocket(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) { tuneDescriptor(int(fd)) }) //nolint:gosec // a descriptor fits
}

const (
	// notSentLowat bounds what the kernel queues for a client that does not read, in bytes, beyond
	// what is on the wire; without it megabytes vanish before a write is refused.
	notSentLowat = 16 << 10
	// userTimeout is how long sent data may stay unacknowledged, in milliseconds, before the kernel
	// gives the connection up; the kernel's own default is about a quarter of an hour.
	userTimeout = 30_000
)

func tuneDescriptor(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSentLowat)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, userTimeout)
}
