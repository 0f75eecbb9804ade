package continuity

import "math"

// confirm notes when head is what an audit had found.
func (r *Room) confirm() {
	if r.head.seq == r.found.seq {
		r.fence, r.validAt = r.found.fence, r.found.at
	}
}

// repair asks for what comes after head.
func (r *Room) repair(out *Effects) {
	if r.mode == live {
		r.mode = repairing
		out.Repair = true
	}
}

// lose gives up continuity without knowing where the room goes on: all that the stream has of it is
// read to find out, and as nothing can be expected of the read, it has to be fresh. Until then nobody
// is answered.
func (r *Room) lose(reason Reason, now int64, out *Effects) {
	r.mode, r.lost, r.lostAt, r.broken = repairing, reason, now, false
	r.head, r.gone, r.sent, r.wanted = mark{seq: 1}, false, 1, math.MaxUint64
	r.ring.reset(r.head)
	r.buffer, r.overflowed, r.overflow = nil, false, 0 // what came before the read is in it, or gone
	out.Repair = true
	if out.Reset != "" { // twice in one step: once will do
		out.Reset, out.Emit = "", out.Emit[:0]
	}
}

// Repaired takes what was read for a repair: every message of the room from [Room.Head] on, in
// order. through is what [Room.Wanted] was when the read began; a fresh read that ends before it
// shows that the stream lost something. first is as in [Room.Fetched].
func (r *Room) Repaired(history []Message, through uint64, first FirstStored, now int64, out *Effects) {
	if r.mode != repairing {
		return
	}
	if r.lost == "" {
		reason := r.proveRepair(history, through, first, now)
		if r.overflow <= through {
			r.overflow = 0
		}
		switch {
		case reason != "":
			r.lose(reason, now, out)
			return
		case r.broken:
			r.lose(ReasonEpoch, now, out)
			return
		}
		r.mode = live
		for _, m := range history {
			if m.Seq > r.head.seq {
				r.emit(m, out)
			}
		}
		if len(history) == 0 {
			r.gone = !r.head.isFence()
			r.confirm()
		}
		r.drain(now, out)
		return
	}
	out.Reset = r.lost
	if n := len(history); n > 0 {
		r.restart(markOf(history[n-1]))
	} else {
		// The room is empty. What it had before is older than all that the stream has.
		r.restart(mark{seq: max(first.Seq, 2) - 1, time: r.lostAt})
	}
	r.validAt = r.lostAt
	r.drain(now, out)
}

func (r *Room) proveRepair(history []Message, through uint64, first FirstStored, now int64) Reason {
	newest := r.head.seq
	if n := len(history); n > 0 {
		newest = max(newest, history[n-1].Seq)
	}
	switch {
	case r.epoch != r.cfg.Limits.Epoch:
		return ReasonEpoch
	case through > newest && first.Seq > through:
		return ReasonTruncated
	case through > newest:
		return ReasonEpoch // a message that was republished is not in the stream any more
	default:
		return r.cfg.Limits.prove(r.Position(), history, first, now)
	}
}

// Audit compares the room with a later snapshot: last as in [Room.Sync], both read at the fence, and
// now not much later than the fence. It finds the lost tail, which no later message would show. The
// fence must have been set after the audit before it was taken.
func (r *Room) Audit(last *Message, fence uint64, now int64, out *Effects) {
	if r.mode != live {
		return
	}
	switch limits := &r.cfg.Limits; {
	case r.epoch != limits.Epoch:
		r.snapshot(last, fence, now)
		out.Reset = ReasonEpoch
	case fence < r.audited,
		last != nil && last.Seq == r.head.seq && last.ID != r.head.id,
		last != nil && last.Seq < r.head.seq && r.head.seq <= fence && !(r.head.isFence() && limits.mayHaveAged(last.Time, now)):
		r.lose(ReasonEpoch, now, out) // the stream went back, before the snapshot or after it
	case last != nil && last.Seq > r.head.seq:
		r.repair(out)
		r.wanted = max(r.wanted, last.Seq)
		r.found.seq, r.found.fence, r.found.at = last.Seq, fence, now
	case r.head.seq > fence:
		// Head arrived after the fence.
	case last == nil && !r.mayBeEmpty(now):
		// Removed by the limits, perhaps with others that came after head, or lost: the proof tells.
		r.repair(out)
		r.found.seq, r.found.fence, r.found.at = r.head.seq, fence, now
	default:
		r.fence, r.validAt = max(r.fence, fence), now
	}
	if r.lost == "" {
		r.audited = r.head.seq
	}
}
