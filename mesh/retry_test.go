package mesh_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// hasty repeats what is not acked within a moment.
func hasty() mesh.PublisherConfig {
	return mesh.PublisherConfig{AckWait: 200 * time.Millisecond, Retry: mesh.MaxRetry}
}

// brief also gives up soon.
func brief() mesh.PublisherConfig {
	return mesh.PublisherConfig{AckWait: 300 * time.Millisecond, Retry: 1200 * time.Millisecond}
}

// outcome is how a publish in another goroutine ends.
type outcome struct {
	ack mesh.Ack
	err error
}

// later publishes in another goroutine, which ends with the test at the latest.
func later(t testing.TB, p *mesh.Publisher, r subjects.Room, e subjects.Event) <-chan outcome {
	t.Helper()
	done := make(chan outcome, 1)
	ctx := within(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		ack, err := p.Publish(ctx, r, e)
		done <- outcome{ack, err}
	})
	t.Cleanup(wg.Wait)
	return done
}

func TestPublisher_RetryAfterALostAckStoresOnce(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	watcher := n.Conn(t)
	nudges, err := watcher.SubscribeSync(subjects.NudgeWildcard)
	require.NoError(t, err)
	require.NoError(t, watcher.Flush())
	w := newWire(t, n.URL)
	p := newPublisher(t, w.dial(t), hasty())
	r := room(t, "campaign:42")
	e := event(t)

	w.deafen()
	done := later(t, p, r, e)
	meshtest.Eventually(t, func() bool { return lastSeq(t, nc) == 1 }, "stored, and the ack lost")
	w.cut()
	w.heal()
	got := <-done
	require.NoError(t, got.err)
	assert.Equal(t, mesh.Ack{Seq: 1, Duplicate: true, ID: e.ID}, got.ack)
	assert.Equal(t, []string{e.ID}, idsIn(t, nc, r))
	nudge, err := nudges.NextMsgWithContext(within(t))
	require.NoError(t, err)
	assert.Equal(t, r.Nudge(), nudge.Subject, "its announcement may be lost as well")

	_, err = p.Publish(within(t), r, event(t))
	require.NoError(t, err)
	assert.Len(t, idsIn(t, nc, r), 2)
}

func TestPublisher_RetryAfterALateAckStoresOnce(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	w := newWire(t, n.URL)
	p := newPublisher(t, w.dial(t), hasty())
	r := room(t, "campaign:42")
	first, second := event(t), event(t)
	attempts, err := nc.SubscribeSync(r.Subject())
	require.NoError(t, err)
	require.NoError(t, nc.Flush())

	// The acks of several attempts arrive together, on a whole connection.
	w.hold()
	done := later(t, p, r, first)
	for range 3 {
		_, err := attempts.NextMsgWithContext(within(t))
		require.NoError(t, err)
	}
	w.heal()
	got := <-done
	require.NoError(t, got.err)
	assert.Equal(t, mesh.Ack{Seq: 1, Duplicate: true, ID: first.ID}, got.ack)
	ack, err := p.Publish(within(t), r, second)
	require.NoError(t, err)
	assert.Equal(t, uint64(2), ack.Seq, "an ack that is too late is nobody else's")
	assert.Equal(t, []string{first.ID, second.ID}, idsIn(t, nc, r))
}

// retries collects what a publisher says about itself while it retries.
type retries struct {
	mu   sync.Mutex
	said []retry
	once sync.Once
	some chan struct{} // closed by the first
}

type retry struct {
	room   subjects.Room
	waited time.Duration
	err    error
}

func newRetries() *retries { return &retries{some: make(chan struct{})} }

func (r *retries) note(room subjects.Room, waited time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, retry{room, waited, err})
	r.once.Do(func() { close(r.some) })
}

// rooms is how many rooms were told of.
func (r *retries) rooms() int {
	rooms := make(map[subjects.Room]bool)
	for _, said := range r.all() {
		rooms[said.room] = true
	}
	return len(rooms)
}

func (r *retries) all() []retry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]retry(nil), r.said...)
}

func TestPublisher_RidesOutARestartOfNATS(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	told := newRetries()
	cfg := hasty()
	cfg.OnRetry = told.note
	p := newPublisher(t, nc, cfg)
	r := room(t, "campaign:42")
	before, err := newPublisher(t, nc, mesh.PublisherConfig{OnRetry: told.note}).Publish(within(t), r, event(t))
	require.NoError(t, err)
	assert.Empty(t, told.all(), "nothing to tell")

	n.Stop()
	e := event(t)
	done := later(t, p, r, e)
	select {
	case <-told.some:
	case got := <-done:
		t.Fatalf("ended without NATS: %v", got)
	}
	said := told.all()[0]
	assert.Equal(t, r, said.room)
	assert.GreaterOrEqual(t, said.waited, time.Second)
	assert.Error(t, said.err)
	n.Restart(t)
	got := <-done
	require.NoError(t, got.err)
	assert.Equal(t, uint64(2), got.ack.Seq)
	assert.Equal(t, []string{before.ID, e.ID}, idsIn(t, n.Conn(t), r))
}

func TestPublisher_WhatCannotBeSentIsCertainlyNotStored(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	never, err := mesh.Dial(t.Context(), mesh.DialConfig{URL: "nats://127.0.0.1:1"})
	require.NoError(t, err)
	defer never.Close()
	n.Stop()
	meshtest.Eventually(t, func() bool { return !nc.IsConnected() }, "the connection is down")
	r, e := room(t, "campaign:42"), event(t)
	for name, nc := range map[string]*nats.Conn{"was up": nc, "never up": never} {
		p := newPublisher(t, nc, brief())
		start := time.Now()
		_, err := p.Publish(within(t), r, e)
		require.ErrorIs(t, err, mesh.ErrUnavailable, name)
		require.NotErrorIs(t, err, mesh.ErrUnknownOutcome, name)
		require.ErrorContains(t, err, r.String())
		assert.GreaterOrEqual(t, time.Since(start), brief().Retry, "it was tried for as long as was asked for")
		_, err = p.PublishAll(within(t), []subjects.Room{r, room(t, "campaign:43")}, e)
		require.ErrorIs(t, err, mesh.ErrUnavailable, name)
		require.NotErrorIs(t, err, mesh.ErrUnknownOutcome, name)
	}
	n.Restart(t)
	assert.Zero(t, lastSeq(t, n.Conn(t)))
}

