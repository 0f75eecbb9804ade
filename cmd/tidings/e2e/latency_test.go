package e2e_test

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
)

// BenchmarkPublishToReceive measures one event at a time on an otherwise idle server: from the moment a worker hands a
// plain NATS message to its client library until a WebSocket client of another process has the frame. The event is
// stored in the stream before it is delivered.
func BenchmarkPublishToReceive(b *testing.B) {
	s := serve(b)
	c := s.dial(b, b.Context(), "campaign:42")
	c.next(b, b.Context(), wire.OpJoined)
	worker, err := nats.Connect(s.natsURL())
	require.NoError(b, err)
	defer worker.Close()

	event := []byte(`{"type":"settlement_updated","data":{"id":"s-1","changes":{"population":1200}}}`)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		require.NoError(b, worker.Publish("room.campaign.42", event))
		c.next(b, b.Context(), wire.OpEvent)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	for _, p := range []struct {
		name  string
		share float64
	}{{"p50-ms", 0.50}, {"p95-ms", 0.95}, {"p99-ms", 0.99}} {
		b.ReportMetric(took[int(float64(len(took)-1)*p.share)].Seconds()*1000, p.name)
	}
}
