package history_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/history"
)

// TestControls_EachIsCaught puts each thing that can be wrong into many runs in which nothing is, and has
// the checker name just the invariants that it breaks.
func TestControls_EachIsCaught(t *testing.T) {
	t.Parallel()
	for _, p := range []profile{troubled, forgetful, goesBack} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.steps, p.clients = 600, 15
			tried := make(map[string]int)
			const runs = 20
			for seed := range uint64(runs) {
				h, err := history.Load(simulate(seeded(seed), p).source)
				require.NoError(t, err)
				trials, err := history.Try(h, p.options(), seed)
				require.NoError(t, err)
				require.Len(t, trials, len(history.Controls()))
				for _, trial := range trials {
					if trial.Done == "" {
						assert.Equal(t, trial.Optional, trial.Caught, trial.Name)
						continue
					}
					tried[trial.Name]++
					assert.True(t, trial.Caught, "seed %d: %s (%s): the checker finds %v violated: %+v",
						seed, trial.Name, trial.Done, trial.Raised, trial.Example)
				}
			}
			for _, control := range history.Controls() {
				if !control.Optional || p.name == forgetful.name {
					assert.GreaterOrEqual(t, tried[control.Name], runs*3/4, "%s has no place in many runs", control.Name)
				}
			}
		})
	}
}

// TestControls_LeaveTheHistoryAsItIs shows that controls do not add up.
func TestControls_LeaveTheHistoryAsItIs(t *testing.T) {
	t.Parallel()
	s := simulate(seeded(1), troubled)
	h, err := history.Load(s.source)
	require.NoError(t, err)
	_, err = history.Try(h, troubled.options(), 1)
	require.NoError(t, err)
	var records []history.Record
	require.NoError(t, h.Each(func(_ string, r history.Record) error {
		records = append(records, r)
		return nil
	}))
	var written []history.Record
	require.NoError(t, s.source(func(_ string, r history.Record) error {
		written = append(written, r)
		return nil
	}))
	assert.Equal(t, written, records)
}
