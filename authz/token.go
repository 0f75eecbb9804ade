package authz

import (
	"encoding/base64"
	"errors"
	"time"
)

// MaxTokenBytes bounds the length of a token.
const MaxTokenBytes = 8 << 10

// maxHeaderTextBytes bounds alg and kid.
const maxHeaderTextBytes = 256

// header is what we use of a JOSE header. Everything else in it is ignored, above all jku, x5u, jwk and x5c, by which a
// token would bring its own key, and typ, which issuers fill in as they like.
type header struct {
	alg   string
	kid   string
	named bool // has a kid
}

// checkSignature finds a key for the header and checks with it that sig is its signature of signed.
type checkSignature func(h header, signed string, sig []byte) *Denial

// parser is the only way from the text of a token to a Principal. It holds what is demanded of every token and is safe
// for concurrent use.
type parser struct {
	audience, issuer string // empty: not checked
	leeway           time.Duration
}

func newParser(cfg Config) parser {
	return parser{audience: cfg.Audience, issuer: cfg.Issuer, leeway: cfg.Leeway}
}

// parse checks everything about a token at the time now.
func (p parser) parse(token string, now time.Time, check checkSignature) (Principal, *Denial) {
	dot1, dot2, denial := split(token)
	if denial != nil {
		return Principal{}, denial
	}
	buf := make([]byte, base64.RawURLEncoding.DecodedLen(len(token)))
	head, buf, ok := decode(buf, token[:dot1])
	if !ok {
		return Principal{}, deny(RuleMalformed, "the header is not canonical base64url")
	}
	payload, buf, ok := decode(buf, token[dot1+1:dot2])
	if !ok {
		return Principal{}, deny(RuleMalformed, "the payload is not canonical base64url")
	}
	sig, _, ok := decode(buf, token[dot2+1:])
	if !ok {
		return Principal{}, deny(RuleMalformed, "the signature is not canonical base64url")
	}
	h, denial := parseHeader(head)
	if denial != nil {
		return Principal{}, denial
	}
	if denial := check(h, token[:dot2], sig); denial != nil {
		return Principal{}, denial
	}
	c, denial := parseClaims(payload)
	if denial != nil {
		return Principal{}, denial
	}
	return p.accept(c, now)
}

// split checks size and alphabet and finds the two dots of the compact form.
func split(token string) (dot1, dot2 int, denial *Denial) {
	if len(token) > MaxTokenBytes {
		return 0, 0, deny(RuleTooLarge, "the token is longer than 8192 bytes")
	}
	if token == "" {
		return 0, 0, deny(RuleMalformed, "the token is empty")
	}
	dots := 0
	for i := range len(token) {
		switch c := token[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.':
			dots++
			dot1, dot2 = dot2, i
		default:
			return 0, 0, deny(RuleMalformed, "the token has a character outside A-Z a-z 0-9 - _ and '.'")
		}
	}
	if dots != 2 {
		return 0, 0, deny(RuleMalformed, "the token does not have three parts separated by dots")
	}
	return dot1, dot2, nil
}

// strict refuses a last character with bits that do not belong to the data, so that a token has one spelling.
var strict = base64.RawURLEncoding.Strict()

// decode decodes a segment into the front of buf and returns that part and the rest of buf.
func decode(buf []byte, segment string) (decoded, rest []byte, ok bool) {
	n, err := strict.Decode(buf, []byte(segment))
	return buf[:n:n], buf[n:], err == nil
}

// parseHeader reads the protected header. The algorithm is only known to be there, not to be a good one.
func parseHeader(data []byte) (header, *Denial) {
	var h header
	err := readObject(data, func(name, value []byte) (err error) {
		switch string(name) {
		case "alg":
			h.alg, err = headerText("alg", value)
		case "kid":
			h.named = true
			h.kid, err = headerText("kid", value)
		case "crit":
			err = deny(RuleCritical, "the header has crit, and we know no extension that it could ask for")
		}
		return err
	})
	if err != nil {
		return header{}, asDenial("the header", err)
	}
	if h.alg == "" {
		return header{}, deny(RuleAlgorithm, "the header has no alg")
	}
	return h, nil
}

func headerText(name string, value []byte) (string, error) {
	if !isString(value) {
		return "", deny(RuleMalformed, name+" in the header is not a string")
	}
	text, err := unquote(value)
	if err != nil {
		return "", err
	}
	if len(text) > maxHeaderTextBytes {
		return "", deny(RuleMalformed, name+" in the header is longer than 256 bytes")
	}
	return string(text), nil
}

// asDenial makes a Denial of what readObject returned: one from the visitor as it is, anything else as malformed JSON.
func asDenial(part string, err error) *Denial {
	if denial, ok := errors.AsType[*Denial](err); ok {
		return denial
	}
	return deny(RuleMalformed, part+" "+err.Error())
}
