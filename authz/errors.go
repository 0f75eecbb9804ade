package authz

import "errors"

var (
	// ErrNoKey is returned by Config.Validate and NewVerifier when no key source is configured: without one no token
	// could ever be accepted.
	ErrNoKey = errors.New("no key to check tokens with: give a shared secret, a file with a public key, or a JWKS URL")

	// ErrSecret is returned by Config.Validate, NewVerifier and Sign for a shared secret that must not be used: one
	// shorter than MinSecretBytes, or one that is a PEM text.
	ErrSecret = errors.New("unusable shared secret")

	// ErrKeyFile is returned by Config.Validate and NewVerifier for a key file that cannot be read or holds anything but
	// acceptable public keys.
	ErrKeyFile = errors.New("unusable key file")

	// ErrConfig is returned by Config.Validate and NewVerifier for any other value out of its range.
	ErrConfig = errors.New("invalid token configuration")

	// ErrPattern is returned by ParsePattern, ParsePatterns and Sign for a text that is no room pattern.
	ErrPattern = errors.New("invalid room pattern")

	// ErrClaims is returned by Sign for claims that Verify would refuse.
	ErrClaims = errors.New("invalid claims")

	// ErrKeysUnavailable is returned by Verifier.Ready while the key set has not been fetched for the first time.
	ErrKeysUnavailable = errors.New("keys not available yet")

	// ErrRanBefore is returned by Verifier.Run when it is called a second time.
	ErrRanBefore = errors.New("the verifier was run before")
)
