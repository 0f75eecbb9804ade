package authz

import "time"

// Principal is whom a token speaks for. One is kept per connection, so it is small: all its texts share one allocation
// that is independent of the token. It must not be changed after Verify returned it.
type Principal struct {
	// Subject is the sub claim: 1 to MaxSubjectBytes bytes of valid UTF-8 without control characters.
	Subject string

	// Expires is the exp claim in whole seconds. It does not include the leeway; Verifier.Deadline does.
	Expires time.Time

	// Grants are the patterns of the rooms claim, in the token's order, at most MaxRooms.
	Grants []Pattern
}
