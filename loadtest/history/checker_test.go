package history_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidingsmesh/tidings/loadtest/history"
)

// TestCheck_AcceptsWhatKeepsThePromise plays random runs in which everything keeps to the protocol.
func TestCheck_AcceptsWhatKeepsThePromise(t *testing.T) {
	t.Parallel()
	for _, p := range profiles {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				s := simulate(byRapid{t}, p)
				report, err := history.Check(s.source, p.options())
				if err != nil {
					t.Fatal(err)
				}
				if v := report.Verdict(); v == history.Violated {
					t.Fatal(text(report))
				}
			})
		})
	}
}

// TestCheck_AcceptsManyRuns is the same by seeds, and shows that there was something to judge.
func TestCheck_AcceptsManyRuns(t *testing.T) {
	t.Parallel()
	for _, p := range profiles {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			var moves, gaps, duplicates, returns, resets, lost, told int
			for seed := range uint64(100) {
				report := check(t, simulate(seeded(seed), p).source, p.options())
				require.Equal(t, history.Holds, report.Verdict(), "seed %d\n%s", seed, text(report))
				moves += report.Moves
				gaps += report.Gaps
				duplicates += report.Duplicates
				returns += report.Reconnection.Steady.Count
				lost += report.NATS.Delivered
				told += report.Told
				for _, r := range report.Resets {
					resets += r.Count
				}
			}
			t.Log(moves, gaps, duplicates, returns, resets, lost, told)
			assert.Greater(t, moves, 50)
			assert.Greater(t, duplicates, 20)
			if p.faults {
				assert.Greater(t, gaps, 20)
				assert.Greater(t, returns, 50)
			}
			if p.keeps < 10 {
				assert.Greater(t, resets, 20)
				assert.Greater(t, told, 20)
			}
			if p.back {
				assert.Greater(t, lost, 10)
			}
		})
	}
}

func text(r *history.Report) string {
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		return fmt.Sprint(err)
	}
	return b.String()
}
