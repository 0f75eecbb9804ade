package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

// pages is a folder for the pages of these tests, for a look at them in a browser.
var pages = flag.String("pages", "", "write the pages of the examples to this folder")

func html(t *testing.T, r *report.Result, v *report.Verdict) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.WriteHTML(&b, v))
	return b.String()
}

// has is assert.Contains without the whole page in its message.
func has(t *testing.T, page, want string) {
	t.Helper()
	if !strings.Contains(page, want) {
		t.Errorf("the page does not have %q", want)
	}
}

func hasNot(t *testing.T, page, never string) {
	t.Helper()
	if strings.Contains(page, never) {
		t.Errorf("the page has %q", never)
	}
}

func keep(t *testing.T, name, text string) {
	t.Helper()
	if *pages != "" {
		require.NoError(t, os.WriteFile(filepath.Join(*pages, name), []byte(text), 0o600))
	}
}

func TestPage_HasTheVerdictFirstAndEverythingThatWasMeasured(t *testing.T) {
	r := storm()
	v := report.DefaultSLO().Judge(r)
	page := html(t, r, &v)
	keep(t, "storm.html", page)
	last := -1
	for _, want := range []string{
		"the server dies and everyone comes back", "FAILED: 5 of 6 objectives met", "not met", "the harness was busy 97 %", "99.9996", "12 missing, 0 twice, 3 told of a loss",
		"Latency by percentile", ">99.9<", "Clients connected", ">kill<", "Failed tries", "Memory of the target", "4,120", "HTTP 503", "edge 1", "nats-server", "All numbers", "AMD EPYC 7763",
		"tidings loadtest run wide --clients 10000",
	} {
		at := strings.Index(page[last+1:], want)
		require.GreaterOrEqual(t, at, 0, "%q is not there, or not in its place", want)
		last += 1 + at
	}
}

func TestPage_OfSeveralRunsOpensTheTypicalOne(t *testing.T) {
	r := wide(1, 3, 0.05, 0)
	for i, p95 := range []float64{50, 49, 48} {
		r.Runs[i].Deliver.LatencyMs.P95 = p95
	}
	v := report.DefaultSLO().Judge(r)
	page := html(t, r, &v)
	keep(t, "wide.html", page)
	assert.Equal(t, 1, strings.Count(page, "<details open>"))
	has(t, page, "<details open>\n<summary>Run 2 of 3, the typical one</summary>")
	has(t, page, "the other runs")
}

func TestPage_WithLittleMeasuredIsAPage(t *testing.T) {
	for name, r := range map[string]*report.Result{
		"nothing":      {Scenario: "wide"},
		"an early end": {Scenario: "wide", Runs: []report.Run{{Clients: 5, Error: "connect: connection refused", Connect: report.Connect{Attempted: 5, Failed: 5, Failures: map[string]int{"refused": 5}}}}},
		"one sample":   {Scenario: "wide", Runs: []report.Run{{Samples: []report.Sample{{T: 1, Connected: 1, Received: 2, P50: 3, P99: 3}}}}},
	} {
		page := html(t, r, nil)
		has(t, page, "All numbers")
		if name == "an early end" {
			has(t, page, "ended early: connect: connection refused")
			hasNot(t, page, "No objectives were set")
		}
		drawings(t, page)
	}
}

func TestPage_AsksForNothingAndTakesNoOrders(t *testing.T) {
	const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(2)></title></svg></style>{{.}} &amp; </table>`
	r := storm()
	r.Scenario, r.Description, r.Args = hostile, hostile, []string{hostile}
	r.Target = report.Target{Name: hostile, Version: hostile, Dialect: hostile, URLs: []string{"javascript:" + hostile}, Settings: map[string]string{hostile: hostile}}
	r.Machine.CPU, r.Machine.Go = hostile, hostile
	run := &r.Runs[0]
	run.Connect.Failures = map[string]int{hostile: 1}
	run.Publish.Failures = map[string]int{hostile: 1}
	run.Processes[0].Name, run.Processes[0].Role = hostile, hostile
	run.Notes, run.Error, run.Fault.Kind = []string{hostile}, hostile, hostile
	v := report.Verdict{SLO: hostile, Reasons: []string{hostile}, Lines: []report.Outcome{{Title: hostile, Objective: hostile, Measured: true, Text: hostile}}}
	page := html(t, r, &v)

	known := map[string]bool{}
	for _, tag := range regexp.MustCompile(`<(/?[a-zA-Z!][a-zA-Z0-9]*)`).FindAllStringSubmatch(html(t, storm(), nil), -1) {
		known[tag[1]] = true
	}
	for _, tag := range regexp.MustCompile(`<(/?[a-zA-Z!][a-zA-Z0-9]*)([^>]*)`).FindAllStringSubmatch(page, -1) {
		name := strings.TrimPrefix(tag[1], "/")
		assert.True(t, known[name] || name == "strong" || name == "ul" || name == "li" || name == "span", "the page has a tag %q that it should not have", tag[0])
		assert.NotRegexp(t, `(?i)\s(on[a-z]+|src|href|style)\s*=`, tag[2])
	}
	for _, never := range []string{"<script", "@import", "url("} {
		hasNot(t, page, never)
	}
	has(t, page, "&lt;script&gt;alert(1)")
	has(t, page, `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`)
	drawings(t, page)
}

func TestPage_LongRunsHaveNoMorePointsThanCanBeSeen(t *testing.T) {
	r := wide(1, 1, 0.05, 0)
	run := &r.Runs[0]
	short := len(html(t, r, nil))
	for i := range 7200 {
		s := run.Samples[20+i%10]
		s.T = float64(i)
		run.Samples = append(run.Samples, s)
	}
	run.Samples[5000].P99 = 4321
	page := html(t, r, nil)
	assert.Less(t, len(page), 8*short)
	has(t, page, "p99 4.32 s") // the highest of the samples put together
	has(t, page, ">1:45 h<")
}

// drawings checks that each SVG of a page is well-formed XML with numbers for coordinates.
func drawings(t *testing.T, page string) {
	t.Helper()
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
		assert.False(t, regexp.MustCompile(`NaN|Inf|%!|ZgotmplZ`).MatchString(svg), "coordinates are numbers")
		wellFormed(t, svg)
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			require.NoError(t, err)
		}
	}
}
