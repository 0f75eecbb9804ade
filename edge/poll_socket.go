package edge

import (
	"context"
	"encoding/binary"
	"encoding/json"

	"github.com/gobwas/ws"

	"github.com/tidingsmesh/tidings/edge/frames"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// pollSocket is the socket of a session that answers one poll: it takes frames until there is something to answer
// with. Frames are kept as they are, shared with other sessions. Its fields belong to whoever has the shard's turn.
type pollSocket struct {
	session *session
	wake    chan struct{} // poked when it may be complete

	frames [][]byte // one or more WebSocket frames each
	bytes  int      // of them, counted in the edge's backlogs
	event  bool     // an event is among them
	news   bool     // more is among them than that the client is welcome and missed nothing
	full   bool     // more came than it takes, and was left to the next poll
	due    bool     // it was parked for as long as it may be
	closed *refusal // the session was closed
	over   bool     // taken, or given up
}

// answer opens the session, says hello, and returns what there is to answer, or nothing when ctx ends first. It is called
// once, by whoever posts the session's gone note afterwards.
func (p *pollSocket) answer(ctx context.Context, hello note) (payloads [][]byte, no *refusal) {
	s := p.session
	hello.session = s
	s.shard.post(note{kind: noteOpened, session: s})
	s.shard.post(hello)
	for complete := false; !complete; payloads, no, complete = p.take() {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return nil, nil
		}
	}
	if !p.full || no != nil {
		return payloads, no
	}
	payloads, err := shorten(payloads)
	if err != nil {
		s.shard.edge.log.Error("answer of a poll", errAttr(err))
		no = &refusal{code: uint16(wire.CodeInternal)}
	}
	return payloads, no
}

// write takes frames up to the size of a slow client's buffer, but at least one event, or those that were batched with
// it: the next poll could not do better. Nothing follows what was not taken. Once the answer is on its way nothing is of use any more.
func (p *pollSocket) write(b []byte) (int, error) {
	e := p.session.shard.edge
	switch {
	case p.over:
		return len(b), nil
	case p.full,
		p.event && p.bytes+len(b) > e.cfg.Limits.ClientBuffer,
		p.event && e.queued.Load()+int64(len(b)) > int64(e.cfg.Limits.TotalBuffer):
		p.full = true
		p.ring()
		return 0, nil
	}
	op, payload, _ := frames.Cut(b) // what is written at once is all of a kind
	switch {
	case op == ws.OpClose:
		p.closed = &refusal{code: binary.BigEndian.Uint16(payload), reason: string(payload[2:])}
		p.ring()
		return len(b), nil
	case wire.IsPing(payload):
		p.due = true
		if p.session.joining() {
			p.ring()
			return len(b), nil // it says of all rooms that nothing was missed, and of some that is not known
		}
	case wire.IsEvent(payload):
		p.event, p.news = true, true
	case !wire.Silent(payload):
		p.news = true
	}
	p.frames = append(p.frames, b)
	p.bytes += len(b)
	p.session.queue(len(b))
	p.ring()
	return len(b), nil
}

func (p *pollSocket) ring() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// await is never followed by a note: the socket of a poll does not take more later.
func (p *pollSocket) await() {}

// closeWrite has nothing to do: the close frame has ended the writing.
func (p *pollSocket) closeWrite() {}

// shut ends the waiting of whoever answers, whose gone note follows.
func (p *pollSocket) shut() {
	if p.closed == nil {
		p.closed = &refusal{code: uint16(wire.CodeInternal)}
	}
	p.ring()
}

func (p *pollSocket) release() {
	p.session.queue(-p.bytes)
	p.frames = nil
}

// take returns what to answer with, a list of payloads or a refusal, once it is complete: all joins are answered and
// there is something new, or it cannot get better. It waits for the turn, so that what belongs together is together.
func (p *pollSocket) take() (payloads [][]byte, refused *refusal, complete bool) {
	s := p.session
	s.shard.turn.Lock()
	defer s.shard.turn.Unlock()
	switch {
	case p.closed != nil && !p.news:
		refused = p.closed
	case p.closed == nil && !p.full && !p.due && (!p.news || s.joining()):
		return nil, nil, false
	}
	p.over = true
	for _, b := range p.frames {
		for len(b) > 0 {
			var payload []byte
			_, payload, b = frames.Cut(b)
			payloads = append(payloads, payload)
		}
	}
	return payloads, refused, true
}

// joining reports whether joins are not answered yet.
func (s *session) joining() bool {
	for _, m := range s.rooms {
		if m.index < 0 {
			return true
		}
	}
	return false
}

// shorten makes an answer true that is cut: a joined frame announces those events of its replay that are there, and the
// position after them. A room of whose replay nothing is there is not answered at all.
func shorten(payloads [][]byte) ([][]byte, error) {
	type replay struct {
		joined int // its place in payloads
		frame  wire.ServerFrame
		got    int
		last   wire.ServerFrame
	}
	replays := make(map[string]*replay)
	for i, payload := range payloads {
		f, err := wire.DecodeServer(payload)
		if err != nil {
			return nil, err
		}
		switch r := replays[f.Room]; {
		case f.Op == wire.OpJoined && f.Replay > 0:
			replays[f.Room] = &replay{joined: i, frame: f}
		case f.Op == wire.OpEvent && r != nil && r.got < r.frame.Replay:
			r.got++
			r.last = f
		}
	}
	for room, r := range replays {
		if r.got == r.frame.Replay {
			continue
		}
		payloads[r.joined] = nil
		if r.got == 0 {
			continue
		}
		var event struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(r.last.Event, &event); err != nil {
			return nil, err
		}
		payloads[r.joined] = wire.AppendJoined(nil, room, continuity.Answer{
			Position: continuity.Position{Epoch: r.frame.Position.Epoch, Seq: r.last.Seq, ID: event.ID, TS: r.last.TS},
			Replay:   make([]continuity.Entry, r.got),
		}, 0)
	}
	kept := payloads[:0]
	for _, payload := range payloads {
		if payload != nil {
			kept = append(kept, payload)
		}
	}
	return kept, nil
}
