package subjects

import (
	"encoding/json"
	"slices"
	"time"
)

// Event is a CloudEvent 1.0 (https://github.com/cloudevents/spec, version 1.0.2).
//
// An Event from DecodeEvent is well formed. One that is built by hand should start
// with NewEvent, or carry an ID from NewID, and pass Validate before it is
// published. Copies share Data and Extensions; nobody writes to them.
type Event struct {
	ID              string    // unique within Source; 1 to MaxIDBytes bytes
	Source          string    // URI reference of whoever made the event
	Type            string    // such as "settlement_updated"; 1 to MaxIDBytes bytes
	Subject         string    // what in Source the event is about; may be empty
	DataContentType string    // media type of the data; empty stands for application/json
	DataSchema      string    // absolute URI of a schema; may be empty
	Time            time.Time // when it happened, UTC; the zero time stands for unknown

	// Data is one JSON value, nil when the event has none or has DataBase64. From
	// DecodeEvent it is the publisher's text without white space: numbers of
	// any size, the order of members and escapes are as they were.
	Data json.RawMessage

	// DataBase64 is data that is not JSON, in padded standard base64.
	DataBase64 string

	// Extensions are further attributes: at most MaxExtensions, names of a-z and
	// 0-9, values that are JSON strings, booleans or 32-bit integers.
	Extensions map[string]json.RawMessage
}

// AppendJSON appends the event in CloudEvents' structured JSON form, on one line,
// with the attributes in a fixed order and extensions sorted by name. The same
// event always gives the same bytes.
//
// What it appends is valid JSON in valid UTF-8 whatever the event holds: in an
// event that does not pass Validate, invalid UTF-8 becomes U+FFFD, and data or
// extensions that could not be read back are left out.
func (e Event) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"specversion":"1.0","id":`...)
	dst = appendString(dst, e.ID)
	dst = append(dst, `,"source":`...)
	dst = appendString(dst, e.Source)
	dst = append(dst, `,"type":`...)
	dst = appendString(dst, e.Type)
	if e.Subject != "" {
		dst = append(dst, `,"subject":`...)
		dst = appendString(dst, e.Subject)
	}
	if t := e.Time.UTC(); !t.IsZero() && inRFC3339(t) {
		dst = append(dst, `,"time":"`...)
		dst = t.AppendFormat(dst, time.RFC3339Nano)
		dst = append(dst, '"')
	}
	if e.DataContentType != "" {
		dst = append(dst, `,"datacontenttype":`...)
		dst = appendString(dst, e.DataContentType)
	}
	if e.DataSchema != "" {
		dst = append(dst, `,"dataschema":`...)
		dst = appendString(dst, e.DataSchema)
	}
	if len(e.Extensions) > 0 {
		dst = e.appendExtensions(dst)
	}
	switch {
	case e.Data != nil:
		dst = appendData(dst, e.Data)
	case e.DataBase64 != "":
		dst = append(dst, `,"data_base64":`...)
		dst = appendString(dst, e.DataBase64)
	}
	return append(dst, '}')
}

func (e Event) appendExtensions(dst []byte) []byte {
	names := make([]string, 0, 8)
	for name := range e.Extensions {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := e.Extensions[name]
		if checkExtension(name, value) != nil {
			continue
		}
		dst = append(dst, ',', '"')
		dst = append(dst, name...)
		dst = append(dst, '"', ':')
		dst = append(dst, value...)
	}
	return dst
}

func appendData(dst []byte, data json.RawMessage) []byte {
	spaced, err := scanText(data)
	if err != nil {
		return dst
	}
	dst = append(dst, `,"data":`...)
	if spaced {
		return appendCompact(dst, data)
	}
	return append(dst, data...)
}

// Validate is for publishers: an event that passes is complete and is accepted
// by every edge, unless a schema says otherwise. Unlike DecodeEvent it asks for an
// id and a source. The error is an *InvalidEventError.
func (e Event) Validate() error {
	for _, a := range [...]struct{ name, value string }{
		{"type", e.Type},
		{"id", e.ID},
		{"source", e.Source},
		{"subject", e.Subject},
		{"datacontenttype", e.DataContentType},
		{"dataschema", e.DataSchema},
	} {
		if a.value == "" {
			switch a.name {
			case "type":
				return invalid(ReasonNoType, "type is empty")
			case "id", "source":
				return invalid(ReasonBadAttribute, "%s is empty", a.name)
			}
			continue
		}
		if err := checkAttribute(a.name, a.value); err != nil {
			return err
		}
	}
	if !inRFC3339(e.Time.UTC()) {
		return invalid(ReasonBadAttribute, "time: year %d is outside RFC 3339", e.Time.UTC().Year())
	}
	if len(e.Extensions) > MaxExtensions {
		return invalid(ReasonBadAttribute, "%d extensions, the limit is %d", len(e.Extensions), MaxExtensions)
	}
	for name, value := range e.Extensions {
		if err := checkExtension(name, value); err != nil {
			return err
		}
	}
	return e.validateData()
}

func (e Event) validateData() error {
	if e.Data != nil {
		if e.DataBase64 != "" {
			return invalid(ReasonBadData, "both data and data_base64 are given")
		}
		_, err := scanText(e.Data)
		return inData(err)
	}
	if e.DataBase64 != "" {
		return checkBase64(e.DataBase64)
	}
	return nil
}

// MarshalJSON is AppendJSON for events that pass Validate; others are refused.
func (e Event) MarshalJSON() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return e.AppendJSON(nil), nil
}

// UnmarshalJSON reads the structured JSON form under the rules of DecodeEvent,
// but fills in nothing: a missing id, source or time stays empty. The error is an
// *InvalidEventError.
func (e *Event) UnmarshalJSON(text []byte) error {
	decoded, err := decodeStructured(text)
	if err != nil {
		return err
	}
	*e = decoded
	return nil
}
