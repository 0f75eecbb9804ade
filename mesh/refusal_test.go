package mesh_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// Errors that repeating cannot mend. The publishers here would retry for 20 s.

// atOnce fails the test when f takes as long as a publish that is repeated.
func atOnce(t testing.TB, f func()) {
	t.Helper()
	start := time.Now()
	f()
	require.Less(t, time.Since(start), 10*time.Second, "comes at once")
}

// startConfig runs nats-server with JetStream and what else the test configures.
func startConfig(t testing.TB, conf string) *meshtest.Process {
	t.Helper()
	return startBare(t, "jetstream { store_dir: $TIDINGS_NATS_STORE, max_file: 2GB, max_mem: 64MB }\n"+conf)
}

// startBare runs nats-server with nothing but what the test configures.
func startBare(t testing.TB, conf string) *meshtest.Process {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nats.conf")
	require.NoError(t, os.WriteFile(path, []byte(conf+"\n"), 0o600))
	return meshtest.StartProcess(t, meshtest.ProcessConfig{Config: path})
}

// sized is an event whose data makes it n bytes longer than without.
func sized(t testing.TB, n int) subjects.Event {
	t.Helper()
	e := event(t)
	e.Data = json.RawMessage(`"` + strings.Repeat("x", n) + `"`)
	return e
}

// sizes reads from a message which size was refused and which one is the limit.
func sizes(t testing.TB, err error) (got, limit int) {
	t.Helper()
	m := regexp.MustCompile(`(\d+) bytes with headers, the (?:stream|server) takes (\d+)`).FindStringSubmatch(err.Error())
	require.NotNil(t, m, "both sizes in %q", err)
	got, err = strconv.Atoi(m[1])
	require.NoError(t, err)
	limit, err = strconv.Atoi(m[2])
	require.NoError(t, err)
	return got, limit
}

