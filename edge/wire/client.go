// Package wire is the codec of the protocol tidings.v1 between browser and edge: one JSON object per
// WebSocket text message. It is pure. docs/protocol.md describes it, and testdata/*.json are the
// golden frames that other implementations read too.
package wire

import (
	"bytes"
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
	var raw struct {
		Epoch json.RawMessage `json:"epoch"`
		Seq   json.RawMessage `json:"seq"`
		ID    json.RawMessage `json:"id"`
		TS    json.RawMessage `json:"ts"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("since is not a position: %w", err)
	}
	*p = Position{}
	seq, err := strconv.ParseUint(string(raw.Seq), 10, 64)
	if err != nil || seq > maxSafe {
		return nil
	}
	got := Position{Seq: seq}
	if json.Unmarshal(raw.Epoch, &got.Epoch) != nil {
		return nil
	}
	if raw.ID != nil && json.Unmarshal(raw.ID, &got.ID) != nil {
		return nil
	}
	if raw.TS != nil && json.Unmarshal(raw.TS, &got.TS) != nil || got.TS < 0 || got.TS > maxSafe {
		return nil
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
	*r = RoomRef{} // a member that is given twice is decoded into what the first one left
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &r.Room)
	}
	type plain RoomRef
	return json.Unmarshal(b, (*plain)(r))
}

// DecodeClient reads a frame that came from a client. The error text is meant for the client's
// developer. Members that this version does not know are ignored; an op that it does not know is an
// error.
func DecodeClient(b []byte) (ClientFrame, error) {
	var f ClientFrame
	if b = bytes.TrimLeft(b, " \t\r\n"); len(b) == 0 || b[0] != '{' {
		return f, &FrameError{"a frame is one JSON object"}
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, &FrameError{"frame: " + err.Error()}
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

// FrameError says what is wrong with a frame. It closes the connection with [CodeProtocol].
type FrameError struct{ Reason string }

func (e *FrameError) Error() string { return e.Reason }
