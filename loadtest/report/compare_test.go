package report_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

// costs is a result whose runs differ in one cost only.
func costs(us ...float64) *report.Result {
	r := &report.Result{Scenario: "wide", Target: report.Target{Name: "Tidings"}}
	for _, v := range us {
		r.Runs = append(r.Runs, report.Run{Clients: 10, Rooms: 1, CPUPerDelivery: v, Processes: make([]report.Process, 1)})
	}
	return r
}

func change(t *testing.T, c *report.Comparison, metric string) report.Change {
	t.Helper()
	for _, change := range c.Changes {
		if change.Name == metric {
			return change
		}
	}
	t.Fatalf("%s was not compared", metric)
	return report.Change{}
}

func TestCompare_TellsChangeFromNoise(t *testing.T) {
	for name, c := range map[string]struct {
		before, after []float64
		want          report.Judgement
	}{
		"the same":                       {[]float64{10, 10.2, 10.1}, []float64{10.1, 10, 10.2}, report.NoChange},
		"ranges overlap":                 {[]float64{10, 11, 12, 10, 11}, []float64{12, 14, 15, 16, 17}, report.NoChange},
		"apart, five runs":               {[]float64{10, 11, 12, 10, 11}, []float64{12.1, 14, 15, 16, 17}, report.Worse},
		"apart, better":                  {[]float64{12.1, 14, 15, 16, 17}, []float64{10, 11, 12, 10, 11}, report.Better},
		"apart, but too little":          {[]float64{10, 10.01, 10, 10.01, 10}, []float64{10.2, 10.21, 10.2, 10.21, 10.2}, report.NoChange},
		"three runs, hardly apart":       {[]float64{10, 11, 12}, []float64{12.5, 13, 14}, report.NoChange},
		"three runs, clearly apart":      {[]float64{10, 11, 12}, []float64{13.1, 14, 15}, report.Worse},
		"four runs, half the wider":      {[]float64{10, 10, 10, 10}, []float64{10.9, 12, 12, 12.9}, report.NoChange},
		"one run each":                   {[]float64{10}, []float64{20}, report.Unknown},
		"two runs each":                  {[]float64{10, 10}, []float64{20, 20}, report.Unknown},
		"few runs on one side":           {[]float64{10, 10, 10, 10, 10}, []float64{20, 20}, report.Unknown},
		"no noise at all, and no change": {[]float64{10, 10, 10}, []float64{10, 10, 10}, report.NoChange},
	} {
		got, err := report.Compare(costs(c.before...), costs(c.after...))
		require.NoError(t, err, name)
		assert.Equal(t, c.want, change(t, got, "cpu-per-delivery").Judgement, name)
		assert.Equal(t, c.want == report.Worse, got.Has(report.Worse), name)
	}
}

// noisy is a result whose costs, latencies and join times vary each by its own noise; slower makes latency and CPU that much more.
func noisy(seed uint64, runs int, noise, slower float64) *report.Result {
	random := rand.New(rand.NewPCG(seed, 1))
	vary := func(v float64) float64 { return v * (1 + noise*random.NormFloat64()) }
	r := &report.Result{Scenario: "wide"}
	for range runs {
		latency := vary(25 * (1 + slower))
		run := report.Run{CPUPerDelivery: vary(10 * (1 + slower)), CPUPerJoin: vary(90), RSSPerConnection: vary(900), BytesPerDelivery: 381, Processes: make([]report.Process, 1)}
		run.Deliver = report.Deliver{Expected: 1000, Received: 1000, LatencyMs: report.Summary{Count: 1000, Mean: latency, P50: latency, P95: vary(2 * latency), P99: vary(3 * latency), Max: vary(100)}}
		run.Connect = report.Connect{Attempted: 10, Succeeded: 10, Seconds: vary(6), JoinMs: report.Summary{Count: 10, P50: vary(40), P99: vary(90)}}
		r.Runs = append(r.Runs, run)
	}
	return r
}