func TestPublisher_WhatIsNoEventIsRefusedWithoutAServer(t *testing.T) {
	t.Parallel()
	nc, err := mesh.Dial(t.Context(), mesh.DialConfig{URL: "nats://127.0.0.1:1"})
	require.NoError(t, err)
	defer nc.Close()
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	r := room(t, "campaign:42")
	for name, spoil := range map[string]func(*subjects.Event){
		"no type":            func(e *subjects.Event) { e.Type = "" },
		"no id":              func(e *subjects.Event) { e.ID = "" },
		"no source":          func(e *subjects.Event) { e.Source = "" },
		"long id":            func(e *subjects.Event) { e.ID = strings.Repeat("x", subjects.MaxIDBytes+1) },
		"line in the id":     func(e *subjects.Event) { e.ID = "a\r\nNats-Rollup: all" },
		"data is no JSON":    func(e *subjects.Event) { e.Data = json.RawMessage(`{`) },
		"two kinds of data":  func(e *subjects.Event) { e.DataBase64 = "AAAA" },
		"extension's name":   func(e *subjects.Event) { e.Extensions = map[string]json.RawMessage{"A-B": json.RawMessage(`1`)} },
		"year of five digit": func(e *subjects.Event) { e.Time = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		e := event(t)
		spoil(&e)
		atOnce(t, func() {
			_, err := p.Publish(t.Context(), r, e)
			assert.ErrorAs(t, err, new(*subjects.InvalidEventError), name)
			assert.ErrorContains(t, err, "campaign:42")
			_, err = p.PublishAll(t.Context(), []subjects.Room{r, room(t, "campaign:43")}, e)
			assert.ErrorAs(t, err, new(*subjects.InvalidEventError), name)
		})
	}
	for _, r := range []subjects.Room{{}, {Kind: "campaign"}, {Kind: "_fence", ID: "e1"}, {Kind: "a", ID: "x\n"}, {Kind: "A", ID: "x"}} {
		atOnce(t, func() {
			_, err := p.Publish(t.Context(), r, event(t))
			assert.ErrorIs(t, err, subjects.ErrInvalidRoom, "%q", r)
			_, err = p.PublishData(t.Context(), r, announcement{Text: "x"})
			assert.ErrorIs(t, err, subjects.ErrInvalidRoom, "%q", r)
		})
	}
}

func TestPublisher_TooLargeForTheStreamNamesBothSizes(t *testing.T) {
	t.Parallel()
	n := meshtest.Start(t)
	cfg := mesh.DefaultStreamConfig()
	cfg.MaxMsgSize = 4096
	n.Stream(t, cfg)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	r := room(t, "campaign:42")
	fits := refusedAbove(t, p, r, 4096)

	// What the message says is true to the byte.
	_, err := p.Publish(within(t), r, sized(t, fits+1))
	require.ErrorIs(t, err, mesh.ErrTooLarge)
	require.ErrorContains(t, err, "max_msg_size")
	_, err = p.Publish(within(t), r, sized(t, fits))
	require.NoError(t, err)
	assert.Equal(t, uint64(1), lastSeq(t, nc))
}

// refusedAbove publishes what is too large, checks what the error says, and
// returns which size of sized would just fit.
func refusedAbove(t testing.TB, p *mesh.Publisher, r subjects.Room, limit int) int {
	t.Helper()
	var err error
	atOnce(t, func() { _, err = p.Publish(within(t), r, sized(t, 2*limit)) })
	require.ErrorIs(t, err, mesh.ErrTooLarge)
	require.NotErrorIs(t, err, mesh.ErrUnknownOutcome)
	require.ErrorContains(t, err, r.String())
	got, named := sizes(t, err)
	require.Equal(t, limit, named)
	return 2*limit - (got - limit)
}

func TestPublisher_TooLargeForTheServerNamesBothSizes(t *testing.T) {
	t.Parallel()
	n := startConfig(t, "max_payload: 8192")
	nc := n.Dial(t, mesh.DialConfig{})
	meshtest.EnsureStream(t, nc, mesh.DefaultStreamConfig())
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	r := room(t, "campaign:42")
	fits := refusedAbove(t, p, r, 8192)
	_, err := p.Publish(within(t), r, sized(t, fits+1))
	require.ErrorIs(t, err, mesh.ErrTooLarge)
	require.ErrorContains(t, err, "max_payload")
	_, err = p.PublishAll(within(t), []subjects.Room{r, room(t, "campaign:43")}, sized(t, fits+1))
	require.ErrorIs(t, err, mesh.ErrTooLarge)
	require.ErrorContains(t, err, "max_payload")
	assert.Zero(t, lastSeq(t, nc))
	_, err = p.Publish(within(t), r, sized(t, fits))
	require.NoError(t, err)
	assert.Equal(t, uint64(1), lastSeq(t, nc))
}

func TestPublisher_WithoutPermissionIsRefused(t *testing.T) {
	t.Parallel()
	n := startConf(t)
	p := newPublisher(t, as(t, n, "edge"), mesh.PublisherConfig{})
	r := room(t, "campaign:42")
	var err error
	atOnce(t, func() { _, err = p.Publish(within(t), r, event(t)) })
	require.ErrorIs(t, err, mesh.ErrNotPermitted)
	require.NotErrorIs(t, err, mesh.ErrUnknownOutcome)
	require.ErrorContains(t, err, "room.campaign.42")
	atOnce(t, func() { _, err = p.PublishAll(within(t), []subjects.Room{r, room(t, "campaign:43")}, event(t)) })
	require.ErrorIs(t, err, mesh.ErrNotPermitted)
	assert.Zero(t, lastSeq(t, as(t, n, "admin")))
}

// aFewKinds is a worker that may publish to campaigns only.
const aFewKinds = `authorization { users: [
	{ user: admin, password: padmin }
	{ user: worker, password: pworker, permissions: {
		publish: [ "room.campaign.*", "nudge.*.campaign.*", "$JS.API.STREAM.INFO.ROOMS" ]
		subscribe: "_INBOX.>"
	} }
] }`

func TestPublisher_OneRoomWithoutPermissionLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	n := startConfig(t, aFewKinds)
	admin := as(t, n, "admin")
	meshtest.EnsureStream(t, admin, mesh.DefaultStreamConfig())
	told := make(chan error, 8)
	worker := as(t, n, "worker")
	worker.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { told <- err })
	p := newPublisher(t, worker, mesh.PublisherConfig{})

	allowed := []subjects.Room{room(t, "campaign:1"), room(t, "campaign:2"), room(t, "campaign:3")}
	for place := range 4 { // first, in the middle, last
		rooms := append([]subjects.Room{}, allowed[:place]...)
		rooms = append(append(rooms, room(t, "party:1")), allowed[place:]...)
		var err error
		atOnce(t, func() { _, err = p.PublishAll(within(t), rooms, event(t)) })
		require.ErrorIs(t, err, mesh.ErrNotPermitted, "place %d", place)
		require.NotErrorIs(t, err, mesh.ErrUnknownOutcome)
		require.ErrorContains(t, err, "room.party.1")
		assert.Zero(t, lastSeq(t, admin), "place %d", place)
		require.ErrorIs(t, <-told, nats.ErrPermissionViolation, "the connection's own handler hears of it too")
	}
	_, err := p.PublishAll(within(t), allowed, event(t))
	require.NoError(t, err)
	_, err = p.Publish(within(t), room(t, "party:1"), event(t))
	require.ErrorIs(t, err, mesh.ErrNotPermitted)
	assert.Equal(t, uint64(3), lastSeq(t, admin))
}