func TestPublisher_WhatWasSentWithoutAnAnswerMayBeStored(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	w := newWire(t, n.URL)
	p := newPublisher(t, w.dial(t), brief())
	r := room(t, "campaign:42")

	heard := event(t)
	w.deafen()
	_, err := p.Publish(within(t), r, heard)
	require.ErrorIs(t, err, mesh.ErrUnknownOutcome)
	require.NotErrorIs(t, err, mesh.ErrUnavailable)
	meshtest.Eventually(t, func() bool { return lastSeq(t, nc) == 1 }, "the server had it")
	assert.Equal(t, []string{heard.ID}, idsIn(t, nc, r))

	// From here it looks the same when the server never had it.
	lost := event(t)
	w.gag()
	_, err = p.Publish(within(t), r, lost)
	require.ErrorIs(t, err, mesh.ErrUnknownOutcome)
	assert.Equal(t, []string{heard.ID}, idsIn(t, nc, r))

	// Either way the caller may repeat it.
	w.cut()
	w.heal()
	p = newPublisher(t, w.dial(t), mesh.PublisherConfig{})
	for _, e := range []subjects.Event{heard, lost} {
		ack, err := p.Publish(within(t), r, e)
		require.NoError(t, err)
		assert.Equal(t, e.ID == heard.ID, ack.Duplicate)
	}
	assert.Equal(t, []string{heard.ID, lost.ID}, idsIn(t, nc, r))
}

func TestPublisher_OneUnknownAttemptMakesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	w := newWire(t, n.URL)
	p := newPublisher(t, w.dial(t), brief())
	r, e := room(t, "campaign:42"), event(t)
	w.deafen()
	done := later(t, p, r, e)
	meshtest.Eventually(t, func() bool { return lastSeq(t, nc) == 1 }, "stored, and the ack lost")
	w.cut() // all later attempts cannot be sent
	got := <-done
	require.ErrorIs(t, got.err, mesh.ErrUnknownOutcome)
	assert.Equal(t, []string{e.ID}, idsIn(t, nc, r))
}

func TestPublisher_ARefusalSaysNothingOfEarlierAttempts(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	w := newWire(t, n.URL)
	conn := w.dial(t)
	p := newPublisher(t, conn, hasty())
	r, e := room(t, "campaign:42"), event(t)
	w.deafen()
	done := later(t, p, r, e)
	meshtest.Eventually(t, func() bool { return lastSeq(t, nc) == 1 }, "stored, and the ack lost")
	conn.Close() // the next attempt is refused for good
	got := <-done
	require.ErrorIs(t, got.err, nats.ErrConnectionClosed)
	require.ErrorIs(t, got.err, mesh.ErrUnknownOutcome)
	assert.Equal(t, []string{e.ID}, idsIn(t, nc, r))
}

func TestPublisher_TheCallersContextEndsTheWaitForAnAck(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	w := newWire(t, n.URL)
	conn := w.dial(t)
	p := newPublisher(t, conn, mesh.PublisherConfig{})
	r, e := room(t, "campaign:42"), event(t)
	why := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	w.hold()
	var (
		wg  sync.WaitGroup
		err error
	)
	wg.Go(func() { _, err = p.Publish(ctx, r, e) })
	meshtest.Eventually(t, func() bool { return lastSeq(t, nc) == 1 }, "stored")
	atOnce(t, func() {
		cancel(why)
		wg.Wait()
	})
	require.ErrorIs(t, err, why)
	require.ErrorIs(t, err, mesh.ErrUnknownOutcome, "it was on its way")

	w.heal()
	n.Stop()
	meshtest.Eventually(t, func() bool { return !conn.IsConnected() }, "the connection is down")
	ctx, cancel = context.WithCancelCause(t.Context())
	wg.Go(func() { _, err = p.Publish(ctx, r, e) })
	cancel(why)
	wg.Wait()
	require.ErrorIs(t, err, why)
	require.NotErrorIs(t, err, mesh.ErrUnknownOutcome, "it was not")
}

// logged collects a log.
type logged struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.buf.String(), "\n"), "\n")
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestPublisher_ManyRetryingRoomsAreOneLineASecond(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	told := newRetries()
	var log logged
	cfg := hasty()
	cfg.OnRetry, cfg.Log = told.note, log.logger()
	p := newPublisher(t, nc, cfg)
	n.Stop()
	const rooms = 20
	start := time.Now()
	var ends []<-chan outcome
	for i := range rooms {
		ends = append(ends, later(t, p, room(t, "campaign:"+string(rune('a'+i))), event(t)))
	}
	meshtest.Eventually(t, func() bool { return told.rooms() == rooms && log.lines()[0] != "" }, "each call tells its caller, and the log")
	lines := log.lines()
	assert.LessOrEqual(t, len(lines), 1+int(time.Since(start).Seconds()))
	assert.Contains(t, lines[0], `level=WARN msg="publish retrying" room=campaign:`)
	assert.Regexp(t, `waited=[1-9]`, lines[0], "seconds")
	n.Restart(t)
	for _, end := range ends {
		require.NoError(t, (<-end).err)
	}
}
