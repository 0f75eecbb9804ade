package demo

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/subjects"
	"github.com/tidingsmesh/tidings/subjects/schema"
)

// fields is a copy of what a value holds now.
func fields(t *testing.T, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(text, &m))
	return m
}

func TestWorld_EventsTellWhatChanged(t *testing.T) {
	registry, err := schema.Load("")
	require.NoError(t, err)
	w := newWorld()
	seen := map[string]int{}
	for range 3000 {
		change := w.pass()
		e, err := subjects.NewEvent(change)
		require.NoError(t, err)
		require.NoError(t, registry.Check(e))
		seen[e.Type]++
		now := w.snapshot()
		switch told := change.(type) {
		case subjects.SettlementUpdated:
			s := now.settlement(told.ID)
			require.NotNil(t, s)
			assert.EqualValues(t, s.Version, told.Version)
			assert.Equal(t, map[string]any{"population": s.Population, "prosperity": s.Prosperity, "mood": s.Mood}, told.Changes)
			require.True(t, s.Prosperity >= 0 && s.Prosperity <= 100 && s.Population >= leastPeople)
			assert.Equal(t, campaignID, told.CampaignID)
		case subjects.StructureUpdated:
			b := now.structure(told.ID)
			require.NotNil(t, b)
			assert.EqualValues(t, b.Version, told.Version)
			assert.Equal(t, map[string]any{"level": b.Level, "condition": b.Condition}, told.Changes)
			require.True(t, b.Level >= 1 && b.Level <= maxLevel && b.Condition >= 0 && b.Condition <= maxCondition)
			assert.Contains(t, now.settlement(told.SettlementID).Structures, b)
		case subjects.EntityUpdated:
			p := now.campaign.Party
			assert.Equal(t, "Party", told.EntityType)
			assert.EqualValues(t, p.ID, told.ID)
			assert.EqualValues(t, p.Version, told.Version)
			assert.Equal(t, map[string]any{"place": p.Place, "gold": p.Gold}, told.Changes)
		case subjects.StateInvalidated:
			assert.Equal(t, []string{"Chronicle"}, told.Queries)
			assert.LessOrEqual(t, len(now.chronicle), keptEntries)
		default:
			require.Fail(t, "unknown change", "%v", fields(t, told))
		}
	}
	assert.Len(t, seen, 4, "%v", seen)
}

func TestWorld_ASnapshotStaysAsItIs(t *testing.T) {
	w := newWorld()
	before := w.snapshot()
	text := fields(t, before.settlements[0])
	party := fields(t, before.campaign)
	for range 200 {
		w.pass()
	}
	assert.Equal(t, text, fields(t, before.settlements[0]))
	assert.Equal(t, party, fields(t, before.campaign))
	assert.Len(t, before.chronicle, 1)
	assert.NotEqual(t, party, fields(t, w.snapshot().campaign), "the party has moved meanwhile")
}

func TestWorld_ItsClockGoesAtItsRateAndStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		start := w.snapshot().campaign.WorldTime.Time
		wait := func() { <-time.After(10 * time.Second) }
		for _, step := range []struct {
			rate float64
			want time.Duration // passed since the start, when the rate is set
		}{
			{60, 0}, {3600, 10 * time.Minute}, {0, 10*time.Minute + 10*time.Hour}, {60, 10*time.Minute + 10*time.Hour},
		} {
			told, ok := w.setRate(step.rate).(subjects.WorldTimeChanged)
			require.True(t, ok)
			assert.Equal(t, start.Add(step.want), told.WorldTime)
			assert.InDelta(t, step.rate, told.Rate, 0)
			assert.Equal(t, time.Now().UTC(), told.At)
			wait()
		}
	})
}
