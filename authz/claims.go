package authz

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxSubjectBytes bounds the sub claim.
	MaxSubjectBytes = 256

	// MaxRooms bounds the patterns of the rooms claim.
	MaxRooms = 512

	// maxDate is the last second of the year 9999, beyond which a number is more likely milliseconds than a date.
	maxDate = 253402300799
)

// claims are the claims we use, decoded but not yet judged. The slices share the memory of the payload.
type claims struct {
	sub, iss      []byte
	aud, rooms    []byte // JSON as it came; nil when absent
	exp, nbf, iat date
}

// date is a NumericDate (RFC 7519 section 2) in whole seconds; a fraction is cut off.
type date struct {
	seconds int64
	set     bool
}

func (d date) time() time.Time { return time.Unix(d.seconds, 0) }

// parseClaims reads the payload of a token whose signature is good. Names are compared exactly: "Exp" is not exp.
func parseClaims(payload []byte) (claims, *Denial) {
	var c claims
	err := readObject(payload, func(name, value []byte) (err error) {
		switch string(name) {
		case "sub":
			c.sub, err = claimText("sub", value)
		case "iss":
			c.iss, err = claimText("iss", value)
		case "aud":
			c.aud = value
		case "rooms":
			c.rooms = value
		case "exp":
			c.exp, err = claimDate("exp", value)
		case "nbf":
			c.nbf, err = claimDate("nbf", value)
		case "iat":
			c.iat, err = claimDate("iat", value)
		}
		return err
	})
	if err != nil {
		return claims{}, asDenial("the payload", err)
	}
	return c, nil
}

// accept judges claims at the time now.
func (p parser) accept(c claims, now time.Time) (Principal, *Denial) {
	switch {
	case !c.exp.set:
		return Principal{}, deny(RuleNoExpiry, "exp is missing: a token must say when it ends")
	case c.exp.seconds == 0:
		return Principal{}, deny(RuleNoExpiry, "exp is 0: a token must say when it ends")
	case !now.Before(c.exp.time().Add(p.leeway)):
		return Principal{}, deny(RuleExpired, "the token has expired")
	case c.nbf.set && now.Before(c.nbf.time().Add(-p.leeway)):
		return Principal{}, deny(RuleNotYetValid, "nbf is in the future: the token is not valid yet")
	case c.iat.set && now.Before(c.iat.time().Add(-p.leeway)):
		return Principal{}, deny(RuleNotYetValid, "iat is in the future: check the clocks of the issuer and of this host")
	case p.issuer != "" && string(c.iss) != p.issuer:
		return Principal{}, deny(RuleIssuer, "iss is not the issuer that is trusted here")
	}
	if denial := checkAudience(c.aud, p.audience); denial != nil {
		return Principal{}, denial
	}
	if wrong := checkSubject(c.sub); wrong != "" {
		return Principal{}, deny(RuleClaims, wrong)
	}
	principal, denial := newPrincipal(c.sub, c.rooms)
	if denial != nil {
		return Principal{}, denial
	}
	principal.Expires = c.exp.time()
	return principal, nil
}

// checkAudience demands that aud, a string or a list of strings, contains the audience. An empty audience demands
// nothing.
func checkAudience(aud []byte, audience string) *Denial {
	if audience == "" {
		return nil
	}
	if aud == nil {
		return deny(RuleAudience, "aud is missing")
	}
	found := false
	each := func(value []byte) error {
		text, err := claimText("aud", value)
		found = found || string(text) == audience
		return err
	}
	var err error
	if isArray(aud) {
		err = (&cursor{data: aud}).array(1, each)
	} else {
		err = each(aud)
	}
	if err != nil {
		return asDenial("aud", err)
	}
	if !found {
		return deny(RuleAudience, "aud does not name this service: the token was made for another one")
	}
	return nil
}

// checkSubject returns what is wrong with a subject, or "".
func checkSubject(sub []byte) string {
	switch {
	case len(sub) == 0:
		return "sub is missing or empty"
	case len(sub) > MaxSubjectBytes:
		return "sub is longer than 256 bytes"
	case !utf8.Valid(sub):
		return "sub is not valid UTF-8"
	case bytes.ContainsFunc(sub, unicode.IsControl):
		return "sub has a control character"
	}
	return ""
}

// newPrincipal puts the subject and all patterns into one new string, so that a connection keeps neither the token nor
// its decoded payload alive. One bad pattern refuses the token: an issuer that writes such patterns should hear of it.
func newPrincipal(sub, rooms []byte) (Principal, *Denial) {
	var few [8][]byte
	names := few[:0]
	size := len(sub)
	if rooms != nil {
		if !isArray(rooms) {
			return Principal{}, deny(RuleClaims, "rooms is not a list")
		}
		err := (&cursor{data: rooms}).array(1, func(value []byte) error {
			if len(names) == MaxRooms {
				return deny(RuleClaims, "rooms has more than 512 entries")
			}
			name, err := claimText("rooms", value)
			if err != nil {
				return err
			}
			names = append(names, name)
			size += len(name)
			return nil
		})
		if err != nil {
			return Principal{}, asDenial("rooms", err)
		}
	}
	var b strings.Builder
	b.Grow(size)
	b.Write(sub)
	for _, name := range names {
		b.Write(name)
	}
	text := b.String()
	p := Principal{Subject: text[:len(sub)]}
	if len(names) == 0 {
		return p, nil
	}
	p.Grants = make([]Pattern, len(names))
	text = text[len(sub):]
	for i, name := range names {
		pattern, err := ParsePattern(text[:len(name)])
		if err != nil { // not passed on, because it quotes the token
			return Principal{}, deny(RuleClaims, "rooms["+strconv.Itoa(i)+"] is no room pattern such as campaign:42 or settlement:*")
		}
		p.Grants[i], text = pattern, text[len(name):]
	}
	return p, nil
}

func claimText(name string, value []byte) ([]byte, error) {
	if isString(value) {
		return unquote(value)
	}
	switch name {
	case "rooms":
		return nil, deny(RuleClaims, "rooms has an entry that is not a string")
	case "aud":
		return nil, deny(RuleClaims, "aud is neither a string nor a list of strings")
	default:
		return nil, deny(RuleClaims, name+" is not a string")
	}
}

// claimDate reads seconds since 1970. Exponents, negative numbers and years after 9999 are refused.
func claimDate(name string, value []byte) (date, error) {
	whole, fraction, _ := bytes.Cut(value, []byte("."))
	seconds, err := strconv.ParseUint(string(whole), 10, 63)
	if err != nil || seconds > maxDate || bytes.ContainsAny(fraction, "eE") {
		return date{}, deny(RuleClaims, name+" is not a plain number of seconds since 1970, before the year 10000")
	}
	return date{seconds: int64(seconds), set: true}, nil
}
