package edge

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/edge/upgrade"
)

// portableDriver reads each connection with a goroutine of its own. Plain TCP is written directly
// where the platform can (see directSocket); otherwise, and for TLS, by a goroutine that lives as
// long as a write takes.
type portableDriver struct {
	readers sync.WaitGroup
	done    chan struct{}
	buffers sync.Pool // of *[]byte, held by plain TCP only while bytes are there to be read
}

const portableBuffer = 4 << 10

func newPortableDriver() *portableDriver {
	return &portableDriver{
		done: make(chan struct{}),
		buffers: sync.Pool{New: func() any {
			b := make([]byte, portableBuffer)
			return &b
		}},
	}
}

func (d *portableDriver) run() {
	<-d.done
	d.readers.Wait()
}

func (d *portableDriver) stop() { close(d.done) }

func (d *portableDriver) attach(conn upgrade.Conn, s *session) {
	var read func() error
	if direct, ok := newDirectSocket(conn.Conn, s, &d.readers); ok {
		s.sock = direct
		read = func() error { return direct.read(&d.buffers, s) }
	} else {
		s.sock = newPumpSocket(conn.Conn, s, &d.readers)
		read = func() error { return readAll(conn.Conn, s) }
	}
	early := conn.Early
	// A fresh goroutine, because the one of the handshake has grown its stack.
	d.readers.Go(func() {
		s.shard.post(note{kind: noteOpened, session: s})
		if len(early) > 0 {
			s.receive(early)
		}
		if err := read(); err != nil && s.shard.edge.log.Enabled(context.Background(), slog.LevelDebug) {
			s.shard.edge.log.Debug("connection ended", errAttr(err))
		}
		s.shard.post(note{kind: noteGone, session: s})
	})
}

// readAll feeds the session until the connection ends.
func readAll(conn net.Conn, s *session) error {
	buffer := make([]byte, portableBuffer)
	for {
		n, err := conn.Read(buffer)
		if n > 0 {
			s.receive(buffer[:n])
		}
		if err != nil {
			return err
		}
	}
}

// pumpSocket writes through a net.Conn that can only block. It takes one buffer at a time; a
// goroutine writes it and ends.
type pumpSocket struct {
	conn    net.Conn
	session *session
	tasks   *sync.WaitGroup
	timeout time.Duration // for a chunk, as the kernel's for plain TCP

	mu      sync.Mutex // guards what follows, and the deadline
	busy    bool
	awaited bool
	ending  bool // closeWrite once the buffer is out
	over    bool // shut, released, or a write failed
}

// pumpChunk is what is written under one deadline, in bytes: one record of TLS.
const pumpChunk = 16 << 10

func newPumpSocket(conn net.Conn, s *session, tasks *sync.WaitGroup) *pumpSocket {
	if tcp, ok := below(conn).(*net.TCPConn); ok {
		tuneSocket(tcp, s.shard.edge.cfg.kernelTimeout())
	}
	return &pumpSocket{conn: conn, session: s, tasks: tasks, timeout: s.shard.edge.cfg.kernelTimeout()}
}

// below is the connection under TLS, or conn itself.
func below(conn net.Conn) net.Conn {
	if t, ok := conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return conn
}

func (p *pumpSocket) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over:
		return 0, net.ErrClosed
	case p.busy:
		return 0, nil
	}
	p.busy = true
	p.tasks.Go(func() { p.pump(b) })
	return len(b), nil
}

func (p *pumpSocket) pump(b []byte) {
	ok := true
	for ok && len(b) > 0 {
		n := min(len(b), pumpChunk)
		ok = p.extend() && p.put(b[:n])
		b = b[n:]
	}
	p.mu.Lock()
	p.busy = false
	awaited, ending := p.awaited, p.ending
	p.awaited = false
	p.mu.Unlock()
	switch {
	case !ok:
		p.shut()
	case ending:
		p.endWrite()
	case awaited:
		p.session.shard.post(note{kind: noteWritable, session: p.session})
	}
}

// extend gives the next chunk its time, unless the connection was given up.
func (p *pumpSocket) extend() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.over && p.conn.SetWriteDeadline(time.Now().Add(p.timeout)) == nil
}

func (p *pumpSocket) put(b []byte) bool {
	_, err := p.conn.Write(b)
	return err == nil
}

func (p *pumpSocket) await() {
	p.mu.Lock()
	ready := !p.busy
	p.awaited = !ready
	p.mu.Unlock()
	if ready {
		// The loop itself calls: it must not wait for its own inbox.
		p.tasks.Go(func() { p.session.shard.post(note{kind: noteWritable, session: p.session}) })
	}
}

func (p *pumpSocket) closeWrite() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = true
	if !p.busy {
		p.tasks.Go(p.endWrite)
	}
}

// endWrite tells the peer that no more follows; TLS sends an alert for it, which may wait.
func (p *pumpSocket) endWrite() {
	if half, ok := p.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // release ends it if the client does not
	}
}

// shut makes the reader return, and a write under way as well.
func (p *pumpSocket) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	_ = p.conn.SetDeadline(time.Unix(1, 0))
}

// release closes what is under TLS: closing TLS itself would write an alert and could wait for that.
func (p *pumpSocket) release() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	_ = below(p.conn).Close()
}
