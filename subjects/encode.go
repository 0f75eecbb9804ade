package subjects

import "strings"

// A room's id becomes one subject token: the characters A-Z a-z 0-9 _ - stand
// for themselves and every other byte is written %XX with upper-case digits. Each
// id has exactly one such token and each token one id, and no token can hold
// what NATS gives a meaning to: '.', '*', '>', '$' and white space.

const upperHex = "0123456789ABCDEF"

// safe reports whether a byte stands for itself in a token.
func safe(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// escapedLen is the length of the token for s.
func escapedLen(s string) int {
	n := len(s)
	for i := range len(s) {
		if !safe(s[i]) {
			n += 2
		}
	}
	return n
}

// escape appends the token for s.
func escape(b *strings.Builder, s string) {
	plain := 0
	for i := range len(s) {
		c := s[i]
		if safe(c) {
			continue
		}
		b.WriteString(s[plain:i])
		b.WriteByte('%')
		b.WriteByte(upperHex[c>>4])
		b.WriteByte(upperHex[c&0xf])
		plain = i + 1
	}
	b.WriteString(s[plain:])
}

// unescape is the inverse of escape and accepts nothing that escape would not
// write. It allocates only when something was encoded.
func unescape(token string) (string, bool) {
	var b strings.Builder
	plain := 0
	for i := 0; i < len(token); i++ {
		if safe(token[i]) {
			continue
		}
		if token[i] != '%' || i+2 >= len(token) {
			return "", false
		}
		high, low := token[i+1], token[i+2]
		if !isUpperHex(high) || !isUpperHex(low) {
			return "", false
		}
		c := unhex(high)<<4 | unhex(low)
		if safe(c) {
			return "", false
		}
		b.WriteString(token[plain:i])
		b.WriteByte(c)
		i += 2
		plain = i + 1
	}
	if plain == 0 {
		return token, true
	}
	b.WriteString(token[plain:])
	return b.String(), true
}

func isUpperHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

func isHex(c byte) bool { return isUpperHex(c) || 'a' <= c && c <= 'f' }

// unhex is the value of a digit that isHex accepts.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
