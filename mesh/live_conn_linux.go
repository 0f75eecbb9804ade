package mesh

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tidingsmesh/tidings/internal/nonblock"
)

// quietReader is Read of a connection by system calls of which the scheduler does not hear.
func quietReader(_ *net.TCPConn, raw syscall.RawConn) func([]byte) (int, error) {
	return func(b []byte) (n int, err error) {
		if len(b) == 0 {
			return 0, nil
		}
		var errno syscall.Errno
		err = raw.Read(func(fd uintptr) bool {
			n, errno = nonblock.Read(int(fd), b)
			return errno != unix.EAGAIN
		})
		switch {
		case err != nil:
			return 0, err
		case errno != 0:
			return 0, os.NewSyscallError("read", errno)
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
