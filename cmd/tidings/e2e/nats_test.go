package e2e_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

func TestServe_OutlivesItsNATS(t *testing.T) {
	nats := meshtest.StartProcess(t, meshtest.ProcessConfig{})
	nats.Kill()
	s := launch(t, "--nats", nats.URL)
	s.awaitNotReady(t, "NATS is not reachable at "+nats.URL)
	c := s.dial(t, t.Context(), "campaign:42") // which waits for its room
	c.next(t, t.Context(), wire.OpWelcome)

	nats.Restart(t)
	position := c.next(t, t.Context(), wire.OpJoined).Position.Seq
	s.awaitReady(t)
	publisher, err := mesh.NewPublisher(nats.Dial(t, mesh.DialConfig{}), mesh.PublisherConfig{})
	require.NoError(t, err)
	room := subjects.Room{Kind: "campaign", ID: "42"}

	const each = 20
	for round := range 3 {
		if round > 0 {
			nats.Kill()
			s.awaitNotReady(t, "NATS is not reachable at "+nats.URL)
			nats.Restart(t)
		}
		// Some of these are stored before the edge is back.
		for n := range each {
			ack, err := publisher.PublishData(t.Context(), room, subjects.SettlementUpdated{ID: fmt.Sprint(n)})
			require.NoError(t, err)
			frame := c.next(t, t.Context(), wire.OpEvent)
			require.Equal(t, ack.Seq, frame.Seq, "round %d, event %d", round, n)
			require.LessOrEqual(t, frame.Prev, position, "nothing is missing before it")
			position = frame.Seq
		}
		s.awaitReady(t)
	}
	assert.NotContains(t, s.log.String(), "lost continuity")
}
