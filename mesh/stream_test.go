package mesh_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
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

// jetStream is the client library's view of the same JetStream.
func jetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

// configuration is that of the stream as it is.
func configuration(t testing.TB, js jetstream.JetStream) jetstream.StreamConfig {
	t.Helper()
	stream, err := js.Stream(within(t), subjects.StreamName)
	require.NoError(t, err)
	return stream.CachedInfo().Config
}

func TestEnsureStream_CreatesAndThenFinds(t *testing.T) {
	t.Parallel()
	n := meshtest.Start(t)
	nc := n.Conn(t)
	cfg := mesh.StreamConfig{
		Name: "ROOMS", MaxMsgsPerSubject: 7, MaxAge: 2 * time.Hour, MaxBytes: 3 << 20, MaxMsgSize: 5 << 10,
		Duplicates: 45 * time.Second, Replicas: 1,
	}
	_, err := mesh.FetchStreamInfo(within(t), nc, "ROOMS")
	require.ErrorIs(t, err, mesh.ErrStreamMissing)

	var log logged
	created, err := mesh.EnsureStream(within(t), nc, cfg, log.logger())
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), created.Created, time.Minute)
	assert.NotEmpty(t, created.Epoch)
	want := mesh.StreamInfo{
		Name: "ROOMS", Epoch: created.Epoch, Created: created.Created, Leader: created.Leader,
		MaxMsgsPerSubject: 7, MaxAge: 2 * time.Hour, MaxBytes: 3 << 20, MaxMsgSize: 5 << 10, Duplicates: 45 * time.Second, Replicas: 1,
	}
	want.FirstTime = created.FirstTime
	assert.Equal(t, want, created)

	ack, err := newPublisher(t, nc, mesh.PublisherConfig{}).Publish(within(t), room(t, "campaign:42"), event(t))
	require.NoError(t, err)
	found, err := mesh.EnsureStream(within(t), n.Conn(t), cfg, log.logger())
	require.NoError(t, err)
	fetched, err := mesh.FetchStreamInfo(within(t), nc, "ROOMS")
	require.NoError(t, err)
	assert.Equal(t, found, fetched)
	assert.Equal(t, ack.Seq, found.FirstSeq)
	assert.Equal(t, ack.Seq, found.LastSeq)
	assert.WithinDuration(t, time.Now(), found.FirstTime, time.Minute)
	assert.Equal(t, created.Epoch, found.Epoch)
	assert.Equal(t, []string{""}, log.lines(), "nothing to warn of")
}

func TestEnsureStream_ARecreatedStreamIsAnotherEpoch(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	seen := make(map[string]bool)
	for range 20 {
		info := meshtest.EnsureStream(t, nc, mesh.DefaultStreamConfig()) // the server may still be busy with deleting
		assert.False(t, seen[info.Epoch], "epoch %s comes again", info.Epoch)
		seen[info.Epoch] = true
		require.NoError(t, jetStream(t, nc).DeleteStream(within(t), subjects.StreamName))
	}
}

func TestEnsureStream_SeveralAtOnceFindOneStream(t *testing.T) {
	t.Parallel()
	n := meshtest.Start(t)
	const processes = 8
	var (
		wg    sync.WaitGroup
		infos [processes]mesh.StreamInfo
		errs  [processes]error
		logs  [processes]logged
	)
	start := make(chan struct{})
	for i := range processes {
		nc := n.Conn(t)
		cfg := mesh.DefaultStreamConfig()
		cfg.MaxMsgsPerSubject += int64(i % 2) // they need not agree
		wg.Go(func() {
			<-start
			infos[i], errs[i] = mesh.EnsureStream(within(t), nc, cfg, logs[i].logger())
		})
	}
	close(start)
	wg.Wait()
	require.NoError(t, errors.Join(errs[:]...))
	warned := 0
	for i := range processes {
		assert.Equal(t, infos[0].Epoch, infos[i].Epoch)
		assert.Equal(t, infos[0].MaxMsgsPerSubject, infos[i].MaxMsgsPerSubject)
		if text := logs[i].lines()[0]; text != "" {
			assert.Contains(t, text, "field=max_msgs_per_subject")
			warned++
		}
	}
	assert.Equal(t, processes/2, warned, "those that wanted something else are told")
}

