package subjects

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of an event's attributes.
const (
	// MaxIDBytes limits id and type. Clients send an id back with their
	// position in a room, and many of those must fit into one frame.
	MaxIDBytes = 256

	// MaxExtensions limits the number of extension attributes.
	MaxExtensions = 32
)

// coreAttribute is name as a constant if CloudEvents defines it as a context
// attribute.
func coreAttribute(name []byte) (string, bool) {
	switch string(name) {
	case "specversion":
		return "specversion", true
	case "id":
		return "id", true
	case "source":
		return "source", true
	case "type":
		return "type", true
	case "subject":
		return "subject", true
	case "time":
		return "time", true
	case "datacontenttype":
		return "datacontenttype", true
	case "dataschema":
		return "dataschema", true
	}
	return "", false
}

// set checks a core attribute and stores it. An empty value counts as absent,
// whatever the attribute: CloudEvents knows no empty ones, and publishers that
// write out every field of a struct mean the same.
func (e *Event) set(name, value string) error {
	if value == "" {
		return nil
	}
	if err := checkAttribute(name, value); err != nil {
		return err
	}
	switch name {
	case "id":
		e.ID = value
	case "source":
		e.Source = value
	case "type":
		e.Type = value
	case "subject":
		e.Subject = value
	case "datacontenttype":
		e.DataContentType = value
	case "dataschema":
		e.DataSchema = value
	case "time":
		t, ok := parseTime(value)
		if !ok {
			return invalid(ReasonBadAttribute, "time: %.64q is not an RFC 3339 time", value)
		}
		e.Time = t
	}
	return nil
}

// extend checks an extension attribute and stores a copy of its value.
func (e *Event) extend(name string, value []byte) error {
	if err := checkExtension(name, value); err != nil {
		return err
	}
	if e.Extensions == nil {
		e.Extensions = make(map[string]json.RawMessage, 4)
	}
	if len(e.Extensions) == MaxExtensions {
		return invalid(ReasonBadAttribute, "more than %d extensions", MaxExtensions)
	}
	e.Extensions[name] = append(json.RawMessage(nil), value...)
	return nil
}

// checkAttribute checks a core attribute that is not empty. Times are left to
// parseTime.
func checkAttribute(name, value string) error {
	if name == "specversion" {
		if value != "1.0" {
			return invalid(ReasonBadVersion, "specversion is %.64q, want 1.0", value)
		}
		return nil
	}
	if problem := textProblem(value); problem != "" {
		return invalid(ReasonBadAttribute, "%s: %.64q has %s", name, value, problem)
	}
	switch name {
	case "id", "type":
		if len(value) > MaxIDBytes {
			return invalid(ReasonBadAttribute, "%s has %d bytes, the limit is %d", name, len(value), MaxIDBytes)
		}
	case "source":
		if !isURIReference(value) {
			return invalid(ReasonBadAttribute, "source: %.64q is not a URI reference", value)
		}
	case "dataschema":
		if !hasScheme(value) || !isURIReference(value) {
			return invalid(ReasonBadAttribute, "dataschema: %.64q is not an absolute URI", value)
		}
	case "datacontenttype":
		if !isMediaType(value) {
			return invalid(ReasonBadAttribute, "datacontenttype: %.64q is not a media type", value)
		}
	}
	return nil
}

// checkExtension checks name and value of an extension attribute. The value is
// JSON: a string, a boolean, or an integer of 32 bits; CloudEvents has no others.
func checkExtension(name string, value []byte) error {
	if _, core := coreAttribute([]byte(name)); core || name == "data" || !isExtensionName(name) {
		return invalid(ReasonBadAttribute, "%.64q is no name for an extension, want a-z and 0-9", name)
	}
	if !utf8.Valid(value) {
		return invalid(ReasonBadUTF8, "extension %.64q is not valid UTF-8", name)
	}
	s := scanner{text: value}
	if err := s.value(0); err != nil || s.pos < len(value) {
		return invalid(ReasonBadAttribute, "extension %.64q is not a JSON value", name)
	}
	switch value[0] {
	case '"':
		text, ok := unquote(value, s.escaped)
		if !ok {
			return invalid(ReasonBadAttribute, "extension %.64q has half of a surrogate pair", name)
		}
		if problem := textProblem(text); problem != "" {
			return invalid(ReasonBadAttribute, "extension %.64q has %s", name, problem)
		}
		return nil
	case 't', 'f':
		return nil
	case '{', '[', 'n':
		return invalid(ReasonBadAttribute, "extension %.64q is no string, boolean or integer", name)
	}
	if _, err := strconv.ParseInt(string(value), 10, 32); err != nil {
		return invalid(ReasonBadAttribute, "extension %.64q is %.32s, want an integer of 32 bits", name, value)
	}
	return nil
}

func isExtensionName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// textProblem names what CloudEvents forbids in a string and s has: control
// characters, code points that are no characters, invalid UTF-8.
func textProblem(s string) string {
	for i, r := range s {
		switch {
		case r < ' ' || 0x7f <= r && r <= 0x9f:
			return "a control character"
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			return "invalid UTF-8"
		case 0xfdd0 <= r && r <= 0xfdef || r&0xfffe == 0xfffe:
			return "a code point that is no character"
		}
	}
	return ""
}

// isURIReference checks the characters of RFC 3986, not the structure: a reader
// that resolves the reference has to parse it anyway.
func isURIReference(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0:
			return false
		case c == '%' && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])):
			return false
		}
	}
	return true
}

// hasScheme reports whether a URI reference begins with a scheme (RFC 3986, 3.1).
func hasScheme(s string) bool {
	scheme, rest, found := strings.Cut(s, ":")
	if !found || rest == "" {
		return false
	}
	for i := range len(scheme) {
		c := scheme[i] | 0x20
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || (scheme[i] < '0' || scheme[i] > '9') && strings.IndexByte("+-.", scheme[i]) < 0) {
			return false
		}
	}
	return scheme != ""
}

// isMediaType checks "type/subtype", with anything in the parameters.
func isMediaType(s string) bool {
	kind, subtype, _ := strings.Cut(essence(s), "/")
	return isToken(kind) && isToken(subtype)
}

// essence is a media type without its parameters.
func essence(s string) string {
	kind, _, _ := strings.Cut(s, ";")
	return strings.Trim(kind, " \t")
}

// isToken checks for a token of RFC 9110, 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// parseTime reads an RFC 3339 time, 't' and 'z' in lower case included.
func parseTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		if t, err = time.Parse(time.RFC3339Nano, strings.ToUpper(s)); err != nil {
			return time.Time{}, false
		}
	}
	t = t.UTC()
	return t, inRFC3339(t)
}

// inRFC3339 reports whether the year of t has the four digits of RFC 3339.
func inRFC3339(t time.Time) bool { return t.Year() >= 0 && t.Year() <= 9999 }

// checkBase64 checks padded standard base64 (RFC 4648, 4) without line breaks.
func checkBase64(s string) error {
	if strings.ContainsAny(s, "\r\n") {
		return invalid(ReasonBadData, "data_base64 has a line break")
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(s); err != nil {
		return invalid(ReasonBadData, "data_base64: %v", err)
	}
	return nil
}
