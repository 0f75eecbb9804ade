package edge

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge/frames"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

type sessionState uint8

const (
	stateHello   sessionState = iota // the hello frame is due
	stateOpen                        // welcomed
	stateClosing                     // a close frame is sent or queued; nothing else follows
	stateGone                        // released
)

// session is one connection. There may be a hundred thousand, so every field counts. Fields below
// the first group belong to the shard's loop.
type session struct {
	shard  *shard
	sock   socket           // set before the first note
	reader frames.Reader    // belongs to whoever reads
	preset *authz.Principal // of the handshake, until hello; belongs to whoever reads
	seen   atomic.Uint32    // tick in which something last came from the client
	// checking is true while a token is checked in the background; the loop clears it.
	checking atomic.Bool

	state     sessionState
	admitted  bool  // in admission's addresses
	counted   bool  // in admission's users
	deflate   bool  // takes compressed frames; never changed
	poll      bool  // of a poll, which its HTTP connection counts for its address; never changed
	index     int32 // in the shard's sessions
	asked     int32 // joins that the mesh has not answered, also for those who left meanwhile
	address   netip.Addr
	principal authz.Principal
	rooms     []*membership
	backlog   *backlog
	// held are the frames that came while a token is checked in the background; nil when none is.
	held  []note
	joins rate
	// Ticks since the edge started; 0 is none.
	opened, firesAt  uint32
	wrote            uint32 // something was last sent
	pinged           uint32 // a ping went out that nothing answered yet
	stalled          uint32 // since when the backlog has not moved
	closeBy          uint32 // when a closing session is cut off
	writeEnded, shut bool
}

// membership is a session in a room, or on the way into it.
type membership struct {
	session *session
	room    *room
	index   int32 // in room.members; -1 while joining
	// lagging: events for this member are not queued; it stands at from, which was the newest at the
	// time fromTime (Unix milliseconds), and reads on from the log.
	lagging  bool
	from     uint64
	fromTime int64
	// through is the last sequence handed to the socket or the backlog.
	through uint64
	// ticket is the join or catch-up that has not been answered; nil when none is under way.
	ticket *ticket
}

// ticket goes with a join through the mesh. The answer belongs to the membership only if it still
// holds this very ticket: a leave or a later join makes it stale.
type ticket struct {
	member  *membership
	since   uint64 // the position that was asked for
	catchUp bool
}

// receive feeds bytes that came from the client. It is called by the session's reader, one call at
// a time. What comes after an error or a close frame is read too, and dropped, so that the client
// gets to read its own close frame.
func (s *session) receive(b []byte) {
	s.seen.Store(s.shard.edge.ticks())
	err := s.reader.Feed(b, s.handle)
	if err == nil {
		return
	}
	r := &refusal{code: uint16(wire.CodeProtocol), reason: err.Error()}
	switch err := err.(type) { //nolint:errorlint // Feed returns these as they are
	case *frames.ProtocolError:
		r = &refusal{code: uint16(err.Code), reason: err.Reason}
		if err.Code == ws.StatusMessageTooBig {
			r.code = uint16(wire.CodeTooLarge)
		}
	case *closeError:
		r = &refusal{code: err.code}
	}
	s.shard.post(note{kind: noteRefused, session: s, refusal: r})
}

// closeError ends the reading after a close frame.
type closeError struct{ code uint16 }

func (*closeError) Error() string { return "closed by the client" }

// handle takes one WebSocket frame, on the reader's side.
func (s *session) handle(f frames.Frame) error {
	switch f.Op {
	case ws.OpPing:
		s.shard.post(note{kind: notePing, session: s, frame: wire.ClientFrame{Token: string(f.Payload)}})
		return nil
	case ws.OpPong:
		return nil
	case ws.OpClose:
		code := uint16(f.Code)
		if f.Code == ws.StatusNoStatusRcvd {
			code = uint16(ws.StatusNormalClosure)
		}
		return &closeError{code}
	default: // a text message, the only other thing that is handed on
	}
	frame, err := wire.DecodeClient(f.Payload)
	if err != nil {
		return err
	}
	n := note{kind: noteFrame, session: s, frame: frame}
	switch frame.Op {
	case wire.OpPong:
		return nil // it was seen, and that is all it is for
	case wire.OpHello, wire.OpToken:
		return s.authenticate(n)
	default:
		s.shard.post(n)
		return nil
	}
}

