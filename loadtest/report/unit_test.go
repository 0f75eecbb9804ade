package report_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

func TestUnit_TextHasThreeDigitsThatCount(t *testing.T) {
	for _, c := range []struct {
		unit  report.Unit
		value float64
		want  string
	}{
		{report.Seconds, 0, "0 s"},
		{report.Seconds, 0.00000026, "0.260 µs"},
		{report.Seconds, 0.0000143, "14.3 µs"},
		{report.Seconds, 0.0009999, "1.00 ms"},
		{report.Seconds, 0.1, "100 ms"},
		{report.Seconds, 1.4242, "1.42 s"},
		{report.Seconds, 119.6, "120 s"},
		{report.Seconds, 7200.4, "2h0m0s"},
		{report.Share, 1, "100 %"},
		{report.Share, 0.999999, "99.9999 %"},
		{report.Share, 0.98765, "98.8 %"},
		{report.Share, 0, "0 %"},
		{report.Share, 0.0000004, "0.00004 %"},
		{report.Bytes, 200, "200 B"},
		{report.Bytes, 1024, "1 KiB"},
		{report.Bytes, 1.5 * (1 << 30), "1.50 GiB"},
		{report.BytesPerHour, -2048, "-2 KiB/h"},
		{report.Count, 12345678, "12,345,678"},
		{report.Count, 0.5, "0.500"},
		{report.PerSecond, 99999.6, "100,000 /s"},
		{report.Processors, 1.62, "1.62 CPUs"},
	} {
		assert.Equal(t, c.want, c.unit.Text(c.value))
	}
}
