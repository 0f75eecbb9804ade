// Package wire is the codec of the protocol tidings.v1 between browser and edge: one JSON object per
// WebSocket text message. It is pure. docs/protocol.md describes it, and testdata/*.json are the
// golden frames that other implementations read too.
package wire

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// Subprotocol is the WebSocket subprotocol a client must offer.
const Subprotocol = "tidings.v1"

// Op names a frame.
type Op string

// Frames of the client.
const (
	OpHello Op = "hello"
	OpJoin  Op = "join"
	OpLeave Op = "leave"
	OpToken Op = "token"
	OpPong  Op = "pong"
)

// ClientFrame is any frame a client sends. Fields that a frame does not have are zero.
type ClientFrame struct {
	Op    Op        `json:"op"`
	Token string    `json:"token,omitempty"`
	Rooms []RoomRef `json:"rooms,omitempty"`
}

// RoomRef names a room in hello, join and leave. In JSON it is an object, or just the name.
type RoomRef struct {
	Room  string    `json:"room"`
	Since *Position `json:"since,omitempty"`
}

// Position is a [continuity.Position] in JSON.
type Position struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
	ID    string `json:"id,omitempty"`
	TS    int64  `json:"ts,omitempty"`
}

// maxSafe is the largest integer that every JSON implementation tells from its neighbours
// (RFC 8259, section 6).
const maxSafe = 1<<53 - 1

// UnmarshalJSON reads a position. It must be an object; a member of it that cannot be true (a
// negative, broken or too large number) makes the whole position zero, which the edge answers with
// recovered false, because a client must be able to recover from a position that it stored badly.
func (p *Position) UnmarshalJSON(b []byte) error {
	*p = Position{}
	if isNull(b) {
		return nil
	}
	if b[0] != '{' {
		return &FrameError{"since is not a position: it is " + kindOf(b) + ", want an object"}
	}
	var epoch, seq, id, ts []byte // nil: not given, which null is too
	_ = members(b, func(name, value []byte) error {
		if isNull(value) {
			value = nil
		}
		switch string(name) {
		case "epoch":
			epoch = value
		case "seq":
			seq = value
		case "id":
			id = value
		case "ts":
			ts = value
		}
		return nil
	})
	var got Position
	var err error
	if got.Seq, err = strconv.ParseUint(string(seq), 10, 64); err != nil || got.Seq > maxSafe {
		return nil
	}
	if epoch == nil || !isString(epoch) || id != nil && !isString(id) {
		return nil
	}
	got.Epoch = string(unquote(epoch))
	if id != nil {
		got.ID = string(unquote(id))
	}
	if ts != nil {
		if got.TS, err = strconv.ParseInt(string(ts), 10, 64); err != nil || got.TS < 0 || got.TS > maxSafe {
			return nil
		}
	}
	*p = got
	return nil
}

// Continuity converts to the mesh's type.
func (p *Position) Continuity() *continuity.Position {
	if p == nil {
		return nil
	}
	return &continuity.Position{Epoch: p.Epoch, Seq: p.Seq, ID: p.ID, TS: p.TS}
}

// PositionOf converts from the mesh's type.
func PositionOf(p continuity.Position) Position {
	return Position{Epoch: p.Epoch, Seq: p.Seq, ID: p.ID, TS: p.TS}
}

// UnmarshalJSON reads an object or a bare name.
func (r *RoomRef) UnmarshalJSON(b []byte) error {
	*r = RoomRef{}
	switch {
	case isNull(b): // no name, which is for the room to say
		return nil
	case isString(b):
		r.Room = string(unquote(b))
		return nil
	case b[0] == '{':
		return members(b, r.member)
	default:
		return &FrameError{"rooms: an element is " + kindOf(b) + ", want a name or an object"}
	}
}

func (r *RoomRef) member(name, value []byte) (err error) {
	switch string(name) {
	case "room":
		r.Room, err = textOf("room", value)
	case "since":
		r.Since = nil
		if !isNull(value) {
			r.Since = new(Position)
			err = r.Since.UnmarshalJSON(value)
		}
	}
	return err
}

// DecodeClient reads a frame that came from a client. The error text is meant for the client's
// developer. Members that this version does not know are ignored, whatever the case of their names
// makes them look like; of a member that is given twice the last one counts. An op that this version
// does not know is an error.
func DecodeClient(b []byte) (ClientFrame, error) {
	var f ClientFrame
	if b = afterSpace(b); len(b) == 0 || b[0] != '{' {
		return f, &FrameError{"a frame is one JSON object"}
	}
	if !json.Valid(b) {
		var none json.RawMessage
		return f, &FrameError{"frame: " + json.Unmarshal(b, &none).Error()}
	}
	if err := members(b, f.member); err != nil {
		return f, err
	}
	switch f.Op {
	case OpHello, OpToken:
		if f.Token == "" && f.Op == OpToken {
			return f, &FrameError{"token: the token is missing"}
		}
	case OpJoin, OpLeave:
		if len(f.Rooms) == 0 {
			return f, &FrameError{string(f.Op) + ": rooms is missing or empty"}
		}
	case OpPong:
	case "":
		return f, &FrameError{"frame: op is missing"}
	default:
		return f, &FrameError{fmt.Sprintf("frame: unknown op %.32q", string(f.Op))}
	}
	return f, nil
}

// DecodeRooms reads the list of rooms of a poll: what hello has as its rooms. An empty list is one.
func DecodeRooms(b []byte) ([]RoomRef, error) {
	b = afterSpace(b)
	switch {
	case len(b) == 0:
		return nil, &FrameError{"rooms is missing"}
	case !json.Valid(b):
		var none json.RawMessage
		return nil, &FrameError{"rooms: " + json.Unmarshal(b, &none).Error()}
	case isNull(b):
		return nil, &FrameError{"rooms is null, want an array"}
	}
	return roomsOf(b)
}

func (f *ClientFrame) member(name, value []byte) (err error) {
	switch string(name) {
	case "op":
		var op string
		op, err = textOf("op", value)
		f.Op = Op(op)
	case "token":
		f.Token, err = textOf("token", value)
	case "rooms":
		f.Rooms, err = roomsOf(value)
	}
	return err
}

func roomsOf(value []byte) ([]RoomRef, error) {
	if isNull(value) {
		return nil, nil
	}
	if value[0] != '[' {
		return nil, &FrameError{"rooms is " + kindOf(value) + ", want an array"}
	}
	var rooms []RoomRef
	err := elements(value, func(element []byte) error {
		var ref RoomRef
		err := ref.UnmarshalJSON(element)
		rooms = append(rooms, ref)
		return err
	})
	return rooms, err
}

// textOf reads a member that is a string; null is the same as none.
func textOf(member string, value []byte) (string, error) {
	switch {
	case isNull(value):
		return "", nil
	case !isString(value):
		return "", &FrameError{member + " is " + kindOf(value) + ", want a string"}
	}
	return string(unquote(value)), nil
}

// FrameError says what is wrong with a frame. It closes the connection with [CodeProtocol].
type FrameError struct{ Reason string }

func (e *FrameError) Error() string { return e.Reason }
