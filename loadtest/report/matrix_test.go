package report_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

var columns = []report.Column{
	{Title: "CPU per join", Scenario: "idle", Metric: "cpu-per-join", Scale: "µs", Target: 90e-6},
	{Title: "memory per idle connection", Scenario: "idle", Metric: "rss-per-connection", Scale: "KiB", Target: 1024},
	{Title: "wide, per delivery", Scenario: "wide", Metric: "cpu-per-delivery", Scale: "µs", Target: 10.5e-6},
	{Title: "lost", Scenario: "storm", Metric: "missing", Target: 0},
	{Title: "back after kill", Scenario: "storm", Metric: "all-back", Target: -1},
}

// field is what several servers took, in rounds.
func field() []*report.Result {
	var all []*report.Result
	for _, server := range []struct {
		name       string
		join, rss  float64
		wide, back float64
		lost       uint64
	}{
		{"Tidings", 86, 900, 10.9, 0.55, 0},
		{"floor", 36, 204, 8.9, 0.42, 25},
		{"Socket.IO + Redis <adapter>", 954, 12 << 10, 15.9, 8.7, 3734},
		{"nats-server | WebSocket", 1071, 39 << 10, 18.3, 0, 2889},
	} {
		for round := range 4 {
			off := 1 + 0.02*float64(round-1)
			processes := []report.Process{{Name: server.name, Role: report.Server}}
			result := func(scenario string, run report.Run) {
				run.Processes = processes
				all = append(all, &report.Result{Scenario: scenario, Target: report.Target{Name: server.name}, Runs: []report.Run{run}})
			}
			result("idle", report.Run{CPUPerJoin: server.join * off, RSSPerConnection: server.rss * off})
			result("wide", report.Run{CPUPerDelivery: server.wide * off})
			result("storm", report.Run{Deliver: report.Deliver{Expected: 1e6, Missing: server.lost}, Reconnect: report.Reconnect{AllBackSeconds: server.back * off}})
		}
	}
	return all
}

func TestMatrix_MarkdownHasMediansRangesRatiosAndTargets(t *testing.T) {
	m, err := report.NewMatrix(columns, field())
	require.NoError(t, err)
	m.Floor, m.Own = "floor", "Tidings"
	var b bytes.Buffer
	require.NoError(t, m.WriteMarkdown(&b))
	golden(t, "matrix.md", b.String())
	for line := range strings.SplitSeq(strings.TrimSpace(b.String()), "\n") {
		assert.Equal(t, len(columns)+2, strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"), line)
	}
}

func TestMatrix_WithoutFloorAndTargetsIsATable(t *testing.T) {
	m, err := report.NewMatrix(columns[:1], field()[:3])
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, m.WriteMarkdown(&b))
	assert.Equal(t, "|  | CPU per join, µs |\n| --- | --: |\n| Tidings | 84.3 |\n", b.String())
	_, err = report.NewMatrix([]report.Column{{Title: "wrong", Metric: "latency"}}, nil)
	assert.EqualError(t, err, `column "wrong": there is no metric "latency"`)
}

func TestMatrix_BarsAreWellFormedAndSayEverything(t *testing.T) {
	m, err := report.NewMatrix(columns, field())
	require.NoError(t, err)
	m.Floor, m.Own = "floor", "Tidings"
	for i, c := range columns {
		var b bytes.Buffer
		require.NoError(t, m.WriteBars(&b, c))
		svg := b.String()
		keep(t, "bars"+string(rune('0'+i))+".svg", svg)
		drawings(t, svg)
		assert.Contains(t, svg, "Redis &lt;adapter&gt;")
		assert.Equal(t, c.Target >= 0, strings.Contains(svg, "target for Tidings ≤ "), c.Title)
		assert.Equal(t, c.Metric == "all-back", !strings.Contains(svg, ">nats-server | WebSocket<"), "%s: who was not measured has no bar", c.Title)
	}
}
