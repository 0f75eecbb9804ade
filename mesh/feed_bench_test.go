//go:build unix

package mesh_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
)

// BenchmarkAudit measures what it costs an edge to compare a room with the stream: processor time of this
// process, while NATS is another one. core-% is what ten thousand rooms cost with the default interval.
func BenchmarkAudit(b *testing.B) {
	const rooms = 10_000
	server := meshtest.StartProcess(b, meshtest.ProcessConfig{})
	s := sceneAt(b, &scene{url: server.URL, conn: server.Dial(b, mesh.DialConfig{})})
	f := s.follow(b, func(c *setup) { c.Audit = time.Hour })
	members := make([]*member, rooms)
	for i := range members {
		r := room(b, fmt.Sprintf("campaign:%d", i))
		_, err := s.publisher.Publish(b.Context(), r, event(b))
		require.NoError(b, err)
		members[i] = f.shards[0].ask(r, nil)
	}
	for _, m := range members {
		m.answered(b)
	}
	audited := 0
	b.ReportAllocs()
	started := processorTime(b)
	for b.Loop() {
		before := f.metric(b, "rounds_total")
		mesh.AuditNow(f.feed)
		meshtest.Eventually(b, func() bool { return f.metric(b, "rounds_total") >= before+(rooms+998)/999 }, "all rooms compared")
		audited += rooms
	}
	each := (processorTime(b) - started) / time.Duration(audited)
	b.ReportMetric(float64(each.Nanoseconds()), "cpu-ns/room")
	b.ReportMetric(100*rooms*each.Seconds()/mesh.DefaultFeedConfig().Audit.Seconds(), "core-%")
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
