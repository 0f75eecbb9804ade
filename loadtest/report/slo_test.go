package report_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

func TestSLO_TheDefaultIsWhatPeopleNotice(t *testing.T) {
	var lines []string
	for _, o := range report.DefaultSLO().Objectives {
		lines = append(lines, o.Metric.Name+" "+o.String())
	}
	assert.Equal(t, []string{
		"connections-succeeded above 99 %", "reconnect-mean below 5 s", "latency-p95 below 100 ms", "reconnect-loops 0", "missing 0", "twice 0",
	}, lines)
	assert.True(t, strings.HasPrefix(string(report.DefaultSLOSource()), "# "))
}

func TestSLO_WrongFilesAreNamedWithTheirLine(t *testing.T) {
	for text, want := range map[string]string{
		"latency-p955: below 100ms":  `x.yaml:1: unknown key "latency-p955"; did you mean latency-p95?`,
		"latency-p95: below 100":     `x.yaml:1: latency-p95: "100" has no unit; there are µs, ms, s`,
		"latency-p95: below 100 KiB": `x.yaml:1: latency-p95: "KiB" is none of the units µs, ms, s`,
		"latency-p95: under 100ms":   `x.yaml:1: latency-p95: write above, at least, below or at most and a value, or the very value: below 100ms, 0`,
		"latency-p95: below":         `x.yaml:1: latency-p95: write above`,
		"latency-p95: below much":    `x.yaml:1: latency-p95: "much" is no number`,
		"missing: below 1 ms":        `x.yaml:1: missing: "1 ms": a number without a unit is expected`,
		"missing: [0]":               `x.yaml:1: missing: expected one value`,
		"missing:":                   `x.yaml:1: missing: has no value`,
		"missing: 0\nmissing: 1":     `x.yaml:2: missing: given before, at line 1`,
		"# none":                     `x.yaml: holds no objective`,
		"- missing":                  `x.yaml:1: expected lines of the form key: value`,
		"latency-p95: below 100\nlatency-p50: under 1ms": "x.yaml:1: latency-p95: \"100\" has no unit; there are µs, ms, s\nx.yaml:2: latency-p50: ",
	} {
		_, err := report.ReadSLO("x.yaml", strings.NewReader(text))
		assert.ErrorContains(t, err, want, text)
	}
	_, err := report.LoadSLO("missing.yaml")
	assert.EqualError(t, err, "objectives: open missing.yaml: no such file or directory")
	_, err = report.ParseObjective("latency-p955 below 1ms")
	assert.EqualError(t, err, `unknown metric "latency-p955"; did you mean latency-p95?`)
}

func judge(t *testing.T, objective string, r *report.Result) report.Verdict {
	t.Helper()
	o, err := report.ParseObjective(objective)
	require.NoError(t, err)
	s := &report.SLO{Objectives: []report.Objective{o}}
	return s.Judge(r)
}

func TestSLO_EveryRunHasToMeetIt(t *testing.T) {
	r := wide(1, 3, 0, 0)
	for i, p95 := range []float64{80, 120, 90} {
		r.Runs[i].Deliver.LatencyMs.P95 = p95
	}
	v := judge(t, "latency-p95 below 100ms", r)
	assert.False(t, v.Met)
	assert.Equal(t, []report.Outcome{{
		Metric: "latency-p95", Title: "latency, p95", Objective: "below 100 ms", Measured: true, Value: 0.12, Text: "120 ms", Run: 2,
	}}, v.Lines)
	assert.Equal(t, "FAILED: 0 of 1 objective met", v.Headline())
}

func TestSLO_BoundsMeanWhatTheySay(t *testing.T) {
	r := wide(1, 1, 0, 0)
	r.Runs[0].Connect.Attempted, r.Runs[0].Connect.Succeeded = 100, 99
	r.Runs[0].Deliver.LatencyMs.P95 = 100
	r.Runs[0].Deliver.Twice = 3
	for objective, met := range map[string]bool{
		"connections-succeeded above 99%": false, "connections-succeeded at least 99%": true, "connections-succeeded above 98.9 %": true,
		"latency-p95 below 100ms": false, "latency-p95 at most 100ms": true, "latency-p95 at most 0.1s": true, "latency-p95 below 1m30s": true, "latency-p95 below 100001µs": true,
		"twice 3": true, "twice 0": false, "twice at most 2": false, "delivery-rate at least 100,000/s": true, "rss-per-connection at most 1KiB": true,
	} {
		assert.Equal(t, met, judge(t, objective, r).Met, objective)
	}
}

func TestSLO_NothingIsMetByNotBeingMeasured(t *testing.T) {
	r := wide(1, 1, 0, 0)
	v := judge(t, "reconnect-mean below 5s", r)
	assert.False(t, v.Met)
	assert.Equal(t, []string{"nothing that the objectives speak of was measured"}, v.Reasons)
	assert.False(t, v.Lines[0].Measured)

	both := report.DefaultSLO().Judge(r)
	assert.True(t, both.Met, "others were measured")
	assert.Equal(t, "PASSED: 5 of 5 objectives met, 1 not measured", both.Headline())

	r.Runs[0].Error = "the target is gone"
	early := report.DefaultSLO().Judge(r)
	assert.False(t, early.Met)
	assert.Equal(t, []string{"run 1 ended early: the target is gone"}, early.Reasons)

	nobody := &report.Result{Runs: []report.Run{{Connect: report.Connect{Attempted: 10, Failed: 10}}}}
	assert.False(t, report.DefaultSLO().Judge(nobody).Met)
}

func FuzzReadSLO(f *testing.F) {
	f.Add(string(report.DefaultSLOSource()))
	for _, text := range []string{"", "missing: at most 1,0", "latency-p95: below 1e300s", "rss-slope: above -1 KiB/h", "latency-p95: below .s", "delivered: above ,%"} {
		f.Add(text)
	}
	r := storm()
	f.Fuzz(func(t *testing.T, text string) {
		s, err := report.ReadSLO("x.yaml", strings.NewReader(text))
		if err != nil {
			return
		}
		s.Judge(r)
		for _, o := range s.Objectives {
			again, err := report.ParseObjective(o.Metric.Name + " " + o.String())
			if err != nil || again.Bound != o.Bound {
				t.Fatalf("%q is not read as it is written: %v", o.String(), err)
			}
		}
	})
}
