package continuity_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	everythingArrives = profile{name: "everything arrives", steps: 200}
	liveIsLost        = profile{name: "live messages are lost and repeated", loss: 15, steps: 200}
	streamForgets     = profile{name: "the stream forgets", loss: 15, retention: true, steps: 250}
	streamGoesBack    = profile{name: "the stream goes back", loss: 15, back: true, steps: 200}
	allAtOnce         = profile{name: "all at once", loss: 20, retention: true, back: true, steps: 300}

	profiles = []profile{everythingArrives, liveIsLost, streamForgets, streamGoesBack, allAtOnce}
)

// TestRoom_ClientsMissNothingUntold plays random histories against the model: whatever is lost,
// repeated, late, stale, forgotten or rolled back, each client applies the room's events in order,
// once, and completely, or is told; and it is not told in vain.
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

// TestRoom_ClientsMissNothingUntoldBySeed is the same by seeds, many more of them and without search,
// and shows that there was something to miss.
func TestRoom_ClientsMissNothingUntoldBySeed(t *testing.T) {
	t.Parallel()
	for _, p := range profiles {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			const histories = 500
			applied, parts := 0, 0
			for seed := range uint64(histories) {
				s := run(seeded(seed), p, sabotage{})
				if s.failure != nil {
					require.NoError(t, s.failure, "seed %d\n%s", seed, strings.Join(s.trace, "\n"))
				}
				applied += s.applied
				parts += s.parts
			}
			assert.Greater(t, applied, 5*histories)
			assert.Positive(t, parts)
		})
	}
}

func seeded(seed uint64) chooser { return bySeed{rand.New(rand.NewPCG(seed, 1))} }

// TestModel_NoticesEachSabotage is the control: the same checks fail when the drive is wrong.
func TestModel_NoticesEachSabotage(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		profile profile
		wrong   sabotage
		says    string
	}{
		"audits are left out":                 {liveIsLost, sabotage{noAudit: true}, "ends at"},
		"an entry is dropped":                 {everythingArrives, sabotage{dropEmit: true}, "gets|ends at"},
		"two entries are swapped":             {liveIsLost, sabotage{swapEmit: true}, "gets"},
		"a frame is altered":                  {everythingArrives, sabotage{alterFrame: true}, "which"},
		"a replay lacks an entry":             {everythingArrives, sabotage{dropReplay: true}, "missing|told to have"},
		"a part lacks an entry":               {everythingArrives, sabotage{dropPart: true}, "missing|told to have"},
		"members are not told of a reset":     {streamForgets, sabotage{hideReset: true}, "missing|ends at|gets"},
		"refused clients hear all is well":    {streamForgets, sabotage{hideRefusal: true}, "missing|told to have"},
		"clients are given an older position": {everythingArrives, sabotage{oldPosition: true}, "applies|replay of|put back"},
		"reads are stale":                     {liveIsLost, sabotage{staleReads: true}, "in vain"},
		"the oldest is looked up too early":   {streamForgets, sabotage{earlyFirst: true}, "missing|told to have"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const histories = 20_000
			for seed := range uint64(histories) {
				if s := run(seeded(seed), c.profile, c.wrong); s.failure != nil {
					assert.Regexp(t, c.says, s.failure.Error())
					t.Logf("after %d histories: %v", seed+1, s.failure)
					return
				}
			}
			assert.Fail(t, "nothing was noticed")
		})
	}
}
