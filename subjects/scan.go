package subjects

import (
	"bytes"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may be nested in the data of an event.
// It bounds the work of every reader behind the edge, browsers included.
const MaxDepth = 64

// maxExponent is how many digits the exponent of a number may have. No reader's
// floating point reaches further, and exact arithmetic on larger ones, as schema
// validation does it, costs seconds.
const maxExponent = 3

// scanner walks over one JSON text (RFC 8259) and checks its grammar and its
// depth. It does not allocate and leaves UTF-8 to its caller. It exists because
// encoding/json hides duplicate names and replaces invalid UTF-8, and because one
// pass is all that an event should cost.
type scanner struct {
	text []byte
	pos  int

	// Set, never cleared, when a string with a backslash or white space
	// between tokens was passed.
	escaped, spaced bool
}

// syntax is the error for a text that breaks the grammar at the current place.
func (s *scanner) syntax(want string) error {
	if s.pos >= len(s.text) {
		return invalid(ReasonNotJSON, "byte %d: the text ends, want %s", s.pos, want)
	}
	return invalid(ReasonNotJSON, "byte %d: got %q, want %s", s.pos, s.text[s.pos], want)
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
			s.spaced = true
		default:
			return
		}
	}
}

// take passes c if it is next.
func (s *scanner) take(c byte) bool {
	if s.pos < len(s.text) && s.text[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// value passes one value inside depth arrays and objects.
func (s *scanner) value(depth int) error {
	if s.pos >= len(s.text) {
		return s.syntax("a value")
	}
	switch c := s.text[s.pos]; {
	case c == '"':
		return s.string()
	case c == '{':
		return s.object(depth + 1)
	case c == '[':
		return s.array(depth + 1)
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	default:
		return s.syntax("a value")
	}
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.text[s.pos:], []byte(word)) {
		return s.syntax(word)
	}
	s.pos += len(word)
	return nil
}

func (s *scanner) object(depth int) error {
	if depth > MaxDepth {
		return invalid(ReasonTooDeep, "byte %d: nested deeper than %d", s.pos, MaxDepth)
	}
	s.pos++
	s.space()
	if s.take('}') {
		return nil
	}
	for {
		if err := s.name(); err != nil {
			return err
		}
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.syntax("',' or '}'")
		}
		s.space()
	}
}

// name passes the name of a member and everything up to its value.
func (s *scanner) name() error {
	if err := s.string(); err != nil {
		return err
	}
	s.space()
	if !s.take(':') {
		return s.syntax("':'")
	}
	s.space()
	return nil
}

func (s *scanner) array(depth int) error {
	if depth > MaxDepth {
		return invalid(ReasonTooDeep, "byte %d: nested deeper than %d", s.pos, MaxDepth)
	}
	s.pos++
	s.space()
	if s.take(']') {
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.syntax("',' or ']'")
		}
		s.space()
	}
}

func (s *scanner) string() error {
	if !s.take('"') {
		return s.syntax("a string")
	}
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			s.escaped = true
			s.pos++
			if err := s.escape(); err != nil {
				return err
			}
		case c < ' ':
			return s.syntax("no control character in a string")
		default:
			s.pos++
		}
	}
	return s.syntax("the end of a string")
}

// escape passes what follows a backslash.
func (s *scanner) escape() error {
	if s.pos >= len(s.text) {
		return s.syntax("an escape")
	}
	switch s.text[s.pos] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
		s.pos++
		for range 4 {
			if s.pos >= len(s.text) || !isHex(s.text[s.pos]) {
				return s.syntax("four hexadecimal digits")
			}
			s.pos++
		}
		return nil
	default:
		return s.syntax("an escape")
	}
}

func (s *scanner) number() error {
	s.take('-')
	if !s.take('0') {
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.take('.') {
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		start := s.pos
		if err := s.digits(); err != nil {
			return err
		}
		if s.pos-start > maxExponent {
			return invalid(ReasonBadData, "byte %d: an exponent of more than %d digits", start, maxExponent)
		}
	}
	return nil
}

func (s *scanner) digits() error {
	start := s.pos
	for s.pos < len(s.text) && '0' <= s.text[s.pos] && s.text[s.pos] <= '9' {
		s.pos++
	}
	if s.pos == start {
		return s.syntax("a digit")
	}
	return nil
}

// scanText checks that text is one JSON value in valid UTF-8, and reports
// whether it has white space between its tokens.
func scanText(text []byte) (spaced bool, err error) {
	if !utf8.Valid(text) {
		return false, invalid(ReasonBadUTF8, "the text is not valid UTF-8")
	}
	s := scanner{text: text}
	s.space()
	if err := s.value(0); err != nil {
		return false, err
	}
	s.space()
	if s.pos < len(text) {
		return false, s.syntax("the end of the text")
	}
	return s.spaced, nil
}

// appendCompact appends a text that the scanner passed, without the white space
// between its tokens.
func appendCompact(dst, text []byte) []byte {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			dst = append(dst, c, text[i+1])
			i++
			continue
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		dst = append(dst, text[i])
	}
	return dst
}

// compact is a copy of a text that the scanner passed, without white space if
// the scanner saw any.
func compact(text []byte, spaced bool) []byte {
	if !spaced {
		return bytes.Clone(text)
	}
	return appendCompact(make([]byte, 0, len(text)), text)
}