func TestEnsureStream_OtherLimitsAreUsedWithOneWarningEach(t *testing.T) {
	t.Parallel()
	n := startRooms(t)
	nc := n.Conn(t)
	js := jetStream(t, nc)
	has := configuration(t, js)
	has.MaxMsgs = 1000
	_, err := js.UpdateStream(within(t), has)
	require.NoError(t, err)
	cfg := mesh.StreamConfig{
		Name: subjects.StreamName, MaxMsgsPerSubject: 1, MaxAge: time.Hour, MaxBytes: 2 << 20, MaxMsgSize: 2 << 10,
		Duplicates: 30 * time.Second, Replicas: 3,
	}
	var log logged
	info, err := mesh.EnsureStream(within(t), nc, cfg, log.logger())
	require.NoError(t, err)
	assert.Equal(t, int64(256), info.MaxMsgsPerSubject, "the stream's value counts")
	assert.Equal(t, 24*time.Hour, info.MaxAge)
	assert.Equal(t, 1, info.Replicas)

	var warned []string
	for _, line := range log.lines() {
		assert.Contains(t, line, "level=WARN")
		_, field, _ := strings.Cut(line, "field=")
		warned = append(warned, field)
	}
	slices.Sort(warned)
	assert.Equal(t, []string{
		"duplicate_window stream_value=1m0s configured=30s",
		"max_age stream_value=24h0m0s configured=1h0m0s",
		"max_bytes stream_value=1073741824 configured=2097152",
		"max_msg_size stream_value=65536 configured=2048",
		"max_msgs stream_value=1000 configured=-1",
		"max_msgs_per_subject stream_value=256 configured=1",
		"num_replicas stream_value=1 configured=3",
	}, warned)
	assert.Equal(t, has, configuration(t, js), "nothing was changed")
}

