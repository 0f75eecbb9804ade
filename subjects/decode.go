package subjects

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Meta is what the stream knows about a stored message. DecodeEvent takes from it
// what the publisher left out.
type Meta struct {
	Room   Room
	Seq    uint64    // sequence in the stream
	Time   time.Time // when the stream stored the message
	Stream string    // name of the stream, for readers of Meta; no event holds it
	MsgID  string    // Nats-Msg-Id, empty when the publisher gave none
}

// DecodeEvent reads one NATS message as a CloudEvent. It is lenient about what
// is missing and strict about what is there, so that whatever it returns is a
// well-formed CloudEvent that every reader understands alike. Header names match
// in any case. The mode follows from the headers:
//
//   - content-type application/cloudevents or application/cloudevents+json:
//     structured, the payload is the event. Other formats and batches are refused.
//   - ce-type present: binary, attributes in ce-… headers with percent-encoded
//     values, the payload is the data. Its media type is in ce-datacontenttype,
//     as the NATS binding has it, or else in content-type, as the HTTP binding and
//     most publishers have it. JSON (also when no type is given) becomes Data,
//     text/* becomes a JSON string, everything else DataBase64.
//   - neither: structured.
//
// Only type is required. A missing specversion counts as 1.0; any other version
// is refused. A missing id is the message's Nats-Msg-Id, or else made from
// sequence and store time (a sequence alone may come again after a rollback); a
// missing time is the store time; a missing source is /room/<kind>/<id>. An empty or
// null attribute counts as missing.
//
// An attribute, data or ce- header that is given twice is refused, because readers
// disagree on which one counts. Headers other than content-type and ce-… are
// ignored, forged Nats-… headers with them.
//
// The error is an *InvalidEventError. The event shares no memory with payload.
func DecodeEvent(header map[string][]string, payload []byte, m Meta) (Event, error) {
	e, err := decode(header, payload)
	if err != nil {
		return Event{}, err
	}
	e.fill(m)
	return e, nil
}

func decode(header map[string][]string, payload []byte) (Event, error) {
	if len(header) == 0 {
		return decodeStructured(payload)
	}
	h, err := readHeader(header)
	if err != nil {
		return Event{}, err
	}
	const cloudevents = "application/cloudevents"
	kind := strings.ToLower(essence(h.contentType))
	switch {
	case kind == cloudevents || kind == cloudevents+"+json":
		return decodeStructured(payload)
	case strings.HasPrefix(kind, cloudevents+"+") || strings.HasPrefix(kind, cloudevents+"-batch"):
		return Event{}, invalid(ReasonBadFormat, "content-type %.64q, want a single event in JSON", h.contentType)
	case h.binary:
		return decodeBinary(h, payload)
	default:
		return decodeStructured(payload)
	}
}

// fill completes an event with what the stream knows.
func (e *Event) fill(m Meta) {
	if e.Time.IsZero() {
		e.Time = m.Time.Round(0).UTC()
	}
	if e.Source == "" {
		var b strings.Builder
		b.WriteString("/room/")
		escape(&b, m.Room.Kind)
		b.WriteByte('/')
		escape(&b, m.Room.ID)
		e.Source = b.String()
	}
	if e.ID != "" {
		return
	}
	if m.MsgID != "" && checkAttribute("id", m.MsgID) == nil {
		e.ID = m.MsgID
		return
	}
	id := strconv.AppendUint(make([]byte, 0, 40), m.Seq, 10)
	id = append(id, '-')
	if !m.Time.IsZero() {
		id = strconv.AppendInt(id, m.Time.UnixNano(), 36)
	}
	e.ID = string(id)
}

// inData turns an error about a JSON text into one about the data it came from.
func inData(err error) error {
	bad, ok := errors.AsType[*InvalidEventError](err)
	if !ok {
		return err
	}
	reason := bad.Reason
	if reason == ReasonNotJSON {
		reason = ReasonBadData
	}
	return invalid(reason, "data: %s", bad.Detail)
}