// authenticate checks the token of a hello or token frame on the reader's side, so that neither
// cryptography nor a fetch of keys holds up the loop, and passes the frame on with the result.
func (s *session) authenticate(n note) error {
	e := s.shard.edge
	token, preset := n.frame.Token, s.preset
	n.frame.Token, s.preset = "", nil
	switch {
	case token == "" && preset != nil:
		n.principal = *preset
	case token == "":
		n.refusal = &refusal{uint16(wire.CodeUnauthorized), "no token: send one in hello, or as Authorization: Bearer with the handshake"}
	case e.cfg.Verifier.Blocking():
		// Keys may have to be fetched; other clients of this reader must not wait for it. A session
		// has at most one check under way: further frames would overtake it.
		if !s.checking.CompareAndSwap(false, true) {
			return &wire.FrameError{Reason: string(n.frame.Op) + ": the last token is still being checked"}
		}
		s.shard.post(note{kind: noteChecking, session: s})
		e.background.Go(func() {
			n.principal, n.refusal = e.verify(e.ctx, token)
			n.kind = noteChecked
			s.shard.post(n)
		})
		return nil
	default:
		n.principal, n.refusal = e.verify(e.ctx, token)
	}
	s.shard.post(n)
	return nil
}

// onChecked goes on where onFrame held back.
func (s *session) onChecked(n note) {
	held := s.held
	s.held = nil
	s.checking.Store(false) // before the answer, after which the client may send the next one
	s.onFrame(n)
	for _, n := range held {
		s.onFrame(n)
	}
}

// maxHeld bounds the frames that wait for a token to be checked.
const maxHeld = 64

// onFrame handles a frame, on the loop.
func (s *session) onFrame(n note) {
	switch {
	case s.state == stateClosing || s.state == stateGone:
		return
	case len(s.held) == maxHeld:
		s.close(wire.CodeTooLarge, limitText("frames while a token is checked", maxHeld))
		return
	case s.held != nil:
		s.held = append(s.held, n)
		return
	}
	op := n.frame.Op
	switch {
	case op == wire.OpHello && s.state == stateOpen:
		s.close(wire.CodeProtocol, "hello: only once")
	case op != wire.OpHello && s.state == stateHello:
		s.close(wire.CodeProtocol, string(op)+": hello comes first")
	case n.refusal != nil:
		s.close(wire.Code(n.refusal.code), n.refusal.reason)
	case op == wire.OpHello:
		s.hello(n.principal, n.frame.Rooms)
	case op == wire.OpToken:
		s.renew(n.principal)
	case op == wire.OpJoin:
		s.joinAll(n.frame.Rooms)
	case op == wire.OpLeave:
		for _, ref := range n.frame.Rooms {
			s.leave(ref.Room)
		}
	}
}

func (s *session) hello(p authz.Principal, rooms []wire.RoomRef) {
	e := s.shard.edge
	if s.shard.draining {
		s.close(wire.CodeDraining, "") // there is nothing yet to move away in order
		return
	}
	if !e.admission.enterUser(p.Subject) {
		s.close(wire.CodeLimit, limitReason("connections per user", e.cfg.Limits.PerUser))
		return
	}
	s.counted = true
	s.principal = p
	s.state = stateOpen
	ping := max(1, int64(e.cfg.Limits.Ping/time.Second))
	s.control(wire.AppendWelcome(s.shard.scratch(), e.sessionID(), e.cfg.Name, s.ttl(), ping))
	s.debug("welcome")
	s.shard.schedule(s)
	s.joinAll(rooms)
}

// ttl is how long the token lasts, in seconds.
func (s *session) ttl() int64 { return max(0, int64(time.Until(s.principal.Expires)/time.Second)) }

// renew takes a new token and evaluates the rights again.
func (s *session) renew(p authz.Principal) {
	if p.Subject != s.principal.Subject {
		s.close(wire.CodeUnauthorized, "token: it is for another subject than the connection")
		return
	}
	s.principal = p
	var dropped []string
	for _, m := range slices.Clone(s.rooms) {
		if d := s.shard.edge.cfg.Rules.MayJoin(p, m.room.name); !d.Allowed {
			dropped = append(dropped, m.room.name.String())
			s.debug("left", slog.String("room", m.room.name.String()), slog.String("rule", d.Rule))
			s.remove(m)
		}
	}
	s.control(wire.AppendTokenOK(s.shard.scratch(), s.ttl(), dropped))
	s.shard.schedule(s)
}

func (s *session) joinAll(rooms []wire.RoomRef) {
	now := time.Now().UnixNano() // what comes in one frame comes at one time
	for _, ref := range rooms {
		if s.state != stateOpen {
			return
		}
		s.join(ref, now)
	}
}