// TestEnsureStream_NamesWhatCannotCarryRooms makes a stream with one thing wrong
// and follows the advice: what can be edited is mended that way, and what
// is said not to be editable is not.
func TestEnsureStream_NamesWhatCannotCarryRooms(t *testing.T) {
	t.Parallel()
	good := configuration(t, jetStream(t, startRooms(t).Conn(t)))
	type wrong struct {
		spoil func(*jetstream.StreamConfig)
		says  map[string]string // by field, part of what is said about it
		// later says that nats-server does not create such a stream; an existing
		// one becomes it.
		later bool
	}
	edit, recreate := "nats stream edit", "cannot be edited"
	republish := func(change func(*jetstream.RePublish)) func(*jetstream.StreamConfig) {
		return func(c *jetstream.StreamConfig) {
			r := *c.RePublish
			c.RePublish = &r
			change(c.RePublish)
		}
	}
	for name, w := range map[string]wrong{
		"further subject": {
			spoil: func(c *jetstream.StreamConfig) { c.Subjects = []string{"room.>", "chamber.>"} },
			says:  map[string]string{"subjects": edit},
		},
		"fewer subjects": {
			spoil: func(c *jetstream.StreamConfig) { c.Subjects = []string{"room.*.*"} },
			says:  map[string]string{"subjects": edit},
		},
		"memory": {
			spoil: func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
			says:  map[string]string{"storage": recreate},
		},
		"work queue": {
			spoil: func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
			says:  map[string]string{"retention": recreate},
		},
		"interest": {
			spoil: func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
			says:  map[string]string{"retention": edit},
		},
		"discard new": {
			spoil: func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew },
			says:  map[string]string{"discard": edit},
		},
		"no bound on a room": {
			spoil: func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = -1 },
			says:  map[string]string{"max_msgs_per_subject": edit},
		},
		"short window": {
			spoil: func(c *jetstream.StreamConfig) { c.Duplicates = mesh.MinDuplicates - time.Second },
			says:  map[string]string{"duplicate_window": edit},
		},
		"delete": {
			spoil: func(c *jetstream.StreamConfig) { c.DenyDelete = false },
			says:  map[string]string{"deny_delete": edit},
		},
		"purge": {
			spoil: func(c *jetstream.StreamConfig) { c.DenyPurge = false },
			says:  map[string]string{"deny_purge": edit},
		},
		"rollup, which needs purge": {
			spoil: func(c *jetstream.StreamConfig) { c.AllowRollup, c.DenyPurge = true, false },
			says:  map[string]string{"allow_rollup_hdrs": edit, "deny_purge": edit},
		},
		"TTL of messages": {
			spoil: func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true },
			says:  map[string]string{"allow_msg_ttl": recreate},
		},
		"delete markers, which need TTL and rollup": {
			spoil: func(c *jetstream.StreamConfig) {
				c.SubjectDeleteMarkerTTL, c.AllowMsgTTL, c.AllowRollup, c.DenyPurge = time.Minute, true, true, false
			},
			says: map[string]string{"subject_delete_marker_ttl": edit, "allow_msg_ttl": recreate, "allow_rollup_hdrs": edit, "deny_purge": edit},
		},
		"counters": {
			spoil: func(c *jetstream.StreamConfig) { c.AllowMsgCounter = true },
			says:  map[string]string{"allow_msg_counter": recreate},
		},
		"schedules, which need rollup": {
			spoil: func(c *jetstream.StreamConfig) { c.AllowMsgSchedules, c.AllowRollup, c.DenyPurge = true, true, false },
			says:  map[string]string{"allow_msg_schedules": recreate, "allow_rollup_hdrs": edit, "deny_purge": edit},
		},
		"no direct get": {
			spoil: func(c *jetstream.StreamConfig) { c.AllowDirect = false },
			says:  map[string]string{"allow_direct": edit},
		},
		"no batches": {
			spoil: func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false },
			says:  map[string]string{"allow_atomic": edit},
		},
		"asynchronous store, which excludes batches": {
			spoil: func(c *jetstream.StreamConfig) {
				c.PersistMode, c.AllowAtomicPublish = jetstream.AsyncPersistMode, false
			},
			says: map[string]string{"persist_mode": recreate, "allow_atomic": edit},
		},
		"no acks": {
			spoil: func(c *jetstream.StreamConfig) { c.NoAck = true },
			says:  map[string]string{"no_ack": edit},
		},
		"sealed, which discards new": {
			spoil: func(c *jetstream.StreamConfig) { c.Sealed = true },
			says:  map[string]string{"sealed": recreate, "discard": edit},
			later: true,
		},
		"mirror, which has no subjects": {
			spoil: func(c *jetstream.StreamConfig) {
				c.Mirror, c.Subjects, c.AllowAtomicPublish = &jetstream.StreamSource{Name: "ORIGIN"}, nil, false
			},
			says: map[string]string{"mirror": edit, "subjects": edit, "allow_atomic": edit},
		},
		"sources": {
			spoil: func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "ORIGIN"}} },
			says:  map[string]string{"sources": edit},
		},
		"transform": {
			spoil: func(c *jetstream.StreamConfig) {
				c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "room.a.*", Destination: "room.b.{{wildcard(1)}}"}
			},
			says: map[string]string{"subject_transform": edit},
		},
		"no republish": {
			spoil: func(c *jetstream.StreamConfig) { c.RePublish = nil },
			says:  map[string]string{"republish.src": edit, "republish.dest": edit},
		},
		"republish of other rooms": {
			spoil: republish(func(r *jetstream.RePublish) {
				r.Source = "room.campaign.*"
				r.Destination = "live.0.campaign.{{wildcard(1)}}"
			}),
			says: map[string]string{"republish.src": edit, "republish.dest": edit},
		},
		"republish elsewhere": {
			spoil: republish(func(r *jetstream.RePublish) { r.Destination = strings.Replace(r.Destination, "256", "16", 1) }),
			says:  map[string]string{"republish.dest": edit},
		},
		"republish of headers": {
			spoil: republish(func(r *jetstream.RePublish) { r.HeadersOnly = true }),
			says:  map[string]string{"republish.headers_only": edit},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc := meshtest.Start(t).Conn(t)
			js := jetStream(t, nc)
			_, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "ORIGIN", Subjects: []string{"origin.>"}})
			require.NoError(t, err)
			bad := good
			if w.later {
				_, err = js.CreateStream(within(t), bad)
				require.NoError(t, err)
				w.spoil(&bad)
				_, err = js.UpdateStream(within(t), bad)
			} else {
				w.spoil(&bad)
				_, err = js.CreateStream(within(t), bad)
			}
			require.NoError(t, err)
			is := configuration(t, js)

			_, err = mesh.EnsureStream(within(t), nc, mesh.DefaultStreamConfig(), quietLog)
			mismatch := new(mesh.StreamMismatchError)
			require.ErrorAs(t, err, &mismatch)
			assert.Equal(t, subjects.StreamName, mismatch.Stream)
			says := make(map[string]string)
			editable := true
			for _, f := range mismatch.Fields {
				says[f.Field] = f.Mend
				if want, ok := w.says[f.Field]; ok && strings.Contains(f.Mend, want) {
					says[f.Field] = want
				}
				editable = editable && strings.Contains(f.Mend, edit)
				assert.ErrorContains(t, err, fmt.Sprintf("%s is %s, want %s (%s)", f.Field, f.Got, f.Want, f.Mend))
				assert.NotEqual(t, f.Want, f.Got)
				assert.NotEmpty(t, f.Got)
			}
			assert.Equal(t, w.says, says)
			assert.Equal(t, is, configuration(t, js), "nothing was changed")

			_, err = js.UpdateStream(within(t), good)
			if editable {
				require.NoError(t, err, "the edit that was advised")
			} else {
				require.Error(t, err, "an edit could have mended it")
				require.NoError(t, js.DeleteStream(within(t), subjects.StreamName))
			}
			meshtest.EnsureStream(t, nc, mesh.DefaultStreamConfig())
		})
	}
}

