package authz

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

const (
	// maxMembers bounds the members of one JSON object, so that looking for duplicates stays cheap for a header that
	// nobody vouched for yet.
	maxMembers = 128

	// maxDepth bounds the nesting of objects and arrays.
	maxDepth = 32
)

var (
	errNotObject  = errors.New("is not a JSON object")
	errDuplicate  = errors.New("has a JSON object with the same member twice")
	errMembers    = errors.New("has a JSON object with more than 128 members")
	errDepth      = errors.New("is nested deeper than 32 levels")
	errNotUnicode = errors.New("holds text that is not Unicode")
)

// readObject calls visit for each member of the JSON object in data, in order. It refuses what encoding/json lets pass:
// duplicate members at any depth (the last would win, so two readers may disagree), invalid UTF-8 and lone surrogates
// (both silently replaced). Names are compared exactly, after unescaping. The slices given to visit share data's memory
// where they can.
func readObject(data []byte, visit func(name, value []byte) error) error {
	if !json.Valid(data) {
		return errNotObject
	}
	if !utf8.Valid(data) {
		return errNotUnicode
	}
	c := cursor{data: data}
	c.space()
	if c.data[c.pos] != '{' {
		return errNotObject
	}
	return c.object(1, visit)
}

// cursor walks over text that json.Valid has accepted, which is why it checks no syntax.
type cursor struct {
	data []byte
	pos  int
}

func (c *cursor) space() {
	for c.pos < len(c.data) {
		switch c.data[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}

// object reads an object whose '{' is the next byte. visit may be nil.
func (c *cursor) object(depth int, visit func(name, value []byte) error) error {
	var few [16][]byte // the usual number of claims, without an allocation
	seen := few[:0]
	for more := c.open('}'); more; more = c.next() {
		name, err := unquote(c.str())
		if err != nil {
			return err
		}
		for _, other := range seen {
			if bytes.Equal(other, name) {
				return errDuplicate
			}
		}
		if len(seen) == maxMembers {
			return errMembers
		}
		seen = append(seen, name)
		c.space()
		c.pos++ // ':'
		value, err := c.value(depth)
		if err != nil {
			return err
		}
		if visit == nil {
			continue
		}
		if err := visit(name, value); err != nil {
			return err
		}
	}
	return nil
}

// array reads an array whose '[' is the next byte. visit may be nil.
func (c *cursor) array(depth int, visit func(value []byte) error) error {
	for more := c.open(']'); more; more = c.next() {
		value, err := c.value(depth)
		if err != nil {
			return err
		}
		if visit == nil {
			continue
		}
		if err := visit(value); err != nil {
			return err
		}
	}
	return nil
}

// open steps over the opening bracket and reports whether there is a first element. If not, it steps over the closing
// bracket too.
func (c *cursor) open(closing byte) bool {
	c.pos++
	c.space()
	if c.data[c.pos] == closing {
		c.pos++
		return false
	}
	return true
}

// next steps over the ',' or the closing bracket after an element and reports whether another element follows.
func (c *cursor) next() bool {
	c.space()
	c.pos++
	if c.data[c.pos-1] != ',' {
		return false
	}
	c.space()
	return true
}

// value reads any value, without the space around it, and checks the objects inside it for duplicates.
func (c *cursor) value(depth int) ([]byte, error) {
	c.space()
	start := c.pos
	var err error
	switch c.data[c.pos] {
	case '"':
		c.str()
	case '{', '[':
		if depth == maxDepth {
			return nil, errDepth
		}
		if c.data[c.pos] == '{' {
			err = c.object(depth+1, nil)
		} else {
			err = c.array(depth+1, nil)
		}
	default: // a number or a literal
		if n := bytes.IndexAny(c.data[c.pos:], ",]} \t\r\n"); n >= 0 {
			c.pos += n
		} else {
			c.pos = len(c.data)
		}
	}
	return c.data[start:c.pos], err
}

// str reads a string with its quotes.
func (c *cursor) str() []byte {
	start := c.pos
	c.pos++
	for c.data[c.pos] != '"' {
		if c.data[c.pos] == '\\' {
			c.pos++
		}
		c.pos++
	}
	c.pos++
	return c.data[start:c.pos]
}

// unquote decodes a JSON string. It returns part of raw itself when there is nothing to unescape.
func unquote(raw []byte) ([]byte, error) {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	if bytes.ContainsRune([]byte(s), utf8.RuneError) { // what encoding/json makes of a lone surrogate
		return nil, errNotUnicode
	}
	return []byte(s), nil
}

func isString(value []byte) bool { return value[0] == '"' }

func isArray(value []byte) bool { return value[0] == '[' }
