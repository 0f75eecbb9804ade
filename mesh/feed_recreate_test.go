package mesh_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
)

// recreate deletes the stream and creates it anew, as an operator might.
func (s *scene) recreate(t testing.TB, cfg mesh.StreamConfig) mesh.StreamInfo {
	t.Helper()
	js, err := jetstream.New(s.conn)
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(within(t), cfg.Name))
	return meshtest.EnsureStream(t, s.conn, cfg)
}

func TestFeed_StreamIsRecreated(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		audit   time.Duration
		publish int  // events before anybody looks
		join    bool // somebody comes
	}{
		"found by an audit":                {audit: 50 * time.Millisecond},
		"found by an event":                {audit: time.Hour, publish: 1},
		"found by more events than before": {audit: time.Hour, publish: 50},
		"found by a join":                  {audit: time.Hour, join: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			f := s.follow(t, func(f *setup) { f.Audit = c.audit })
			m := f.join(t, room(t, "campaign:1"), nil)
			empty := *m.at()
			sent := placesOf(s.publish(t, m.room, 5))
			m.wants(t, sent)
			old := *m.at()

			info := s.recreate(t, mesh.DefaultStreamConfig())
			require.NotEqual(t, old.Epoch, info.Epoch)
			s.publish(t, m.room, c.publish)
			if c.join {
				f.join(t, room(t, "campaign:other"), nil)
			}
			meshtest.Eventually(t, func() bool { return len(m.told()) > 0 }, "members are told")
			assert.Equal(t, continuity.ReasonEpoch, m.told()[0])
			meshtest.Eventually(t, func() bool { return m.at().Epoch == info.Epoch }, "and stand in the new epoch")
			f.settle(t)

			seen := len(m.places())
			live := placesOf(s.publish(t, m.room, 3))
			meshtest.Eventually(t, func() bool { return len(m.places()) >= seen+3 }, "new events flow")
			assert.Equal(t, live, m.places()[seen:])
			assert.Equal(t, continuity.ReasonEpoch, f.join(t, m.room, &empty).last().Reason, "though it names no event")
			refused := f.join(t, m.room, &old)
			assert.Equal(t, continuity.ReasonEpoch, refused.last().Reason)
			assert.Equal(t, info.Epoch, refused.last().Position.Epoch)
			again := f.join(t, m.room, m.at())
			assert.Empty(t, again.last().Reason, "the new position is good")
			sent = placesOf(s.publish(t, m.room, 1))
			again.wants(t, sent)
			refused.wants(t, sent)
			assert.Equal(t, []continuity.Reason{continuity.ReasonEpoch}, m.told(), "once")
		})
	}
}