func TestEnsureStream_WithoutJetStreamIsWorthAnotherTry(t *testing.T) {
	t.Parallel()
	for name, conf := range map[string]string{
		"off":                       "",
		"off for this account only": "jetstream { store_dir: $TIDINGS_NATS_STORE }\naccounts { A: { users: [{user: a, password: a}] } }\nno_auth_user: a",
	} {
		nc := startBare(t, conf).Dial(t, mesh.DialConfig{})
		var err error
		atOnce(t, func() { _, err = mesh.EnsureStream(within(t), nc, mesh.DefaultStreamConfig(), quietLog) })
		require.ErrorIs(t, err, mesh.ErrUnavailable, name)
		assert.ErrorContains(t, err, "not enabled")
		assert.ErrorContains(t, err, "ROOMS")
	}
}

func TestEnsureStream_WithoutAConnectionIsWorthAnotherTry(t *testing.T) {
	t.Parallel()
	n := meshtest.Start(t)
	nc := n.Conn(t)
	n.Stop()
	meshtest.Eventually(t, func() bool { return !nc.IsConnected() }, "the connection is down")
	var err error
	atOnce(t, func() { _, err = mesh.EnsureStream(within(t), nc, mesh.DefaultStreamConfig(), quietLog) })
	require.ErrorIs(t, err, mesh.ErrUnavailable)
	n.Restart(t)
	meshtest.EnsureStream(t, nc, mesh.DefaultStreamConfig())
}

