package main

import (
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/continuity"
)

type placeState uint8

const (
	placeJoining placeState = iota // a join is on its way, or there is no connection
	placeLive                      // joined
	placeGap                       // joined, an event was missing, and joined again from the last one
	placeWaiting                   // denied for now
	placeDenied                    // denied for as long as the token is the same
)

// place is where a subscriber stands in one room: which event comes next, and what to ask for after an interruption. It
// is pure; the subscriber's loop owns it.
type place struct {
	room  string
	state placeState
	// at is the position of the last event printed, or of the first join; nil before that. Invariant: within one history of
	// the stream it never goes back, whatever connections say, so no event is printed twice.
	at *wire.Position
	// A replay goes on for so many events and leaves the client at end.
	left int
	end  wire.Position
	// behind: the edge has skipped events and will replay them.
	behind bool
}

type outcome uint8

const (
	eventNew       outcome = iota // print it
	eventDuplicate                // it was printed
	eventEarly                    // one before it is missing
)

// restart prepares for the answers of a new connection.
func (p *place) restart() {
	p.left, p.behind = 0, false
	if p.state != placeDenied {
		p.state = placeJoining
	}
}

// ref is what to join with.
func (p *place) ref() wire.RoomRef {
	ref := wire.RoomRef{Room: p.room}
	if p.at != nil {
		at := *p.at
		ref.Since = &at
	}
	return ref
}

// joined takes an edge's answer to a join, or the news that continuity was lost. It reports whether it was the latter.
func (p *place) joined(f wire.ServerFrame) (reset bool) {
	p.state, p.left, p.behind = placeLive, 0, false
	if f.Position == nil {
		return false
	}
	to := *f.Position
	reset = f.Recovered != nil && !*f.Recovered
	switch {
	case p.at == nil, reset && p.isOtherHistory(to, f.Reason):
		p.at = &to
	case f.Replay > 0:
		p.at.Epoch = to.Epoch
		p.left, p.end = f.Replay, to
	default:
		p.advance(to)
	}
	return reset
}

// isOtherHistory says whether sequences seen until now mean nothing any more. After other resets they do: an event that
// came over an older connection in the meantime can come again.
func (p *place) isOtherHistory(to wire.Position, reason continuity.Reason) bool {
	return to.Epoch != p.at.Epoch || reason == continuity.ReasonEpoch || reason == continuity.ReasonBehind
}

// advance moves to a position of the same history unless that is further back.
func (p *place) advance(to wire.Position) {
	if to.Seq > p.at.Seq {
		*p.at = to
	}
	p.at.TS = max(p.at.TS, to.TS)
}

// event takes an event with its id and says what to do with it.
func (p *place) event(f wire.ServerFrame, id string) outcome {
	switch {
	case p.at == nil:
		return eventDuplicate // before the first answer: of nothing that was asked for
	case p.left == 0 && f.Seq > p.at.Seq && f.Prev > p.at.Seq:
		// Not within a replay: the edge has proved it complete, and its frames may name a predecessor from before the
		// edge followed the room, which no client was sent.
		return eventEarly
	}
	result := eventDuplicate
	if f.Seq > p.at.Seq {
		result = eventNew
		*p.at = wire.Position{Epoch: p.at.Epoch, Seq: f.Seq, ID: id, TS: f.TS}
		p.behind = false
	}
	if p.left > 0 {
		if p.left--; p.left == 0 {
			p.advance(p.end)
		}
	}
	return result
}

// refresh notes that the edge had nothing more for the room at ts, Unix milliseconds. That keeps the position of a quiet
// room from growing too old to be resumed.
func (p *place) refresh(ts int64) {
	if p.at != nil && p.state == placeLive && p.left == 0 && !p.behind {
		p.at.TS = max(p.at.TS, ts)
	}
}