func TestCompare_FindsNothingInNoiseAndEverythingBeyondIt(t *testing.T) {
	const trials = 400
	for _, runs := range []int{3, 5} {
		alarms, metrics, found := 0, 0, 0 // of metrics that vary
		for seed := range uint64(trials) {
			before := noisy(1000+seed, runs, 0.03, 0)
			same, err := report.Compare(before, noisy(2000+seed, runs, 0.03, 0))
			require.NoError(t, err)
			for _, c := range same.Changes {
				if c.Before.Min < c.Before.Max {
					metrics++
				}
				if c.Judgement != report.NoChange {
					alarms++
				}
			}
			slower, err := report.Compare(before, noisy(3000+seed, runs, 0.03, 0.3))
			require.NoError(t, err)
			if change(t, slower, "latency-p50").Judgement == report.Worse && change(t, slower, "cpu-per-delivery").Judgement == report.Worse {
				found++
			}
		}
		assert.LessOrEqual(t, float64(alarms)/float64(metrics), 0.03, "%d runs: of %d metrics without a change", runs, metrics)
		assert.GreaterOrEqual(t, found, trials*95/100, "%d runs: changes of 30 %% under noise of 3 %%", runs)
	}
}

func TestCompare_LossWhereThereWasNoneIsWorseWithOneRunToo(t *testing.T) {
	before, after := wide(1, 1, 0, 0), wide(2, 1, 0, 0)
	after.Runs[0].Deliver.Missing = 1
	c, err := report.Compare(before, after)
	require.NoError(t, err)
	assert.Equal(t, report.Worse, change(t, c, "missing").Judgement)
	assert.Equal(t, "worse: missing\nfor lack of runs nothing can be said of 21 metrics", c.Headline())

	before, after = wide(1, 3, 0, 0), wide(2, 3, 0, 0)
	after.Runs[1].Deliver.Missing = 1
	c, err = report.Compare(before, after)
	require.NoError(t, err)
	assert.Equal(t, report.Worse, change(t, c, "missing").Judgement, "the ranges overlap, and still")
	c, err = report.Compare(after, before)
	require.NoError(t, err)
	assert.Equal(t, report.NoChange, change(t, c, "missing").Judgement, "that it did not happen again proves nothing")
}

func TestCompare_MoreIsBetterWhereItIs(t *testing.T) {
	before, after := wide(1, 5, 0, 0), wide(2, 5, 0, 0)
	for i := range after.Runs {
		after.Runs[i].Deliver.PerSecond /= 2
	}
	c, err := report.Compare(before, after)
	require.NoError(t, err)
	assert.Equal(t, report.Worse, change(t, c, "delivery-rate").Judgement)
}

func TestCompare_RefusesWhatCannotBeCompared(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*report.Result)
		want   string
	}{
		"scenario": {func(r *report.Result) { r.Scenario = "narrow" }, `compare: the scenarios are "wide" and "narrow"; measure both with the same`},
		"size":     {func(r *report.Result) { r.Runs[0].Size = 1024 }, `compare: one side has events of 200 B, the other of 1 KiB; measure both with the same`},
		"burst":    {func(r *report.Result) { r.Runs[0].Burst = 10 }, `compare: one side has bursts of 1, the other of 10; measure both with the same`},
		"no run":   {func(r *report.Result) { r.Runs = nil }, `compare: a result without runs`},
		"nothing": {func(r *report.Result) {
			r.Runs = []report.Run{{Burst: 1, Size: 200, Clients: 10000, Rooms: 1, Rate: 10}}
		}, `compare: nothing was measured on both sides`},
	} {
		r := wide(2, 3, 0.05, 0)
		c.change(r)
		_, err := report.Compare(wide(1, 3, 0.05, 0), r)
		assert.EqualError(t, err, c.want, name)
	}
}

func TestCompare_OfDifferentSizesIsAboutCostsOfOneThing(t *testing.T) {
	small := wide(2, 3, 0.01, 0)
	for i := range small.Runs {
		small.Runs[i].Clients = 1000
	}
	small.Target.Name, small.Machine.Cores = "floor", 4
	c, err := report.Compare(small, wide(1, 3, 0.01, 0))
	require.NoError(t, err)
	for _, change := range c.Changes {
		assert.True(t, change.Metric.PerUnit, change.Name)
	}
	assert.Contains(t, c.Notes, "the sides have 1,000 and 10,000 clients: only costs of one thing are compared")
	assert.Contains(t, c.Notes, "the targets are floor and Tidings")
	assert.Contains(t, c.Notes, "the machines differ; a change may be theirs")
}
