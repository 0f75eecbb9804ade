//go:build unix && !linux

// Package nonblock makes system calls on non-blocking sockets. Only on Linux does it keep them from Go's
// scheduler.
package nonblock

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Read is read(2). At the end of the stream it returns 0 and 0.
func Read(fd int, b []byte) (int, syscall.Errno) { return call(unix.Read, fd, b) }

// Send is write(2); Go's runtime ignores the signal when the peer has gone.
func Send(fd int, b []byte) (int, syscall.Errno) { return call(unix.Write, fd, b) }

func call(f func(int, []byte) (int, error), fd int, b []byte) (int, syscall.Errno) {
	for {
		n, err := f(fd, b)
		errno, _ := errors.AsType[syscall.Errno](err)
		if errno != unix.EINTR {
			return max(n, 0), errno
		}
	}
}
