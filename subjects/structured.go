package subjects

import (
	"bytes"
	"unicode/utf8"
)

// member is one member of a structured event. Its slices point into the payload.
type member struct {
	name, value     []byte
	escaped, spaced bool // the value has a backslash; white space between tokens
}

// maxMembers is all core attributes, data, data_base64 and every extension.
const maxMembers = 10 + MaxExtensions

// decodeStructured reads an event from the JSON event format. It fills in
// nothing, and of all attributes asks only for type.
func decodeStructured(text []byte) (Event, error) {
	var space [16]member // enough for most events, so that they cost no allocation
	members, err := splitObject(text, space[:0])
	if err != nil {
		return Event{}, err
	}
	var e Event
	hasData := false
	for i := range members {
		m := &members[i]
		isNull := len(m.value) == 4 && m.value[0] == 'n'
		switch string(m.name) {
		case "data":
			if hasData {
				return Event{}, invalid(ReasonBadData, "both data and data_base64 are given")
			}
			hasData = true
			e.Data = compact(m.value, m.spaced)
			continue
		case "data_base64":
			if isNull {
				continue
			}
			if hasData {
				return Event{}, invalid(ReasonBadData, "both data and data_base64 are given")
			}
			hasData = true
			if err := e.setBase64(m); err != nil {
				return Event{}, err
			}
			continue
		}
		if isNull {
			continue
		}
		name, core := coreAttribute(m.name)
		if !core {
			if err := e.extend(string(m.name), m.value); err != nil {
				return Event{}, err
			}
			continue
		}
		if err := e.setQuoted(name, m); err != nil {
			return Event{}, err
		}
	}
	if e.Type == "" {
		return Event{}, invalid(ReasonNoType, "the event has no type")
	}
	return e, nil
}

// setQuoted stores a core attribute that must be a JSON string.
func (e *Event) setQuoted(name string, m *member) error {
	if m.value[0] != '"' {
		if name == "specversion" {
			return invalid(ReasonBadVersion, "specversion is %.32s, want the string 1.0", m.value)
		}
		return invalid(ReasonBadAttribute, "%s is no string", name)
	}
	text, ok := unquote(m.value, m.escaped)
	if !ok {
		return invalid(ReasonBadAttribute, "%s has half of a surrogate pair", name)
	}
	return e.set(name, text)
}

func (e *Event) setBase64(m *member) error {
	if m.value[0] != '"' {
		return invalid(ReasonBadData, "data_base64 is no string")
	}
	text, ok := unquote(m.value, m.escaped)
	if !ok {
		return invalid(ReasonBadData, "data_base64 has half of a surrogate pair")
	}
	if err := checkBase64(text); err != nil {
		return err
	}
	e.DataBase64 = text
	return nil
}

// splitObject appends the members of a text that is one JSON object. The whole
// text is checked before anything is returned.
func splitObject(text []byte, members []member) ([]member, error) {
	if !utf8.Valid(text) {
		return nil, invalid(ReasonBadUTF8, "the text is not valid UTF-8")
	}
	s := scanner{text: text}
	s.space()
	if !s.take('{') {
		if _, err := scanText(text); err != nil {
			return nil, err
		}
		return nil, invalid(ReasonNotObject, "the event is no JSON object")
	}
	s.space()
	for more := !s.take('}'); more; {
		m, err := s.member()
		if err != nil {
			return nil, err
		}
		for i := range members {
			if bytes.Equal(members[i].name, m.name) {
				return nil, invalid(ReasonDuplicate, "%.64q is given twice", m.name)
			}
		}
		if len(members) == maxMembers {
			return nil, invalid(ReasonBadAttribute, "more than %d attributes", maxMembers)
		}
		members = append(members, m)
		s.space()
		more = s.take(',')
		s.space()
		if !more && !s.take('}') {
			return nil, s.syntax("',' or '}'")
		}
	}
	s.space()
	if s.pos < len(text) {
		return nil, s.syntax("the end of the text")
	}
	return members, nil
}

// member passes one member of the outermost object. The depth of its value is
// counted from the value itself, as it is for data in binary mode.
func (s *scanner) member() (member, error) {
	start := s.pos
	s.escaped = false
	if err := s.string(); err != nil {
		return member{}, err
	}
	var m member
	m.name = s.text[start+1 : s.pos-1]
	if s.escaped {
		name, ok := unquote(s.text[start:s.pos], true)
		if !ok {
			return member{}, invalid(ReasonBadAttribute, "a name has half of a surrogate pair")
		}
		m.name = []byte(name)
	}
	s.space()
	if !s.take(':') {
		return member{}, s.syntax("':'")
	}
	s.space()

	start = s.pos
	s.escaped, s.spaced = false, false
	if err := s.value(0); err != nil {
		return member{}, err
	}
	m.value, m.escaped, m.spaced = s.text[start:s.pos], s.escaped, s.spaced
	return m, nil
}
