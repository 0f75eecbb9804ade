package edge

import (
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidingsmesh/tidings/internal/nonblock"
)

// notSentLowat bounds what the kernel queues for a client that does not read, in bytes, beyond what
// is on the wire; without it megabytes vanish before a write is refused.
const notSentLowat = 16 << 10

// tuneSocket sets what a socket with many siblings needs. Failing to is no reason to refuse a client.
func tuneSocket(conn *net.TCPConn, timeout time.Duration) {
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { tuneDescriptor(int(fd), timeout) })
	}
}

// tuneDescriptor is tuneSocket for a descriptor. timeout is how long sent data may stay
// unacknowledged, or the client's window closed, before the kernel gives the connection up; its own
// default is about a quarter of an hour.
func tuneDescriptor(fd int, timeout time.Duration) {
	_ = nonblock.Set(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = nonblock.Set(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSentLowat)
	_ = nonblock.Set(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
}
