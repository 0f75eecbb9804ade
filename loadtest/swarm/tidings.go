package swarm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidingsmesh/tidings/edge/wire"
)

// tidings speaks tidings.v1 (docs/protocol.md): it resumes each room from its position, joins again where it
// finds a gap, and goes to another edge when its own drains, if there is one. It follows the same rules as
// edge/follow, without decoding the JSON of each event. Tokens are not renewed: they must last.
type tidings struct{}

func (*tidings) header(*client) string { return "Sec-WebSocket-Protocol: " + wire.Subprotocol + "\r\n" }

func (t *tidings) opened(c *client) {
	rooms := make([]wire.RoomRef, 0, len(c.members))
	for i := range c.members {
		if m := &c.members[i]; m.wanted() {
			rooms = append(rooms, reference(c, m))
		}
	}
	t.send(c, wire.ClientFrame{Op: wire.OpHello, Token: c.token, Rooms: rooms})
}

func (t *tidings) join(c *client, m *member) {
	t.send(c, wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{reference(c, m)}})
}

func (t *tidings) leave(c *client, m *member) {
	t.send(c, wire.ClientFrame{Op: wire.OpLeave, Rooms: []wire.RoomRef{{Room: c.name(m)}}})
}

// reference is a room with the client's position. The id of the event is left out: the edge then believes the
// numbers.
func reference(c *client, m *member) wire.RoomRef {
	ref := wire.RoomRef{Room: c.name(m)}
	if m.at.epoch != "" {
		ref.Since = &wire.Position{Epoch: m.at.epoch, Seq: m.at.offset, TS: m.at.time}
	}
	return ref
}

func (t *tidings) send(c *client, f wire.ClientFrame) {
	b, err := json.Marshal(f)
	if err != nil { // nothing in it can fail
		c.giveUp(err.Error())
		return
	}
	c.sendText(b)
}

func (t *tidings) message(c *client, payload []byte) {
	if e, ok := scanEvent(payload); ok {
		t.event(c, e, payload)
		return
	}
	f, err := wire.DecodeServer(payload)
	if err != nil {
		c.fail(reasonFrame + ": " + err.Error())
		return
	}
	m := c.named([]byte(f.Room))
	switch f.Op {
	case wire.OpEvent:
		t.event(c, event{[]byte(f.Room), f.Seq, f.Prev, f.TS}, payload)
	case wire.OpWelcome:
		const grace = 10
		c.silence(time.Duration(f.Ping+grace) * time.Second)
	case wire.OpPing:
		t.ping(c, f.TS)
	case wire.OpDrain:
		c.moveWithin(time.Duration(f.Within) * time.Millisecond)
	case wire.OpJoined:
		if m != nil && f.Position != nil {
			t.joined(c, m, f)
		}
	case wire.OpDenied:
		if m != nil {
			c.denied(m, f.Code, f.Retryable)
		}
	case wire.OpLag:
		if m != nil {
			m.at.behind = true
		}
	default: // a newer edge may send it
	}
}

func (t *tidings) ping(c *client, now int64) {
	t.send(c, wire.ClientFrame{Op: wire.OpPong})
	for i := range c.members {
		if m := &c.members[i]; m.state == memberLive && m.at.left == 0 && !m.at.behind {
			m.at.time = max(m.at.time, now)
		}
	}
}

// joined takes the answer to a join, or the news that continuity was lost.
func (t *tidings) joined(c *client, m *member, f wire.ServerFrame) {
	at, to := &m.at, f.Position
	at.left, at.behind = 0, false
	if f.Replay > 0 {
		at.left, at.end, at.endTime = f.Replay, to.Seq, to.TS
	} else {
		at.offset, at.time = to.Seq, to.TS
	}
	if at.epoch != to.Epoch {
		at.epoch = to.Epoch
	}
	// An edge that takes a resume for a first join has not proved that nothing was missed: the numbers of
	// the events will tell.
	c.joined(m, f.Recovered != nil && !*f.Recovered)
}

// event takes an event frame, by the rules of docs/protocol.md, "Positions". Duplicates are counted all the
// same: an edge need not send what a client has.
func (t *tidings) event(c *client, e event, payload []byte) {
	m := c.named(e.room)
	if m == nil || m.state != memberLive {
		return
	}
	at := &m.at
	if at.left == 0 && e.prev > at.offset && e.seq > at.offset {
		c.rejoin(m)
		return
	}
	c.events(payload)
	if e.seq > at.offset {
		at.offset, at.time, at.behind = e.seq, e.ts, false
	}
	if at.left > 0 {
		if at.left--; at.left == 0 {
			at.offset, at.time = max(at.offset, at.end), max(at.time, at.endTime)
		}
	}
}

func (*tidings) closed(code int, reason string) (why string, again bool) {
	info, ok := wire.Code(code).Info() //nolint:gosec // a code is 16 bits
	if ok {
		// A fresh token is not to be had here.
		return fmt.Sprintf("close %d %s", code, info.Name), info.Reconnect && info.Code != wire.CodeUnauthorized
	}
	switch code {
	case 1002, 1003, 1007: // this program's mistakes
		return closeReason(code, reason), false
	}
	return closeReason(code, reason), true
}

// event is what positions need of an event frame.
type event struct {
	room      []byte
	seq, prev uint64
	ts        int64
}

// scanEvent reads the beginning of an event frame as edges write it. ok is false for every other frame, and for
// an event that is written differently, which JSON allows.
func scanEvent(b []byte) (e event, ok bool) {
	if b, ok = after(b, `{"op":"event","room":"`); !ok {
		return e, false
	}
	end := bytes.IndexByte(b, '"')
	if end < 0 || bytes.IndexByte(b[:end], '\\') >= 0 {
		return e, false
	}
	e.room = b[:end]
	if b, ok = after(b[end:], `","seq":`); !ok {
		return e, false
	}
	if e.seq, b, ok = digits(b, ','); !ok {
		return e, false
	}
	if b, ok = after(b, `"prev":`); !ok {
		return e, false
	}
	if e.prev, b, ok = digits(b, ','); !ok {
		return e, false
	}
	if b, ok = after(b, `"ts":`); !ok {
		return e, false
	}
	ts, b, ok := digits(b, ',')
	e.ts = int64(ts) //nolint:gosec // 18 digits at most
	_, isEvent := after(b, `"event":`)
	return e, ok && isEvent
}

func after(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return nil, false
	}
	return b[len(prefix):], true
}
