package upgrade

import "bytes"

// tokenBytes are the characters of an HTTP token (RFC 9110, section 5.6.2).
var tokenBytes = func() (set [256]bool) {
	for c := range set {
		set[c] = isAlphanumeric(byte(c))
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		set[c] = true
	}
	return set
}()

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isToken[T string | []byte](s T) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

// isFieldValue reports whether s may stand after the colon of a header line
// (RFC 9110, section 5.5).
func isFieldValue(s []byte) bool {
	for _, c := range s {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// equalFold compares with an ASCII string in lower case. bytes.EqualFold would
// also take letters beyond ASCII, such as the Kelvin sign for k.
func equalFold(s []byte, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i, c := range s {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func bytesEqual(s []byte, want string) bool { return string(s) == want }

// inTokenList reports whether want is in a comma-separated list of tokens by
// the comparison equal, and whether the list is well formed: no empty elements,
// and only spaces between them, because gobwas's upgrader knows no tabs there.
func inTokenList(list []byte, want string, equal func([]byte, string) bool) (found, ok bool) {
	for more := true; more; {
		var element []byte
		element, list, more = bytes.Cut(list, []byte{','})
		element = bytes.Trim(element, " ")
		if !isToken(element) {
			return false, false
		}
		found = found || equal(element, want)
	}
	return found, true
}
