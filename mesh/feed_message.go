package mesh

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

// onLive handles a live message and, in the same go, those that wait behind it.
func (f *Feed) onLive(m *nats.Msg) {
	for n := 0; ; n++ {
		f.liveMessage(m)
		if n == liveBatch {
			return
		}
		select {
		case m = <-f.messages:
		default:
			return
		}
	}
}

func (f *Feed) liveMessage(m *nats.Msg) {
	prefix, key, _ := strings.Cut(m.Subject, ".")
	room := f.byKey[key]
	if room == nil {
		return // left meanwhile, or a nudge for a room that is not followed here
	}
	if prefix == "nudge" {
		f.queue(room)
		return
	}
	seq, prev, at, ok := parseLive(m)
	if !ok {
		f.queue(room) // the publisher's headers hide the stream's; the stream itself can tell
		return
	}
	now := time.Now().UnixMilli()
	if seq <= room.state.Head() {
		room.state.Live(continuity.Message{Seq: seq, Prev: prev, Time: at.UnixMilli()}, now, &f.effects)
	} else {
		msg, cause := f.decode(room.state.Name, Stored{Seq: seq, Prev: prev, Time: at, Header: m.Header, Data: m.Data})
		if cause != nil {
			f.quarantine(room.state.Name, seq, m.Header, m.Data, cause)
		}
		room.state.Live(msg, now, &f.effects)
	}
	f.apply(room)
}

// message is decode for what was read back from the stream; what is invalid was quarantined when it
// was live.
func (f *Feed) message(room subjects.Room, m Stored) continuity.Message {
	msg, _ := f.decode(room, m)
	return msg
}

// decode turns a stored message into what the rooms work on. An event that is not fit to be
// delivered has no Event and a cause; it keeps its place in the room's order.
func (f *Feed) decode(room subjects.Room, m Stored) (continuity.Message, error) {
	meta := subjects.Meta{
		Room: room, Seq: m.Seq, Time: m.Time,
		Stream: f.cfg.Stream.Name, MsgID: headerLast(m.Header, nats.MsgIdHdr),
	}
	msg := continuity.Message{Seq: m.Seq, Prev: m.Prev, Time: m.Time.UnixMilli()}
	event, err := subjects.DecodeEvent(m.Header, m.Data, meta)
	if err == nil && f.cfg.Validate != nil {
		err = f.cfg.Validate(event)
	}
	if err != nil {
		// What has no id of its own is known by its place and time in the stream.
		msg.ID = strconv.FormatUint(m.Seq, 10) + "-" + strconv.FormatInt(m.Time.UnixNano(), 36)
		return msg, err
	}
	msg.ID = event.ID
	msg.Event = event.AppendJSON(make([]byte, 0, len(m.Data)+256))
	return msg, nil
}

// clip cuts s at n bytes, for texts that only people read.
func clip(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
