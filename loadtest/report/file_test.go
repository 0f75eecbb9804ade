package report_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

func TestFile_IsReadAsItWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "storm.json")
	want := storm()
	require.NoError(t, report.Save(path, want.Write))
	got, err := report.Load(path)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, name := range []string{`"cpu_per_delivery_us"`, `"latency_ms"`, `"all_back_seconds"`, `"rss_slope_bytes_per_hour"`, `"down_seconds"`} {
		assert.Contains(t, string(text), name)
	}
}

func TestFile_WhatIsNoResultIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                        `result x.json: not the JSON of a load test: unexpected end of JSON input`,
		"<html>":                  `result x.json: not the JSON of a load test: invalid character`,
		`{"checks": []}`:          `result x.json: not the JSON of a load test: it has no format`,
		`{"format": 2}`:           `result x.json: format 2, this version reads 1; measure again, or use the version that wrote it`,
		`{"format": 1}`:           `result x.json: holds no run`,
		`{"format":1,"runs":[7]}`: `result x.json: json: cannot unmarshal number`,
	} {
		_, err := report.Read("x.json", strings.NewReader(text))
		assert.ErrorContains(t, err, want)
	}
	_, err := report.Load("missing.json")
	assert.EqualError(t, err, "result: open missing.json: no such file or directory")
	err = report.Save(t.TempDir(), storm().Write)
	assert.ErrorContains(t, err, "is a directory")
}

func TestSummarize_IsInTheUnitAskedFor(t *testing.T) {
	h := hdrhistogram.New(1, 60_000_000, 3)
	for us := range int64(10_000) {
		require.NoError(t, h.RecordValue(us+1))
	}
	s := report.Summarize(h, 1000)
	assert.Equal(t, uint64(10_000), s.Count)
	for want, got := range map[float64]float64{5: s.P50, 9.5: s.P95, 9.9: s.P99, 9.99: s.P999, 10: s.Max} {
		assert.InEpsilon(t, want, got, 0.002)
	}
	assert.InEpsilon(t, 5, s.Mean, 0.002)
	assert.Zero(t, report.Summarize(nil, 1))
	assert.Zero(t, report.Summarize(hdrhistogram.New(1, 100, 1), 1))

	all := report.Distribute(h)
	assert.Equal(t, report.Percentile{Percentile: 100, Ms: s.Max}, all[len(all)-1])
	assert.Zero(t, all[0].Percentile)
	for i := range all[1:] {
		assert.Greater(t, all[i+1].Percentile, all[i].Percentile)
		assert.GreaterOrEqual(t, all[i+1].Ms, all[i].Ms)
	}
	assert.Greater(t, all[len(all)-2].Percentile, 99.9)
	assert.Nil(t, report.Distribute(nil))
}

// FuzzRead makes sure that what can be read can be shown and judged, however strange it is.
func FuzzRead(f *testing.F) {
	for _, r := range []*report.Result{storm(), wide(1, 2, 0.1, 0)} {
		for i := range r.Runs {
			r.Runs[i].Samples = r.Runs[i].Samples[:3]
			r.Runs[i].Deliver.Distribution = r.Runs[i].Deliver.Distribution[:3]
		}
		var b bytes.Buffer
		require.NoError(f, r.Write(&b))
		f.Add(b.Bytes())
	}
	for _, text := range []string{
		`{"format":1,"runs":[{"samples":[{"t":1e300,"p50_ms":1e-320,"p99_ms":1e300}],"deliver":{"distribution":[{"percentile":200,"ms":1}]}}]}`,
		`{"format":1,"runs":[{"samples":[{"t":-5,"rss_bytes":18446744073709551615,"cpu":-1}],"processes":[{}],"seconds":1e9}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := report.Read("x.json", bytes.NewReader(text))
		if err != nil {
			return
		}
		v := report.DefaultSLO().Judge(r)
		if err := r.WriteText(io.Discard, &v); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteHTML(io.Discard, &v); err != nil {
			t.Fatal(err)
		}
		if c, err := report.Compare(r, r); err == nil {
			if err := c.WriteText(io.Discard); err != nil {
				t.Fatal(err)
			}
		}
	})
}
