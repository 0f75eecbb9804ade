package mesh_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// limitFileSize lets no file of the running process grow beyond so many bytes. It is
// what a full disk does, without a disk to fill or the rights to make one: nats-server
// treats "file too large" and "no space left on device" alike.
func limitFileSize(t testing.TB, n *meshtest.Process, size uint64) {
	t.Helper()
	limit := unix.Rlimit{Cur: size, Max: unix.RLIM_INFINITY}
	require.NoError(t, unix.Prlimit(n.PID(), unix.RLIMIT_FSIZE, &limit, nil))
}

// health is what a server says of itself, nil when all is well.
func health(t testing.TB, n *meshtest.Process) error {
	t.Helper()
	_, err := n.Get(t.Context(), "/healthz")
	return err
}

// TestStoreFull_AFullDiskNeedsARestartOfNATS shows what one nats-server really does
// when its limit is larger than its disk: it logs the write error, answers no
// publish any more, goes on serving reads, and does not try to write again before
// it is restarted. Limits that fit the disk prevent it.
func TestStoreFull_AFullDiskNeedsARestartOfNATS(t *testing.T) {
	t.Parallel()
	n := startConfig(t, "")
	nc := n.Dial(t, mesh.DialConfig{})
	cfg := mesh.DefaultStreamConfig()
	cfg.MaxBytes = 256 << 20
	meshtest.EnsureStream(t, nc, cfg)
	p := newPublisher(t, nc, mesh.PublisherConfig{Retry: 8 * time.Second}) // an ack that is late is none of a full disk
	limitFileSize(t, n, 1<<20)

	var (
		stored []string
		lost   subjects.Event
		err    error
	)
	r := room(t, "campaign:42")
	for err == nil {
		require.Less(t, len(stored), 50, "the disk is full")
		lost = sized(t, 60_000)
		if _, err = p.Publish(within(t), r, lost); err == nil {
			stored = append(stored, lost.ID)
		}
	}
	require.Contains(t, n.Log(), "critical write error")
	require.Error(t, health(t, n), "/healthz tells")
	require.ErrorIs(t, err, mesh.ErrUnknownOutcome, "nobody says why there is no ack")
	require.NotErrorIs(t, err, mesh.ErrStoreFull)
	assert.NotEmpty(t, stored)
	assert.Equal(t, stored, idsIn(t, nc, r), "whatever was acked can be read")

	limitFileSize(t, n, unix.RLIM_INFINITY)
	_, err = p.Publish(within(t), r, event(t))
	require.ErrorIs(t, err, mesh.ErrUnknownOutcome, "room alone is not enough")

	n.Stop()
	n.Restart(t)
	require.NoError(t, health(t, n))
	meshtest.Eventually(t, nc.IsConnected, "connected again")
	ack, err := p.Publish(within(t), r, lost)
	require.NoError(t, err)
	assert.False(t, ack.Duplicate)
	assert.Equal(t, append(stored, lost.ID), idsIn(t, nc, r))
}

// TestStoreFull_AFullDiskOfOneNodeIsTheOthersChance shows the same with the
// stream's leader in a cluster of three.
func TestStoreFull_AFullDiskOfOneNodeIsTheOthersChance(t *testing.T) {
	t.Parallel()
	c := meshtest.StartCluster(t, 3)
	nc := c.Dial(t, mesh.DialConfig{})
	cfg := mesh.DefaultStreamConfig()
	cfg.Replicas, cfg.MaxBytes = 3, 256<<20
	meshtest.EnsureStream(t, nc, cfg)
	p := newPublisher(t, nc, mesh.PublisherConfig{AckWait: 2 * time.Second})
	leader := c.Leader(t, nc, subjects.StreamName)
	limitFileSize(t, leader, 1<<20)
	for i := range 50 {
		_, err := p.Publish(within(t), room(t, fmt.Sprintf("campaign:%d", i)), sized(t, 60_000))
		require.NoError(t, err)
	}
	// Who is connected to the node that failed hears hardly anybody else: its answer comes first.
	elsewhere := c.Others(leader)[0].Dial(t, mesh.DialConfig{})
	assert.NotEqual(t, leader, c.Leader(t, elsewhere, subjects.StreamName))
	require.Error(t, health(t, leader))

	// That node still answers, from what it has. Nobody takes that for the state of the stream.
	for _, node := range c.Nodes {
		nc := node.Dial(t, mesh.DialConfig{})
		for range 50 {
			info, err := mesh.FetchStreamInfo(within(t), nc, subjects.StreamName)
			if err != nil {
				require.ErrorIs(t, err, mesh.ErrUnavailable)
				continue
			}
			require.Equal(t, uint64(50), info.LastSeq)
			require.NotEqual(t, leader.Name, info.Leader)
		}
	}
}
