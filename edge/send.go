package edge

import (
	"log/slog"
	"time"

	"github.com/gobwas/ws"

	"github.com/tidingsmesh/tidings/edge/frames"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

// EncodeEvent builds the WebSocket frame that all members of a room share. It is what
// [mesh.FeedConfig] wants for Encode.
func EncodeEvent(room subjects.Room, m continuity.Message, prev uint64) []byte {
	name := room.String()
	const envelope = 128 // the frame's own members and the longest header
	payload := make([]byte, maxHeader, maxHeader+envelope+len(name)+len(m.Event))
	payload = wire.AppendEvent(payload, name, m.Seq, prev, m.Time, m.Event)
	// The header's length is known only now; it is put right before the payload.
	n := len(payload) - maxHeader
	start := maxHeader - frames.TextHeaderSize(n)
	frames.AppendTextHeader(payload[start:start], n)
	return payload[start:]
}

const maxHeader = 10

// control sends a frame that belongs to no room's log.
func (s *session) control(payload []byte) {
	s.shard.keep(payload)
	s.send(queued{buf: frames.AppendText(make([]byte, 0, frames.TextHeaderSize(len(payload))+len(payload)), payload)})
}

// send writes at once if it can and otherwise queues, within the bounds.
func (s *session) send(q queued) {
	if s.state == stateClosing || s.state == stateGone {
		return
	}
	s.wrote = s.shard.now
	if q.to != nil {
		q.to.through = q.through
	}
	if s.backlog != nil {
		s.enqueue(q)
		return
	}
	n, err := s.sock.write(q.buf)
	switch {
	case err != nil:
		s.cut()
	case n < len(q.buf):
		q.buf, q.begun = q.buf[n:], n > 0
		s.backlog = &backlog{}
		s.stalled = s.shard.now
		s.sock.await()
		s.enqueue(q)
		s.shard.schedule(s)
	}
}

// enqueue adds to the backlog. Events that go past its bound are not taken: they are in the log, and
// the member reads them from there when the socket has drained.
func (s *session) enqueue(q queued) {
	l := &s.shard.edge.cfg.Limits
	switch {
	case q.to == nil || q.begun:
	case s.backlog.waiting()+len(q.buf) > l.ClientBuffer,
		s.shard.edge.queued.Load()+int64(len(q.buf)) > int64(l.TotalBuffer):
		s.fallBehind(q)
		return
	}
	s.push(q)
	if s.backlog.waiting() > l.ClientBuffer+controlBuffer {
		// These cannot be read again: a client that asks and asks but does not read.
		s.close(wire.CodeTooSlow, limitText("bytes queued", l.ClientBuffer))
	}
}

// controlBuffer is what a slow client may have queued, in bytes, of frames that are no events, beside
// its buffer.
const controlBuffer = 64 << 10

func (s *session) push(q queued) {
	s.backlog.push(q)
	s.queue(len(q.buf))
}

// fallBehind makes a member lag from the events in q on.
func (s *session) fallBehind(q queued) {
	m := q.to
	m.lagging, m.from, m.fromTime = true, q.from, q.at
	s.shard.edge.metrics.lags.Inc()
	s.debug("lagging", slog.String("room", m.room.name.String()), slog.Uint64("from", m.from))
	payload := wire.AppendLag(s.shard.scratch(), m.room.name.String())
	s.push(queued{buf: frames.AppendText(nil, payload)})
	s.shard.keep(payload)
}

// pong answers a WebSocket ping.
func (s *session) pong(payload string) {
	s.send(queued{buf: frames.AppendPong(nil, []byte(payload))})
}

// queue counts bytes in and out of the edge's backlogs.
func (s *session) queue(n int) { s.shard.edge.queued.Add(int64(n)) }

// writable goes on with the backlog.
func (s *session) writable() {
	if s.state == stateGone || s.shut {
		return
	}
	for s.backlog != nil && len(s.backlog.items) > 0 {
		buf := s.backlog.items[0].buf
		n, err := s.sock.write(buf)
		if err != nil {
			s.cut()
			return
		}
		if n > 0 {
			s.stalled = s.shard.now
			s.queue(-n)
		}
		if n < len(buf) {
			if n > 0 {
				s.backlog.sent(n)
			}
			s.sock.await()
			return
		}
		s.backlog.sent(n)
	}
	s.backlog = nil
	s.stalled = 0
	if s.pinged != 0 {
		s.pinged = s.shard.now // it may have been in the backlog until now
	}
	if s.state == stateClosing {
		s.endWrite()
		return
	}
	s.catchUp()
}

// catchUp asks the log for what the lagging members of a session missed, now that it has drained.
func (s *session) catchUp() {
	for _, m := range s.rooms {
		if m.lagging && m.ticket == nil && m.index >= 0 {
			s.shard.ask(m, &continuity.Position{Epoch: m.room.epoch, Seq: m.from, TS: m.fromTime}, true)
		}
	}
}

// caughtUp takes the mesh's answer to catchUp.
func (s *session) caughtUp(m *membership, a continuity.Answer) {
	if a.Reason != "" {
		s.reset(m, a)
		return
	}
	m.lagging, m.through = false, m.from
	s.replay(m, a)
	if a.Partial && !m.lagging && m.index >= 0 {
		m.lagging, m.from, m.fromTime = true, a.Position.Seq, a.Position.TS
		if s.backlog == nil {
			s.catchUp()
		}
	}
}

// close says why and ends the connection. The client has a moment to read it.
func (s *session) close(code wire.Code, reason string) {
	if s.state == stateClosing || s.state == stateGone {
		return
	}
	s.debug("closing", slog.Int("code", int(code)), slog.String("reason", reason))
	if !s.poll {
		s.shard.edge.metrics.closed.WithLabelValues(codeLabel(code)).Inc()
	}
	s.leaveAll()
	if s.backlog != nil {
		s.queue(-s.backlog.shed(nil))
	}
	frame := frames.AppendClose(nil, ws.StatusCode(code), reason)
	if s.backlog == nil {
		if n, err := s.sock.write(frame); err == nil && n < len(frame) {
			s.backlog = &backlog{}
			s.backlog.push(queued{buf: frame[n:], begun: n > 0})
			s.queue(len(frame) - n)
			s.sock.await()
		}
	} else {
		s.backlog.push(queued{buf: frame})
		s.queue(len(frame))
	}
	s.state = stateClosing
	s.closeBy = s.shard.now + ticks(linger)
	if s.backlog == nil {
		s.endWrite()
	}
	s.shard.schedule(s)
}

// linger is how long a closing client has to read its close frame.
const linger = 2 * time.Second

func (s *session) endWrite() {
	if !s.writeEnded {
		s.writeEnded = true
		s.sock.closeWrite()
	}
}

// cut ends a connection that cannot be talked to any more; the reader's gone note follows.
func (s *session) cut() {
	if !s.shut {
		s.shut = true
		s.sock.shut()
	}
}

// leaveAll ends every membership.
func (s *session) leaveAll() {
	for _, m := range s.rooms {
		s.shard.drop(m)
	}
	s.rooms = nil
}

// due does what the session's timers ask for at now and is called by the wheel.
func (s *session) due() {
	now, l := s.shard.now, &s.shard.edge.cfg.Limits
	seen := s.seen.Load()
	switch {
	case s.state == stateGone:
		return
	case s.state == stateClosing:
		if now >= s.closeBy {
			s.cut()
			return
		}
	case s.stalled != 0 && now >= s.stalled+ticks(l.SlowTimeout):
		s.close(wire.CodeTooSlow, "nothing was read for "+l.SlowTimeout.String())
	case s.state == stateHello && s.held == nil && now >= s.opened+ticks(l.HelloTimeout):
		s.close(wire.CodeHelloTimeout, "no hello within "+l.HelloTimeout.String())
	case s.state == stateOpen && s.expiresIn() <= 0:
		s.close(wire.CodeUnauthorized, "token expired")
		if s.stalled != 0 {
			s.cut() // it would not read why
		}
	case s.pinged != 0 && seen >= s.pinged:
		s.pinged = 0
	case s.pinged != 0 && s.stalled == 0 && now >= s.pinged+ticks(l.PongTimeout):
		s.close(wire.CodeNoPong, "no answer to a ping within "+l.PongTimeout.String())
	}
	if s.state == stateOpen && s.pinged == 0 && s.stalled == 0 && now >= min(s.wrote, max(seen, s.opened))+ticks(l.Ping) {
		s.pinged = now
		s.control(wire.AppendPing(s.shard.scratch(), time.Now().UnixMilli()))
	}
	s.shard.schedule(s)
}

// nextDue is the tick at which due has something to do.
func (s *session) nextDue() uint32 {
	l := &s.shard.edge.cfg.Limits
	if s.state == stateClosing {
		return s.closeBy
	}
	var next uint32
	switch {
	case s.stalled != 0:
		next = s.stalled + ticks(l.SlowTimeout)
	case s.state == stateHello:
		next = s.opened + ticks(l.HelloTimeout)
	case s.pinged != 0:
		next = s.pinged + ticks(l.PongTimeout)
	default:
		next = min(s.wrote, max(s.seen.Load(), s.opened)) + ticks(l.Ping)
	}
	if s.state == stateHello {
		next = min(next, s.opened+ticks(l.HelloTimeout))
	}
	if s.state == stateOpen {
		next = min(next, s.shard.now+ticks(s.expiresIn()))
	}
	return next
}

// expiresIn is how long the token still holds, leeway included. The clock may be set meanwhile: it is
// asked again whenever the session's timers are looked at.
func (s *session) expiresIn() time.Duration {
	const long = 10 * 365 * 24 * time.Hour // in ticks it still fits
	return min(time.Until(s.shard.edge.cfg.Verifier.Deadline(s.principal)), long)
}
