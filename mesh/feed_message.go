package mesh

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

// handleLive handles up to n live messages that are here already.
func (f *Feed) handleLive(n int) {
	for range n {
		select {
		case m := <-f.messages:
			f.liveMessage(m)
			continue
		default:
		}
		break
	}
	if f.overrun && len(f.messages) < liveBatch {
		f.overrun = false
		f.auditAll()
	}
}

func (f *Feed) liveMessage(m *nats.Msg) {
	if len(f.messages) >= cap(f.messages)-1 {
		// It was full, so NATS may have dropped some. The client library tells only of the first
		// that a subscription missed, hence the look here, and the audit once it is over.
		f.overrun = true
	}
	prefix, key, _ := strings.Cut(m.Subject, ".")
	if prefix == advisoryPrefix {
		f.log.Info("the stream has a new leader: comparing all rooms with it")
		f.auditAll()
		return
	}
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
	msg := continuity.Message{Seq: seq, Prev: prev, Time: at.UnixMilli()}
	if seq > room.state.Head() {
		stored := Stored{Seq: seq, Prev: prev, Time: at, Header: m.Header, Data: m.Data}
		var cause error
		if msg, cause = f.decode(room.state.Name, stored); cause != nil {
			f.quarantine(room, stored, cause)
		}
	}
	now := time.Now()
	f.settling.touch(room, now)
	room.state.Live(msg, now.UnixMilli(), &f.effects)
	f.apply(room)
}

// decode turns a stored message into what the rooms work on. An event that is not fit to be
// delivered has no Event and a cause; it keeps its place in the room's order. It is safe for
// concurrent use.
func (f *Feed) decode(room subjects.Room, m Stored) (continuity.Message, error) {
	msg, event, err := f.identify(room, m)
	if err == nil && f.cfg.Validate != nil {
		err = f.cfg.Validate(event)
	}
	if err != nil {
		return msg, err
	}
	msg.Event = event.AppendJSON(make([]byte, 0, len(m.Data)+256))
	return msg, nil
}

// identify is decode without the content. What a message is known by depends on nothing but the
// message, so that edges with different schemas agree on it.
func (f *Feed) identify(room subjects.Room, m Stored) (continuity.Message, subjects.Event, error) {
	msg := continuity.Message{Seq: m.Seq, Prev: m.Prev, Time: m.Time.UnixMilli()}
	event, err := subjects.Event{}, error(errUnreadableHeader)
	if !m.Unreadable {
		event, err = subjects.DecodeEvent(m.Header, m.Data, subjects.Meta{
			Room: room, Seq: m.Seq, Time: m.Time,
			Stream: f.cfg.Stream.Name, MsgID: headerLast(m.Header, nats.MsgIdHdr),
		})
	}
	if err != nil {
		// What has no id of its own is known by its place and time in the stream.
		msg.ID = strconv.FormatUint(m.Seq, 10) + "-" + strconv.FormatInt(msg.Time, 36)
		return msg, event, err
	}
	msg.ID = event.ID
	return msg, event, nil
}

// errUnreadableHeader is the cause for a message of which only the payload can be read. Where its
// attributes are meant to be is not known, so nothing in it counts.
var errUnreadableHeader = &subjects.InvalidEventError{
	Reason: reasonBadHeader, Detail: "the header block ends before what the server appended",
}

// Reasons for quarantine beside those of package subjects.
const (
	reasonBadHeader = "bad_header"
	reasonOther     = "other" // Validate refused without an *subjects.InvalidEventError
)

// quarantine sends an event that is not fit for browsers to where an operator can look at it. Every
// edge that follows the room does, once, unless the room loses continuity. The headers are the
// publisher's but for those that begin with Nats-, which a stream that keeps the quarantine would obey.
func (f *Feed) quarantine(room *feedRoom, m Stored, cause error) {
	if room.wasReported(m.Seq) {
		return
	}
	reason := reasonOther
	if invalid := (*subjects.InvalidEventError)(nil); errors.As(cause, &invalid) {
		reason = invalid.Reason
	}
	f.metrics.quarantined.WithLabelValues(reason).Inc()
	f.log.Debug("event quarantined", slog.String("room", room.state.Name.String()), slog.Uint64("seq", m.Seq), errAttr(cause))
	out := nats.NewMsg(room.state.Name.Quarantine())
	for key, values := range m.Header {
		if !strings.HasPrefix(strings.ToLower(key), "nats-") {
			out.Header[key] = values
		}
	}
	out.Header.Set("Tidings-Reason", reason)
	out.Header.Set("Tidings-Detail", clip(cause.Error(), 512))
	out.Header.Set("Tidings-Edge", f.cfg.Edge)
	out.Header.Set("Tidings-Sequence", strconv.FormatUint(m.Seq, 10))
	if !m.Time.IsZero() {
		out.Header.Set("Tidings-Time", m.Time.UTC().Format(time.RFC3339Nano))
	}
	out.Data = m.Data
	if err := f.control.PublishMsg(out); err != nil {
		f.log.Debug("quarantine", slog.String("room", room.state.Name.String()), errAttr(err))
	}
}

// clip makes s one line of at most n bytes and a bit, for texts that only people read.
func clip(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
}
