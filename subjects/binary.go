package subjects

import (
	"encoding/base64"
	"slices"
	"strings"
	"unicode/utf8"
)

// attributePrefix begins the headers of binary mode, in any case.
const attributePrefix = "ce-"

// header is what an event needs of a message's headers.
type header struct {
	contentType string
	binary      bool        // there is a ce-type
	attributes  []attribute // from ce-… headers, sorted by name
}

// attribute is one ce-… header: the name in lower case without its prefix, and
// the value as it was sent.
type attribute struct{ name, value string }

// readHeader picks out content-type and, for binary mode, the ce-… headers.
func readHeader(from map[string][]string) (header, error) {
	var h header
	types := 0
	for name, values := range from {
		if len(values) == 0 || len(name) <= len(attributePrefix) || name[0]|0x20 != 'c' {
			continue
		}
		switch {
		case strings.EqualFold(name, "content-type"):
			types += len(values)
			h.contentType = values[0]
		case strings.EqualFold(name[:len(attributePrefix)], attributePrefix):
			a := attribute{name: strings.ToLower(name[len(attributePrefix):]), value: values[0]}
			h.binary = h.binary || a.name == "type" && a.value != ""
			h.attributes = append(h.attributes, a)
			if len(values) > 1 {
				h.attributes = append(h.attributes, a)
			}
		}
	}
	if types > 1 {
		return header{}, invalid(ReasonDuplicate, "header content-type is given twice")
	}
	slices.SortFunc(h.attributes, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	return h, nil
}

// decodeBinary reads an event whose attributes are headers and whose data is the
// payload.
func decodeBinary(h header, payload []byte) (Event, error) {
	var e Event
	for i, a := range h.attributes {
		if i > 0 && a.name == h.attributes[i-1].name {
			return Event{}, invalid(ReasonDuplicate, "header ce-%.64s is given twice", a.name)
		}
		value := percentDecode(a.value)
		if !utf8.ValidString(value) {
			return Event{}, invalid(ReasonBadUTF8, "header ce-%.64s is not valid UTF-8", a.name)
		}
		if name, core := coreAttribute([]byte(a.name)); core {
			if err := e.set(name, value); err != nil {
				return Event{}, err
			}
		} else if err := e.extend(a.name, appendString(nil, value)); err != nil {
			return Event{}, err
		}
	}
	if e.Type == "" {
		return Event{}, invalid(ReasonNoType, "the event has no type")
	}
	if e.DataContentType == "" {
		if err := e.set("datacontenttype", strings.Trim(h.contentType, " \t")); err != nil {
			return Event{}, err
		}
	}
	if err := e.setPayload(payload); err != nil {
		return Event{}, err
	}
	return e, nil
}

// setPayload stores data in the form that the content type asks for. An empty
// payload is no data.
func (e *Event) setPayload(payload []byte) error {
	if len(payload) == 0 {
		return nil
	}
	switch kind := strings.ToLower(essence(e.DataContentType)); {
	case kind == "" || strings.HasSuffix(kind, "/json") || strings.HasSuffix(kind, "+json"):
		spaced, err := scanText(payload)
		if err != nil {
			return inData(err)
		}
		e.Data = compact(payload, spaced)
	case strings.HasPrefix(kind, "text/"):
		if !utf8.Valid(payload) {
			return invalid(ReasonBadUTF8, "data: the text is not valid UTF-8")
		}
		e.Data = appendString(make([]byte, 0, len(payload)+2), string(payload))
	default:
		e.DataBase64 = base64.StdEncoding.EncodeToString(payload)
	}
	return nil
}

// percentDecode undoes the percent-encoding of header values (CloudEvents HTTP
// binding, 3.1.3.2). A '%' without two digits stands for itself.
func percentDecode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	text := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			text = append(text, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		text = append(text, s[i])
	}
	return string(text)
}
