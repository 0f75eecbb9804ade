// Package follow is the client's half of the protocol tidings.v1: where a client stands in a room,
// which event comes next, and what to ask for after an interruption. It is pure: a program that has a
// connection feeds it frames and does what it says. The rules are those of docs/protocol.md, "Positions".
package follow

import (
	"encoding/json"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// State is how a client stands to a room.
type State uint8

const (
	Joining State = iota // a join is on its way, or there is no connection
	Live                 // joined
	Gap                  // joined, something may be missing, and joined again from the last event
	Waiting              // denied for now
	Denied               // denied for as long as the token is the same
)

// Outcome is what to do with an event.
type Outcome uint8

const (
	New       Outcome = iota // apply it
	Duplicate                // it was applied, or is of nothing that was asked for
	Early                    // one before it is missing: set Gap and join again with Ref
)

// Room is a client's place in one room. One goroutine owns it.
type Room struct {
	Name string
	// State is set by Joined and Restart; who sends frames and reads denials sets it otherwise.
	State State
	// At is the position of the last event applied, or of the first join; nil before that. Invariant:
	// within one history of the stream it never goes back, whatever connections say, so no event is
	// applied twice.
	At *wire.Position

	left int // a replay goes on for so many events
	end  wire.Position
	// behind: the edge has skipped events and will replay them.
	behind bool
}

// Restart prepares for the answers of a new connection.
func (r *Room) Restart() {
	r.left, r.behind = 0, false
	if r.State != Denied {
		r.State = Joining
	}
}

// Ref is what to join with.
func (r *Room) Ref() wire.RoomRef {
	ref := wire.RoomRef{Room: r.Name}
	if r.At != nil {
		at := *r.At
		ref.Since = &at
	}
	return ref
}

// Joined takes an edge's answer to a join, or the news that continuity was lost. It reports whether it
// was the latter: then the program reads the room's state anew. State is Gap afterwards when the answer
// is to a join without a position, and there is one by now, from an answer that came first: nothing is
// known of what is in between, so join again with Ref.
func (r *Room) Joined(f wire.ServerFrame) (reset bool) {
	r.State, r.left, r.behind = Live, 0, false
	if f.Position == nil {
		return false
	}
	to := *f.Position
	reset = f.Recovered != nil && !*f.Recovered
	switch {
	case r.At == nil, reset && r.isOtherHistory(to, f.Reason):
		r.At = &to
	case f.Recovered == nil && (to.Seq > r.At.Seq || to.Epoch != r.At.Epoch):
		r.State = Gap
	case f.Replay > 0:
		r.At.Epoch = to.Epoch
		r.left, r.end = f.Replay, to
	default:
		r.advance(to)
	}
	return reset
}

// isOtherHistory says whether sequences seen until now mean nothing any more. After other resets they
// do: an event that came over an older connection in the meantime can come again.
func (r *Room) isOtherHistory(to wire.Position, reason continuity.Reason) bool {
	return to.Epoch != r.At.Epoch || reason == continuity.ReasonEpoch || reason == continuity.ReasonBehind
}

// advance moves to a position of the same history unless that is further back.
func (r *Room) advance(to wire.Position) {
	if to.Seq > r.At.Seq {
		*r.At = to
	}
	r.At.TS = max(r.At.TS, to.TS)
}

// Lagged notes that the edge has skipped events for this client and will send them later.
func (r *Room) Lagged() { r.behind = true }

// Event takes an event frame and says what to do with it.
func (r *Room) Event(f wire.ServerFrame) Outcome {
	switch {
	case r.At == nil:
		return Duplicate // before the first answer: of nothing that was asked for
	case r.left == 0 && f.Seq > r.At.Seq && f.Prev > r.At.Seq:
		// Not within a replay: the edge has proved it complete, and its frames may name a predecessor from
		// before the edge followed the room, which no client was sent.
		return Early
	}
	result := Duplicate
	if f.Seq > r.At.Seq {
		result = New
		*r.At = wire.Position{Epoch: r.At.Epoch, Seq: f.Seq, ID: eventID(f), TS: f.TS}
		r.behind = false
	}
	if r.left > 0 {
		if r.left--; r.left == 0 {
			r.advance(r.end)
		}
	}
	return result
}

// eventID is "" when the event has none that can be read; a position is good without it.
func eventID(f wire.ServerFrame) string {
	var event struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(f.Event, &event) != nil {
		return ""
	}
	return event.ID
}

// Replaying reports whether events of a replay are still to come.
func (r *Room) Replaying() bool { return r.left > 0 }

// Refresh notes that the edge had nothing more for the room at ts, Unix milliseconds, as a ping says.
// That keeps the position of a quiet room from growing too old to be resumed.
func (r *Room) Refresh(ts int64) {
	if r.At != nil && r.State == Live && r.left == 0 && !r.behind {
		r.At.TS = max(r.At.TS, ts)
	}
}
