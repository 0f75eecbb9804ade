package report_test

import (
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "go test ./loadtest/report -update writes it")
	assert.Equal(t, string(want), got)
}

// wide is a result as one of the scenario of that name would be: each run's latency and cost vary by noise, and slower makes all of them
// longer. The same seed gives the same result.
func wide(seed uint64, runs int, noise, slower float64) *report.Result {
	random := rand.New(rand.NewPCG(seed, 7))
	r := &report.Result{
		Format: report.Format, Scenario: "wide", Description: "one room with everyone in it, ten events a second",
		Target: report.Target{
			Name: "Tidings", Version: "v0.9.0", Dialect: "tidings", URLs: []string{"ws://127.0.0.1:8080/ws"}, Servers: 1,
			Settings: map[string]string{"history": "on", "nats-server": "2.15.2"},
		},
		Machine: report.Machine{
			CPU: "AMD EPYC 7763", Cores: 2, Memory: 8 << 30, Kernel: "6.1.0", System: "linux/amd64", Go: "go1.26.0", Harness: "v0.9.0", OpenFiles: 20000,
		},
		Started: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Args:    []string{"tidings", "loadtest", "run", "wide", "--clients", "10000"},
	}
	for range runs {
		r.Runs = append(r.Runs, wideRun(random, 1+slower, noise))
	}
	return r
}

func wideRun(random *rand.Rand, slower, noise float64) report.Run {
	const clients, window, rate, connect = 10000, 30, 10, 6
	vary := func(v float64) float64 { return v * (1 + noise*max(min(random.NormFloat64(), 2.5), -2.5)) }
	factor := vary(slower)
	latency, second := hdrhistogram.New(1, 60_000_000, 3), hdrhistogram.New(1, 60_000_000, 2)
	run := report.Run{
		From: connect + 5, To: connect + 5 + window, Seconds: window, Clients: clients, Rooms: 1, Rate: rate, Burst: 1, Size: 200,
	}
	for s := range connect + 5 + window {
		second.Reset()
		sample := report.Sample{T: float64(s + 1), Connected: min(clients, clients*(s+1)/connect), CPU: vary(1.6), RSS: uint64(38e6 + 1e3*float64(min(clients, clients*(s+1)/connect)))}
		if s >= connect {
			for range 1000 {
				us := int64(factor * (200 + 45000*random.Float64() + 3000*math.Exp(2*random.NormFloat64()-2)))
				_ = second.RecordValue(us)
				if s >= connect+5 {
					_ = latency.RecordValue(us)
				}
			}
			sample.Received, sample.Published, sample.CPU = vary(100_000), rate, vary(0.95*slower)
			sample.P50, sample.P99 = float64(second.ValueAtPercentile(50))/1000, float64(second.ValueAtPercentile(99))/1000
		}
		run.Samples = append(run.Samples, sample)
	}
	run.Connect = report.Connect{
		Attempted: clients, Succeeded: clients, Seconds: vary(connect),
		JoinMs: report.Summary{Count: clients, Mean: vary(40), P50: vary(38), P95: vary(80), P99: vary(110), P999: vary(140), Max: vary(150)},
	}
	run.Publish = report.Publish{Sent: rate * window, Acked: rate * window, PerSecond: rate, LateMs: report.Summary{Count: rate * window, Mean: 0.1, P50: 0.1, P95: 0.2, P99: 0.4, P999: 1, Max: 1.2}}
	run.Deliver = report.Deliver{
		Expected: rate * window * clients, Received: rate * window * clients, PerSecond: rate * clients,
		LatencyMs: report.Summarize(latency, 1000), Distribution: report.Distribute(latency),
	}
	run.CPUPerDelivery, run.ServerCPUPerDelivery, run.CPUPerJoin = factor*9.6, factor*9.3, vary(88)
	run.RSSPerConnection, run.BytesPerDelivery = vary(980), 381
	run.BytesIn = uint64(381 * rate * window * clients)
	run.HarnessBusy = 0.41
	run.Processes = []report.Process{
		{Name: "edge 1", PID: 4711, Role: report.Server, JoinCPU: 0.8, CPU: factor * 28, RSSBefore: 22 << 20, RSSJoined: 32 << 20, RSSEnd: 33 << 20, RSSSlope: 1.2e6},
		{Name: "nats-server", PID: 4700, Role: report.Broker, JoinCPU: 0.08, CPU: 0.9, RSSBefore: 18 << 20, RSSJoined: 18 << 20, RSSEnd: 19 << 20},
	}
	return run
}

// storm is a result with a fault, failures, loss and a busy harness.
func storm() *report.Result {
	r := wide(3, 1, 0.05, 0)
	r.Scenario, r.Description = "storm", "the server dies and everyone comes back"
	run := &r.Runs[0]
	run.Fault = &report.Fault{Kind: "kill", At: 21}
	random := rand.New(rand.NewPCG(9, 9))
	for i := range run.Samples {
		s := &run.Samples[i]
		switch {
		case s.T > 21 && s.T <= 25:
			s.Connected = int(10000 * min((s.T-21)/4, 0.98))
			s.Received *= (s.T - 21) / 5
			s.P50, s.P99 = s.P50*8, s.P99*30
			s.Errors = 2500 / (s.T - 20)
			s.CPU = 1.9
		case s.T > 25:
			s.P99 *= 1 + 3*math.Exp(25-s.T) + random.Float64()
		}
	}
	run.Samples[21].P50, run.Samples[21].P99, run.Samples[21].Received = 0, 0, 0
	run.Reconnect = report.Reconnect{
		Count: 9_991, NotRecovered: 3, Loops: 0, Missing: 9, Seconds: report.Summary{Count: 9_991, Mean: 1.42, P50: 1.1, P95: 3.2, P99: 4.4, P999: 6.1, Max: 6.8},
	}
	run.Connect.Failures = map[string]int{"refused": 4_120, "timeout": 17, "HTTP 503": 260}
	run.Deliver.Missing, run.Deliver.Received = 12, run.Deliver.Received-12
	run.HarnessBusy = 0.97
	run.Notes = []string{"9 clients were still waiting for their next try when the run ended"}
	return r
}
