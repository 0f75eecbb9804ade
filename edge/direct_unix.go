//go:build unix

package edge

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// directSocket reads and writes a TCP connection through the runtime's poller without waiting in
// writes, so that no goroutine is needed for them.
type directSocket struct {
	conn    *net.TCPConn
	raw     syscall.RawConn
	session *session
	tasks   *sync.WaitGroup
}

func newDirectSocket(conn net.Conn, s *session, tasks *sync.WaitGroup) (*directSocket, bool) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, false
	}
	tuneSocket(tcp, s.shard.edge.cfg.kernelTimeout())
	return &directSocket{conn: tcp, raw: raw, session: s, tasks: tasks}, true
}

// read feeds the session until the connection ends. A buffer is taken only once there is something
// to put in it: most connections are silent most of the time.
func (d *directSocket) read(buffers *sync.Pool, s *session) error {
	for {
		var n int
		var err error
		outer := d.raw.Read(func(fd uintptr) bool {
			buffer, ok := buffers.Get().(*[]byte)
			if !ok {
				return true // the pool holds nothing else
			}
			defer buffers.Put(buffer)
			n, err = unix.Read(int(fd), *buffer)
			if n > 0 {
				s.receive((*buffer)[:n])
			}
			return err != unix.EAGAIN
		})
		switch {
		case outer != nil:
			return outer
		case n > 0 || err == unix.EINTR:
		case err != nil:
			return err
		default:
			return io.EOF
		}
	}
}

func (d *directSocket) write(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	outer := d.raw.Write(func(fd uintptr) bool {
		for {
			n, err = unix.Write(int(fd), b)
			if err != unix.EINTR {
				return true // also when it is full: waiting is for await
			}
		}
	})
	switch {
	case outer != nil:
		return 0, outer
	case err == unix.EAGAIN:
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.ErrClosedPipe
	}
	return n, nil
}

func (d *directSocket) await() {
	d.tasks.Go(func() {
		// While it waits it holds the connection's lock for writing. The loop does not write meanwhile:
		// there is a backlog until the note.
		_ = d.raw.Write(func(fd uintptr) bool {
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}} //nolint:gosec // a descriptor fits
			for {
				n, err := unix.Poll(poll, 0)
				if err != unix.EINTR {
					return n != 0
				}
			}
		})
		d.session.shard.post(note{kind: noteWritable, session: d.session})
	})
}

func (d *directSocket) closeWrite() { _ = d.conn.CloseWrite() }
func (d *directSocket) shut()       { _ = d.conn.SetDeadline(time.Unix(1, 0)) }
func (d *directSocket) release()    { _ = d.conn.Close() }
