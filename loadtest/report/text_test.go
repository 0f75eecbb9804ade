package report_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

func TestText_OfOneRunWithLossAndABusyHarness(t *testing.T) {
	r := storm()
	v := report.DefaultSLO().Judge(r)
	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b, &v))
	golden(t, "storm.txt", b.String())
}

func TestText_OfSeveralRunsHasRanges(t *testing.T) {
	r := wide(1, 3, 0.05, 0)
	v := report.DefaultSLO().Judge(r)
	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b, &v))
	golden(t, "wide.txt", b.String())
}

func TestText_OfARunThatCouldNotBegin(t *testing.T) {
	r := &report.Result{
		Scenario: "wide", Target: report.Target{Name: "Tidings", URLs: []string{"ws://127.0.0.1:1/ws"}},
		Runs: []report.Run{{Clients: 100, Rooms: 1, Rate: 10, Size: 200, Error: "no client got in", Connect: report.Connect{Attempted: 100, Failed: 100, Failures: map[string]int{"refused": 100}}}},
	}
	v := report.DefaultSLO().Judge(r)
	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b, &v))
	golden(t, "refused.txt", b.String())
}

func TestText_OfAComparison(t *testing.T) {
	c, err := report.Compare(wide(1, 5, 0.02, 0), wide(2, 5, 0.02, 0.4))
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, c.WriteText(&b))
	golden(t, "compare.txt", b.String())
}