func TestEnsureStream_WhoMayNotCreateIsToldWhoMay(t *testing.T) {
	t.Parallel()
	n := startConfig(t, aFewKinds)
	worker := as(t, n, "worker")
	var err error
	atOnce(t, func() { _, err = mesh.EnsureStream(within(t), worker, mesh.DefaultStreamConfig(), quietLog) })
	require.ErrorIs(t, err, mesh.ErrStreamMissing)
	require.ErrorIs(t, err, mesh.ErrNotPermitted)
	require.ErrorContains(t, err, "run `tidings serve` once with the administrator's")

	created := meshtest.EnsureStream(t, as(t, n, "admin"), mesh.DefaultStreamConfig())
	found, err := mesh.EnsureStream(within(t), worker, mesh.DefaultStreamConfig(), quietLog)
	require.NoError(t, err, "an existing one needs no more than a look")
	assert.Equal(t, created.Epoch, found.Epoch)

	cfg := mesh.DefaultStreamConfig()
	cfg.Name = "OTHER"
	atOnce(t, func() { _, err = mesh.EnsureStream(within(t), worker, cfg, quietLog) })
	require.ErrorIs(t, err, mesh.ErrNotPermitted, "not even a look")
	require.NotErrorIs(t, err, mesh.ErrStreamMissing, "nobody said so")
	require.ErrorContains(t, err, "$JS.API.STREAM.INFO.OTHER")
}

func TestEnsureStream_SaysThatTheStoreIsTooSmall(t *testing.T) {
	t.Parallel()
	n := startBare(t, "jetstream { store_dir: $TIDINGS_NATS_STORE, max_file: 4MB, max_mem: 1MB }")
	nc := n.Dial(t, mesh.DialConfig{})
	cfg := mesh.DefaultStreamConfig()
	_, err := mesh.EnsureStream(within(t), nc, cfg, quietLog)
	require.ErrorIs(t, err, mesh.ErrStoreFull)
	require.ErrorContains(t, err, "1073741824")
	require.ErrorContains(t, err, "max_file")
	cfg.MaxBytes = 2 << 20
	_, err = mesh.EnsureStream(within(t), nc, cfg, quietLog)
	require.NoError(t, err)
}

func TestEnsureStream_SaysThatOneServerHasNoReplicas(t *testing.T) {
	t.Parallel()
	n := meshtest.Start(t)
	cfg := mesh.DefaultStreamConfig()
	cfg.Replicas = 3
	_, err := mesh.EnsureStream(within(t), n.Conn(t), cfg, quietLog)
	require.ErrorContains(t, err, "replicas > 1 not supported in non-clustered mode")
}

func TestStreamConfig_Validate(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*mesh.StreamConfig){
		"no name":              func(c *mesh.StreamConfig) { c.Name = "" },
		"name of two tokens":   func(c *mesh.StreamConfig) { c.Name = "a.b" },
		"name is a wildcard":   func(c *mesh.StreamConfig) { c.Name = "*" },
		"no history":           func(c *mesh.StreamConfig) { c.MaxMsgsPerSubject = 0 },
		"unbounded history":    func(c *mesh.StreamConfig) { c.MaxMsgsPerSubject = -1 },
		"no age":               func(c *mesh.StreamConfig) { c.MaxAge = 0 },
		"no bytes":             func(c *mesh.StreamConfig) { c.MaxBytes = -1 },
		"no message":           func(c *mesh.StreamConfig) { c.MaxMsgSize = 100 },
		"short window":         func(c *mesh.StreamConfig) { c.Duplicates = mesh.MinDuplicates - 1 },
		"window beyond age":    func(c *mesh.StreamConfig) { c.MaxAge = time.Minute - 1 },
		"no replica":           func(c *mesh.StreamConfig) { c.Replicas = 0 },
		"no majority of four":  func(c *mesh.StreamConfig) { c.Replicas = 4 },
		"more than five":       func(c *mesh.StreamConfig) { c.Replicas = 7 },
		"several at the time":  func(c *mesh.StreamConfig) { c.Name, c.Replicas = "", 2 },
		"no majority of two":   func(c *mesh.StreamConfig) { c.Replicas = 2 },
		"path instead of name": func(c *mesh.StreamConfig) { c.Name = "../x" },
	} {
		cfg := mesh.DefaultStreamConfig()
		spoil(&cfg)
		assert.ErrorIs(t, cfg.Validate(), mesh.ErrConfig, name)
		_, err := mesh.EnsureStream(t.Context(), nil, cfg, slog.New(slog.DiscardHandler))
		assert.ErrorIs(t, err, mesh.ErrConfig, name)
	}
	assert.NoError(t, mesh.DefaultStreamConfig().Validate())
}