func TestPublisher_AnotherStreamsAckIsNone(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	p := newPublisher(t, n.Conn(t), mesh.PublisherConfig{Stream: "OTHER"})
	var err error
	atOnce(t, func() { _, err = p.Publish(within(t), room(t, "campaign:42"), event(t)) })
	require.ErrorContains(t, err, "another stream stored the event")
	require.ErrorContains(t, err, subjects.StreamName)
	require.ErrorContains(t, err, "OTHER")
}

func TestPublisher_WithoutAStreamNothingAnswers(t *testing.T) {
	t.Parallel()
	n := meshtest.Start(t)
	nc := n.Conn(t)
	// It is not at once: a stream that has no leader just now looks the same. The caller's patience ends between two
	// attempts; of one that is under way nothing would be known.
	var enough context.CancelFunc
	p := newPublisher(t, nc, mesh.PublisherConfig{OnRetry: func(subjects.Room, time.Duration, error) { enough() }})
	r := room(t, "campaign:42")
	ctx, enough := context.WithCancel(within(t))
	defer enough()
	_, err := p.Publish(ctx, r, event(t))
	require.ErrorIs(t, err, mesh.ErrUnavailable)
	require.ErrorIs(t, err, nats.ErrNoResponders)
	require.NotErrorIs(t, err, mesh.ErrUnknownOutcome)
	ctx, enough = context.WithCancel(within(t))
	defer enough()
	_, err = p.PublishAll(ctx, []subjects.Room{r, room(t, "campaign:43")}, event(t))
	require.ErrorIs(t, err, mesh.ErrUnavailable)
	require.NotErrorIs(t, err, mesh.ErrUnknownOutcome)

	n.Stream(t, mesh.DefaultStreamConfig())
	_, err = p.Publish(within(t), r, event(t))
	require.NoError(t, err)
}

func TestPublisher_ASealedStreamRefuses(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	stream, err := js.Stream(within(t), subjects.StreamName)
	require.NoError(t, err)
	cfg := stream.CachedInfo().Config
	cfg.Sealed = true
	_, err = js.UpdateStream(within(t), cfg)
	require.NoError(t, err)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	atOnce(t, func() { _, err = p.Publish(within(t), room(t, "campaign:42"), event(t)) })
	require.ErrorContains(t, err, "sealed")
	require.NotErrorIs(t, err, mesh.ErrUnavailable)
}

func TestPublisher_AClosedConnectionIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	p := newPublisher(t, nc, mesh.PublisherConfig{})
	nc.Close()
	var err error
	atOnce(t, func() { _, err = p.Publish(within(t), room(t, "campaign:42"), event(t)) })
	require.ErrorIs(t, err, nats.ErrConnectionClosed)
	require.NotErrorIs(t, err, mesh.ErrUnknownOutcome)
}
