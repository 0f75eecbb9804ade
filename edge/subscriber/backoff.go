package subscriber

import (
	"math/rand/v2"
	"time"
)

// backoff spaces attempts: each waits a random time up to a bound that doubles, so that many clients that lost the same
// server do not come back at the same moment. The first comes within a second.
type backoff struct{ attempts int }

// Bounds of the random waits: 1, 2, 4 … 32 s.
const (
	backoffFirst    = time.Second
	backoffDoubling = 5
)

// bound is the longest that the next wait can be.
func (b *backoff) bound() time.Duration { return backoffFirst << min(b.attempts, backoffDoubling) }

// next is how long to wait now.
func (b *backoff) next() time.Duration {
	d := rand.N(b.bound()) //nolint:gosec // spreads load, hides nothing
	b.attempts++
	return d
}

func (b *backoff) reset() { b.attempts = 0 }

// soon is the wait of a first attempt.
func soon() time.Duration { return new(backoff).next() }
