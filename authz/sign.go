package authz

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TokenClaims are the claims of a token to be signed.
type TokenClaims struct {
	Subject  string    // required, at most MaxSubjectBytes
	Rooms    []string  // patterns, at most MaxRooms
	Expires  time.Time // required; cut to whole seconds
	IssuedAt time.Time // zero: no iat claim
	Audience string    // empty: no aud claim
	Issuer   string    // empty: no iss claim
}

// Sign makes a token with HS256, for development, tests and small installations without an identity provider. What it
// signs, a Verifier with the same secret, audience and issuer accepts until it expires. The errors wrap ErrSecret,
// ErrPattern or ErrClaims.
func Sign(secret []byte, c TokenClaims) (string, error) {
	if _, err := newSecretKey(secret); err != nil {
		return "", err
	}
	if wrong := checkSubject([]byte(c.Subject)); wrong != "" {
		return "", fmt.Errorf("%w: %s", ErrClaims, wrong)
	}
	if _, err := ParsePatterns(c.Rooms); err != nil {
		return "", err
	}
	if len(c.Rooms) > MaxRooms {
		return "", fmt.Errorf("%w: %d rooms, at most %d are allowed", ErrClaims, len(c.Rooms), MaxRooms)
	}
	if exp := c.Expires.Unix(); exp <= 0 || exp > maxDate {
		return "", fmt.Errorf("%w: an expiry between 1970 and the year 9999 is required", ErrClaims)
	}
	m := jwt.MapClaims{"sub": c.Subject, "exp": c.Expires.Unix()}
	if len(c.Rooms) > 0 {
		m["rooms"] = c.Rooms
	}
	if !c.IssuedAt.IsZero() {
		m["iat"] = c.IssuedAt.Unix()
	}
	if c.Audience != "" {
		m["aud"] = c.Audience
	}
	if c.Issuer != "" {
		m["iss"] = c.Issuer
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, m).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	if len(token) > MaxTokenBytes {
		return "", fmt.Errorf("%w: the token would be %d bytes long, at most %d are accepted; grant whole kinds instead of many rooms", ErrClaims, len(token), MaxTokenBytes)
	}
	return token, nil
}