// join joins a room at a time, in Unix nanoseconds.
func (s *session) join(ref wire.RoomRef, now int64) {
	e := s.shard.edge
	if !s.joins.allow(now, e.cfg.Limits.JoinRate, e.cfg.Limits.JoinBurst) {
		s.deny(ref.Room, wire.DeniedRate, true, limitText("joins per second", e.cfg.Limits.JoinRate))
		return
	}
	name, err := subjects.ParseRoom(ref.Room)
	if err != nil {
		s.deny(ref.Room, wire.DeniedBadRoom, false, err.Error())
		return
	}
	d := e.cfg.Rules.MayJoin(s.principal, name)
	if !d.Allowed {
		s.debug("join refused", slog.String("room", ref.Room), slog.String("rule", d.Rule))
		s.deny(ref.Room, wire.DeniedForbidden, false, "the token does not grant this room")
		return
	}
	if m := s.member(name); m != nil {
		s.remove(m) // a join of a joined room starts over from its position
	}
	if len(s.rooms) >= e.cfg.Limits.Rooms {
		s.deny(ref.Room, wire.DeniedLimit, false, limitText("rooms per connection", e.cfg.Limits.Rooms))
		return
	}
	if waiting := e.cfg.Limits.Rooms + e.cfg.Limits.JoinBurst; int(s.asked) >= waiting {
		// Joins and leaves while the mesh does not answer: it remembers each.
		s.deny(ref.Room, wire.DeniedRate, true, limitText("joins that wait for an answer", waiting))
		return
	}
	m := &membership{session: s, room: s.shard.room(name), index: -1}
	s.rooms = append(s.rooms, m)
	m.room.refs++
	s.debug("join", slog.String("room", ref.Room), slog.String("rule", d.Rule))
	s.shard.ask(m, ref.Since.Continuity(), false)
}

func (s *session) deny(room, code string, retryable bool, message string) {
	s.shard.edge.metrics.denied.WithLabelValues(code).Inc()
	s.control(wire.AppendDenied(s.shard.scratch(), clip(room, maxEcho), code, retryable, message))
}

// maxEcho bounds how much of a bad room name is sent back or logged.
const maxEcho = 512

func (s *session) member(name subjects.Room) *membership {
	for _, m := range s.rooms {
		if m.room.name == name {
			return m
		}
	}
	return nil
}

func (s *session) leave(room string) {
	name, err := subjects.ParseRoom(room)
	if err != nil {
		return // it cannot have been joined
	}
	if m := s.member(name); m != nil {
		s.debug("left", slog.String("room", room))
		s.remove(m)
	}
}

// remove ends a membership, whatever state it is in.
func (s *session) remove(m *membership) {
	if i := slices.Index(s.rooms, m); i >= 0 {
		s.rooms = slices.Delete(s.rooms, i, i+1)
	}
	if len(s.rooms) == 0 {
		s.rooms = nil
	}
	if s.backlog != nil {
		s.queue(-s.backlog.shed(m))
	}
	s.shard.drop(m)
}

// joined takes the mesh's answer to a join from a position.
func (s *session) joined(m *membership, since uint64, a continuity.Answer) {
	m.through = a.Position.Seq
	if len(a.Replay) > 0 {
		m.through = since
	}
	s.debug("joined", slog.String("room", m.room.name.String()),
		slog.Uint64("seq", a.Position.Seq), slog.Int("replay", len(a.Replay)), slog.String("reason", string(a.Reason)))
	s.control(wire.AppendJoined(s.shard.scratch(), m.room.name.String(), a, s.shard.spread(m.room)))
	s.replay(m, a)
}

// replay sends what a member missed and leaves it at the answer's position.
func (s *session) replay(m *membership, a continuity.Answer) {
	for i := 0; i < len(a.Replay) && !m.lagging; {
		buf, n := batch(a.Replay[i:])
		s.shard.count(n, len(buf))
		s.send(queued{buf: buf, to: m, from: m.through, through: a.Replay[i+n-1].Seq, at: a.Replay[i].Time})
		i += n
	}
	if !m.lagging {
		m.through = max(m.through, a.Position.Seq)
	}
}

// reset tells a member that continuity was lost. What it was catching up with is of no more use.
func (s *session) reset(m *membership, a continuity.Answer) {
	m.ticket = nil
	m.lagging, m.through = false, a.Position.Seq
	s.control(wire.AppendJoined(s.shard.scratch(), m.room.name.String(), a, s.shard.spread(m.room)))
}

func (s *session) debug(msg string, attrs ...slog.Attr) {
	l := s.shard.edge.log
	if !l.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	attrs = append(attrs, slog.String("user", s.principal.Subject), slog.String("address", s.address.String()))
	l.LogAttrs(context.Background(), slog.LevelDebug, msg, attrs...)
}
