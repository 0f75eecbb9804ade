package wire

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// The functions here take apart JSON text that json.Valid has accepted, which is why they check no syntax. They exist
// because encoding/json does not tell "ROOMS" from "rooms", and the protocol does.

// members calls visit for each member of an object, in order. The name is unescaped; the value has no space around it.
// Both may share the object's memory.
func members(object []byte, visit func(name, value []byte) error) error {
	rest := afterSpace(object[1:])
	for rest[0] != '}' {
		name, after := cutValue(rest)
		value, after := cutValue(afterSpace(afterSpace(after)[1:])) // behind the colon
		if err := visit(unquote(name), value); err != nil {
			return err
		}
		rest = afterComma(after)
	}
	return nil
}

// elements calls visit for each element of an array, in order. The value may share the array's memory.
func elements(array []byte, visit func(value []byte) error) error {
	rest := afterSpace(array[1:])
	for rest[0] != ']' {
		value, after := cutValue(rest)
		if err := visit(value); err != nil {
			return err
		}
		rest = afterComma(after)
	}
	return nil
}

// cutValue cuts text behind the value that it begins with.
func cutValue(text []byte) (value, after []byte) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth == 0 { // behind a number or a literal
				return text[:i], text[i:]
			}
			depth--
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return text[:i], text[i:]
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return text[:i+1], text[i+1:]
		}
	}
	return text, nil
}

func afterSpace(text []byte) []byte { return bytes.TrimLeft(text, " \t\r\n") }

// afterComma passes what separates a member or an element from the next one, or from the closing bracket.
func afterComma(text []byte) []byte {
	text = afterSpace(text)
	if text[0] == ',' {
		text = afterSpace(text[1:])
	}
	return text
}

// unquote is the text of a JSON string: part of it when nothing is to be unescaped. As in encoding/json, what is no
// Unicode becomes U+FFFD.
func unquote(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it is a valid string
	return []byte(s)
}

// kindOf names the kind of a value, for messages.
func kindOf(value []byte) string {
	switch value[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}

func isNull(value []byte) bool { return value[0] == 'n' }

func isString(value []byte) bool { return value[0] == '"' }
