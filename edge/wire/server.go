package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// Frames of the edge.
const (
	OpWelcome Op = "welcome"
	OpJoined  Op = "joined"
	OpDenied  Op = "denied"
	OpEvent   Op = "event"
	OpLag     Op = "lag"
	OpTokenOK Op = "token_ok"
	OpDrain   Op = "drain"
	OpPing    Op = "ping"
)

// Denial codes of a denied frame.
const (
	DeniedForbidden = "forbidden"  // no grant; an unknown room looks the same
	DeniedBadRoom   = "bad_room"   // the name is no room name
	DeniedLimit     = "limit"      // too many rooms on this connection
	DeniedRate      = "rate_limit" // too many joins in a short time
)

// ServerFrame is any frame an edge sends, as a client decodes it. Fields that a frame does not have
// are zero.
type ServerFrame struct {
	Op Op `json:"op"`

	// welcome
	Session string `json:"session,omitempty"`
	Edge    string `json:"edge,omitempty"`
	TTL     int64  `json:"ttl,omitempty"`  // seconds until the token ends; also token_ok
	Ping    int64  `json:"ping,omitempty"` // seconds between pings

	// joined, denied, event, lag
	Room string `json:"room,omitempty"`

	// joined
	Position  *Position         `json:"position,omitempty"` // where the client stands after the replay
	Recovered *bool             `json:"recovered,omitempty"`
	Replay    int               `json:"replay,omitempty"`
	Reason    continuity.Reason `json:"reason,omitempty"`
	Spread    int64             `json:"spread,omitempty"` // milliseconds

	// denied
	Code      string `json:"code,omitempty"`
	Retryable bool   `json:"retryable,omitempty"`
	Message   string `json:"message,omitempty"`

	// event
	Seq   uint64          `json:"seq,omitempty"`
	Prev  uint64          `json:"prev,omitempty"`
	TS    int64           `json:"ts,omitempty"` // Unix milliseconds; also ping
	Event json.RawMessage `json:"event,omitempty"`

	// token_ok
	Dropped []string `json:"dropped,omitempty"`

	// drain
	Within int64 `json:"within,omitempty"` // milliseconds
}

// DecodeServer reads a frame that came from an edge. A frame of an unknown op is no error: a newer
// edge may send it, and a client passes over it.
func DecodeServer(b []byte) (ServerFrame, error) {
	var f ServerFrame
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fmt.Errorf("server frame: %w", err)
	}
	return f, nil
}

// AppendWelcome appends a welcome frame; ttl and ping are seconds.
func AppendWelcome(dst []byte, session, edge string, ttl, ping int64) []byte {
	dst = appendString(append(dst, `{"op":"welcome","session":`...), session)
	dst = appendString(append(dst, `,"edge":`...), edge)
	dst = strconv.AppendInt(append(dst, `,"ttl":`...), ttl, 10)
	dst = strconv.AppendInt(append(dst, `,"ping":`...), ping, 10)
	return append(dst, '}')
}

// AppendJoined appends a joined frame for an answer of the mesh; spread (milliseconds) is given to
// those who must refetch.
func AppendJoined(dst []byte, room string, a continuity.Answer, spread int64) []byte {
	dst = appendString(append(dst, `{"op":"joined","room":`...), room)
	dst = appendPosition(append(dst, `,"position":`...), a.Position)
	switch {
	case a.First:
	case a.Reason == "":
		dst = append(dst, `,"recovered":true`...)
		dst = strconv.AppendInt(append(dst, `,"replay":`...), int64(len(a.Replay)), 10)
	default:
		dst = appendString(append(dst, `,"recovered":false,"reason":`...), string(a.Reason))
		dst = strconv.AppendInt(append(dst, `,"spread":`...), spread, 10)
	}
	return append(dst, '}')
}

func appendPosition(dst []byte, p continuity.Position) []byte {
	dst = appendString(append(dst, `{"epoch":`...), p.Epoch)
	dst = strconv.AppendUint(append(dst, `,"seq":`...), p.Seq, 10)
	if p.ID != "" {
		dst = appendString(append(dst, `,"id":`...), p.ID)
	}
	dst = strconv.AppendInt(append(dst, `,"ts":`...), p.TS, 10)
	return append(dst, '}')
}

// Silent reports whether the payload of a frame of this package says only that the client is welcome, or that it missed
// nothing in a room.
func Silent(payload []byte) bool {
	return bytes.HasPrefix(payload, []byte(`{"op":"welcome"`)) || bytes.HasSuffix(payload, []byte(`,"recovered":true,"replay":0}`))
}

// IsPing reports whether the payload of a frame of this package is a ping.
func IsPing(payload []byte) bool { return bytes.HasPrefix(payload, []byte(`{"op":"ping"`)) }

// IsEvent reports whether the payload of a frame of this package is an event.
func IsEvent(payload []byte) bool { return bytes.HasPrefix(payload, []byte(`{"op":"event"`)) }

// AppendDenied appends a denied frame.
func AppendDenied(dst []byte, room, code string, retryable bool, message string) []byte {
	dst = appendString(append(dst, `{"op":"denied","room":`...), room)
	dst = appendString(append(dst, `,"code":`...), code)
	dst = strconv.AppendBool(append(dst, `,"retryable":`...), retryable)
	dst = appendString(append(dst, `,"message":`...), message)
	return append(dst, '}')
}

// AppendEvent appends an event frame; ts is in Unix milliseconds and event is a JSON object.
func AppendEvent(dst []byte, room string, seq, prev uint64, ts int64, event []byte) []byte {
	dst = appendString(append(dst, `{"op":"event","room":`...), room)
	dst = strconv.AppendUint(append(dst, `,"seq":`...), seq, 10)
	dst = strconv.AppendUint(append(dst, `,"prev":`...), prev, 10)
	dst = strconv.AppendInt(append(dst, `,"ts":`...), ts, 10)
	dst = append(append(dst, `,"event":`...), event...)
	return append(dst, '}')
}

// AppendLag appends a lag frame.
func AppendLag(dst []byte, room string) []byte {
	return append(appendString(append(dst, `{"op":"lag","room":`...), room), '}')
}

// AppendTokenOK appends a token_ok frame; ttl is in seconds.
func AppendTokenOK(dst []byte, ttl int64, dropped []string) []byte {
	dst = strconv.AppendInt(append(dst, `{"op":"token_ok","ttl":`...), ttl, 10)
	dst = append(dst, `,"dropped":[`...)
	for i, room := range dropped {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, room)
	}
	return append(dst, ']', '}')
}

// AppendDrain appends a drain frame; within is in milliseconds.
func AppendDrain(dst []byte, within int64) []byte {
	return append(strconv.AppendInt(append(dst, `{"op":"drain","within":`...), within, 10), '}')
}

// AppendPing appends a ping frame; ts is the edge's time in Unix milliseconds: a client that has no
// gap may keep it as the time of its positions.
func AppendPing(dst []byte, ts int64) []byte {
	return append(strconv.AppendInt(append(dst, `{"op":"ping","ts":`...), ts, 10), '}')
}

// appendString appends s as a JSON string. Text that is not UTF-8 is repaired.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		if c == '"' || c == '\\' {
			dst = append(dst, '\\', c)
		} else {
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
