package mesh

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
	"github.com/tidingsmesh/tidings/subjects"
)

func TestPublisher_WithoutAConnectionSaysThatItHasNone(t *testing.T) {
	room := subjects.Room{Kind: "campaign", ID: "42"}
	for name, lost := range map[string]bool{"never had one": false, "lost it": true} {
		t.Run(name, func(t *testing.T) {
			srv, err := StartServer(within(t), ServerConfig{Dir: t.TempDir(), Listen: port.Address(t)}, quiet())
			require.NoError(t, err)
			url := srv.ClientURL()
			if !lost {
				srv.Close()
			}
			nc, err := Dial(within(t), DialConfig{URL: url})
			require.NoError(t, err)
			defer nc.Close()
			srv.Close()
			eventually(t, func() bool { return !nc.IsConnected() }, "down")

			publisher, err := NewPublisher(nc, PublisherConfig{Retry: 100 * time.Millisecond})
			require.NoError(t, err)
			_, err = publisher.PublishData(within(t), room, subjects.SettlementUpdated{ID: "17"})
			require.ErrorIs(t, err, ErrUnavailable, "it is certainly not stored")
			assert.ErrorContains(t, err, "not connected to NATS")
			assert.NotContains(t, err.Error(), "headers")
			assert.NotContains(t, err.Error(), "buffer")
		})
	}
}
