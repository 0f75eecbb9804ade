package continuity_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var profiles = []profile{
	{name: "everything arrives", steps: 200},
	{name: "live messages are lost and repeated", loss: 15, steps: 200},
	{name: "the stream forgets", loss: 15, retention: true, steps: 250},
	{name: "the stream goes back", loss: 15, back: true, steps: 200},
	{name: "all at once", loss: 20, retention: true, back: true, steps: 300},
}

// TestRoom_ClientsMissNothingUntold plays random histories against the model: whatever is lost,
// repeated, late, stale, forgotten or rolled back, each client applies the room's events in order,
// once, and completely, or is told.
func TestRoom_ClientsMissNothingUntold(t *testing.T) {
	t.Parallel()
	for _, p := range profiles {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				if s := run(byRapid{t}, p, sabotage{}); s.failure != nil {
					t.Fatalf("%v\n%s", s.failure, strings.Join(s.trace, "\n"))
				}
			})
		})
	}
}

// TestModel_SeededHistories is the same by seeds, without rapid's search, and shows that the
// histories are worth checking.
func TestModel_SeededHistories(t *testing.T) {
	t.Parallel()
	for _, p := range profiles {
		applied := 0
		for seed := range uint64(2000) {
			s := run(bySeed{rand.New(rand.NewPCG(seed, 1))}, p, sabotage{})
			if s.failure != nil {
				require.NoError(t, s.failure, "%s, seed %d\n%s", p.name, seed, strings.Join(s.trace, "\n"))
			}
			applied += s.applied
		}
		assert.Greater(t, applied, 2000*5, p.name)
	}
}
