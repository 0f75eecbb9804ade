package subjects

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// DefaultSource is the source of events from NewEvent. A worker that has a name
// sets Event.Source to its own URI reference, such as "/workers/rules-engine".
const DefaultSource = "/worker"

// NewEvent is a complete event around data: an id from NewID, the present time, a
// DefaultSource, and data in JSON as encoding/json writes it. The error says why
// data does not marshal, or is the one of Event.Validate.
func NewEvent(data Typed) (Event, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil {
		return Event{}, fmt.Errorf("data of event type %q: %w", data.EventType(), err)
	}
	e := Event{
		ID:     NewID(),
		Source: DefaultSource,
		Type:   data.EventType(),
		Time:   time.Now().UTC().Round(0),
		Data:   bytes.TrimSuffix(text.Bytes(), []byte("\n")),
	}
	if err := e.Validate(); err != nil {
		return Event{}, err
	}
	return e, nil
}

// NewID is a new event id: a UUID of version 7 (RFC 9562), which is the time in
// milliseconds followed by 74 random bits. Ids sort by age to the millisecond, not
// below, and the order is no promise of the mesh.
func NewID() string {
	var id [16]byte
	_, _ = rand.Read(id[6:]) // never fails: crypto/rand ends the process instead
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli()))
	copy(id[:6], ms[2:])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80

	var text [36]byte
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
