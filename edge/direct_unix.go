//go:build unix

package edge

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidingsmesh/tidings/internal/nonblock"
)

// directSocket reads and writes a TCP connection through the runtime's poller without waiting in
// writes, so that no goroutine is needed for them.
type directSocket struct {
	conn    *net.TCPConn
	raw     syscall.RawConn
	session *session
	tasks   *sync.WaitGroup

	// A write in passing, for put: a closure of its own would be memory for each write.
	out   []byte
	n     int
	errno syscall.Errno
	put   func(fd uintptr) bool
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
	d := &directSocket{conn: tcp, raw: raw, session: s, tasks: tasks}
	d.put = d.send
	return d, true
}

// send writes out once. That the socket is full is no reason to wait: that is for await.
func (d *directSocket) send(fd uintptr) bool {
	d.n, d.errno = nonblock.Send(int(fd), d.out)
	return true
}

// read feeds the session until the connection ends. A buffer is taken only once there is something
// to put in it: most connections are silent most of the time.
func (d *directSocket) read(buffers *sync.Pool, s *session) error {
	var n int
	var errno syscall.Errno
	take := func(fd uintptr) bool {
		buffer, ok := buffers.Get().(*[]byte)
		if !ok {
			return true // the pool holds nothing else
		}
		defer buffers.Put(buffer)
		n, errno = nonblock.Read(int(fd), *buffer)
		if n > 0 {
			s.receive((*buffer)[:n])
		}
		return errno != unix.EAGAIN
	}
	for {
		err := d.raw.Read(take)
		switch {
		case err != nil:
			return err
		case errno != 0:
			return errno
		case n == 0:
			return io.EOF
		}
	}
}

func (d *directSocket) write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	d.out = b
	err := d.raw.Write(d.put)
	d.out = nil
	switch {
	case err != nil:
		return 0, err
	case d.errno == unix.EAGAIN:
		return 0, nil
	case d.errno != 0:
		return 0, d.errno
	case d.n == 0:
		return 0, io.ErrClosedPipe
	}
	return d.n, nil
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
