package mesh_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// patience bounds what a test waits for in one step.
const patience = 60 * time.Second

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// startRooms runs an embedded server with the stream of rooms.
func startRooms(t testing.TB) *meshtest.NATS {
	t.Helper()
	n := meshtest.Start(t)
	n.Stream(t, mesh.DefaultStreamConfig())
	return n
}

// newPublisher is one that takes nothing for lost that is only late, unless cfg says how long it waits:
// an attempt too many is answered as a duplicate, and asks edges to look.
func newPublisher(t testing.TB, nc *nats.Conn, cfg mesh.PublisherConfig) *mesh.Publisher {
	t.Helper()
	if cfg.AckWait == 0 {
		cfg.AckWait = mesh.MaxRetry
	}
	p, err := mesh.NewPublisher(nc, cfg)
	require.NoError(t, err)
	return p
}

// lastSeq is the sequence of the newest event of any room.
func lastSeq(t testing.TB, nc *nats.Conn) uint64 {
	t.Helper()
	info, err := mesh.FetchStreamInfo(within(t), nc, subjects.StreamName)
	require.NoError(t, err)
	return info.LastSeq
}

// history is what the stream holds of a room, oldest first.
func history(t testing.TB, nc *nats.Conn, r subjects.Room) []mesh.Stored {
	t.Helper()
	var all []mesh.Stored
	for from := uint64(1); ; {
		page, err := mesh.Batch(within(t), nc, r.Subject(), from, 256)
		require.NoError(t, err)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		from = page[len(page)-1].Seq + 1
	}
}

// decode reads a stored message as the event that it is.
func decode(t testing.TB, m mesh.Stored) subjects.Event {
	t.Helper()
	e, err := subjects.DecodeEvent(m.Header, m.Data, subjects.Meta{Seq: m.Seq, Time: m.Time})
	require.NoError(t, err)
	return e
}

// idsIn are the ids of the events that the stream holds of a room, oldest first.
func idsIn(t testing.TB, nc *nats.Conn, r subjects.Room) []string {
	t.Helper()
	var ids []string
	for _, m := range history(t, nc, r) {
		ids = append(ids, decode(t, m).ID)
	}
	return ids
}
