package subjects

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote is the text of a string that the scanner passed, quotes included. It
// is false for a surrogate that has no partner: JSON's grammar allows it, but no
// UTF-8 text can hold it.
func unquote(quoted []byte, escaped bool) (string, bool) {
	raw := quoted[1 : len(quoted)-1]
	if !escaped {
		return string(raw), true
	}
	text := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			text = append(text, raw[i])
			continue
		}
		i++
		switch raw[i] {
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		case 'u':
			r := codeUnit(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				if !bytes.HasPrefix(raw[i+1:], []byte(`\u`)) {
					return "", false
				}
				r = utf16.DecodeRune(r, codeUnit(raw[i+3:]))
				if r == utf8.RuneError {
					return "", false
				}
				i += 6
			}
			text = utf8.AppendRune(text, r)
		default:
			text = append(text, raw[i])
		}
	}
	return string(text), true
}

// codeUnit reads the four hexadecimal digits of a \u escape.
func codeUnit(digits []byte) rune {
	n, _ := strconv.ParseUint(string(digits[:4]), 16, 16) // the scanner saw four digits
	return rune(n)
}

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD; nothing
// is escaped that JSON does not ask for.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	plain := 0
	for i := 0; i < len(s); {
		c := s[i]
		if ' ' <= c && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size != 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[plain:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c < ' ':
			dst = append(dst, `\u00`...)
			dst = append(dst, upperHex[c>>4], upperHex[c&0xf])
		default:
			dst = append(dst, "\uFFFD"...)
		}
		i += size
		plain = i
	}
	dst = append(dst, s[plain:]...)
	return append(dst, '"')
}
