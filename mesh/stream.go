package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidingsmesh/tidings/subjects"
)

// StreamConfig is what an operator may choose about the stream that holds the
// rooms. What is not here is fixed, because the continuity proof depends on it.
type StreamConfig struct {
	// Name of the stream. Default subjects.StreamName. The permissions in
	// nats.conf name it too.
	Name string
	// MaxMsgsPerSubject is how many events of one room are kept. Default 256.
	// A client that missed more is told so. Large values make the first read
	// of a hot room slow.
	MaxMsgsPerSubject int64
	// MaxAge is how long an event is kept. Default 24 h.
	MaxAge time.Duration
	// MaxBytes bounds the whole stream, in bytes; the oldest events of all
	// rooms go first. Default 1 GiB. JetStream reserves it: it must fit into the
	// server's store.
	MaxBytes int64
	// MaxMsgSize bounds one message, headers included, in bytes. Default 64 KiB.
	MaxMsgSize int32
	// Duplicates is how long a message id is remembered. Default 60 s, at
	// least MinDuplicates: publishers retry for 15 s and more.
	Duplicates time.Duration
	// Replicas is 1 (default) for a single server and 3 in a cluster.
	Replicas int
}

// MinDuplicates is the shortest duplicate window in which a publisher's retry
// is safe.
const MinDuplicates = 30 * time.Second

// DefaultStreamConfig returns the configuration of an embedded server.
func DefaultStreamConfig() StreamConfig {
	return StreamConfig{
		Name:              subjects.StreamName,
		MaxMsgsPerSubject: 256,
		MaxAge:            24 * time.Hour,
		MaxBytes:          1 << 30,
		MaxMsgSize:        64 << 10,
		Duplicates:        time.Minute,
		Replicas:          1,
	}
}

// Validate reports every value that cannot work.
func (c StreamConfig) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: stream "+format, append([]any{ErrConfig}, args...)...))
		}
	}
	check(c.Name != "" && !strings.ContainsAny(c.Name, " \t\r\n.*>/\\"), "name %q: want letters, digits, _ and -", c.Name)
	check(c.MaxMsgsPerSubject >= 1, "events per room %d: want 1 or more", c.MaxMsgsPerSubject)
	check(c.MaxAge >= time.Second, "max age %s: want 1s or more", c.MaxAge)
	check(c.MaxBytes >= 1<<20, "max bytes %d: want 1 MiB or more", c.MaxBytes)
	check(c.MaxMsgSize >= 1<<10, "max message size %d: want 1 KiB or more", c.MaxMsgSize)
	check(c.Duplicates >= MinDuplicates, "duplicate window %s: want %s or more, because publishers retry", c.Duplicates, MinDuplicates)
	check(c.Duplicates <= c.MaxAge, "duplicate window %s: want no more than the max age %s", c.Duplicates, c.MaxAge)
	check(c.Replicas == 1 || c.Replicas == 3 || c.Replicas == 5, "replicas %d: want 1, 3 or 5", c.Replicas)
	return errors.Join(errs...)
}

// StreamInfo is what the stream says about itself at one moment.
type StreamInfo struct {
	Name string
	// Epoch names this incarnation of the stream. A recreated stream counts
	// from 1 again, and positions of another epoch must not match it.
	Epoch   string
	Created time.Time
	Leader  string // server name of the leader; "" when not clustered

	FirstSeq  uint64 // the oldest event still stored, of any room
	FirstTime time.Time
	LastSeq   uint64

	// The limits as the stream has them, whatever the configuration says.
	MaxMsgsPerSubject int64
	MaxAge            time.Duration // 0: no limit
	MaxBytes          int64         // -1: no limit
	MaxMsgSize        int32         // -1: no limit
	Duplicates        time.Duration
	Replicas          int
}

func newStreamInfo(info *jetstream.StreamInfo) StreamInfo {
	cfg := &info.Config
	s := StreamInfo{
		Name:      cfg.Name,
		Epoch:     strconv.FormatInt(info.Created.UnixMicro(), 36),
		Created:   info.Created,
		FirstSeq:  info.State.FirstSeq,
		FirstTime: info.State.FirstTime,
		LastSeq:   info.State.LastSeq,

		MaxMsgsPerSubject: cfg.MaxMsgsPerSubject,
		MaxAge:            cfg.MaxAge,
		MaxBytes:          cfg.MaxBytes,
		MaxMsgSize:        cfg.MaxMsgSize,
		Duplicates:        cfg.Duplicates,
		Replicas:          cfg.Replicas,
	}
	if info.Cluster != nil {
		s.Leader = info.Cluster.Leader
	}
	return s
}

// JetStream's codes for what EnsureStream decides on.
const (
	codeStreamNotFound  = 10059
	codeStreamNameInUse = 10058
)

// EnsureStream checks the stream and creates it when it is absent. A stream
// that the continuity proof cannot live with is a *StreamMismatchError; one
// that merely differs from cfg is used as it is, with a warning. Credentials
// that may not create streams suffice when it exists and get ErrStreamMissing
// when it does not; a store that cannot hold cfg.MaxBytes is an ErrStoreFull.
// ErrUnavailable is worth another try. Several processes may call it at once.
func EnsureStream(ctx context.Context, nc *nats.Conn, cfg StreamConfig, log *slog.Logger) (StreamInfo, error) {
	if err := cfg.Validate(); err != nil {
		return StreamInfo{}, err
	}
	info, err := fetchStream(ctx, nc, cfg.Name)
	if hasCode(err, codeStreamNotFound) {
		info, err = createStream(ctx, nc, cfg)
		if hasCode(err, codeStreamNameInUse) { // another process was faster
			info, err = fetchStream(ctx, nc, cfg.Name)
		}
	}
	if err != nil {
		return StreamInfo{}, fmt.Errorf("stream %s: %w", cfg.Name, err)
	}
	if fields := mismatches(&info.Config); len(fields) > 0 {
		return StreamInfo{}, &StreamMismatchError{Stream: cfg.Name, Fields: fields}
	}
	warnDifferences(ctx, log, &info.Config, cfg)
	return newStreamInfo(info), nil
}

// FetchStreamInfo asks the stream's leader for its state; ErrUnavailable when there
// is none. It needs no permission but the stream's STREAM.INFO.
func FetchStreamInfo(ctx context.Context, nc *nats.Conn, name string) (StreamInfo, error) {
	info, err := fetchStream(ctx, nc, name)
	switch {
	case hasCode(err, codeStreamNotFound):
		return StreamInfo{}, fmt.Errorf("stream %s: %w", name, ErrStreamMissing)
	case err != nil:
		return StreamInfo{}, fmt.Errorf("stream %s: %w", name, err)
	}
	return newStreamInfo(info), nil
}

func fetchStream(ctx context.Context, nc *nats.Conn, name string) (*jetstream.StreamInfo, error) {
	info, err := streamRequest(ctx, nc, "$JS.API.STREAM.INFO."+name, nil)
	if err == nil && info.Config.Replicas > 1 && (info.Cluster == nil || info.Cluster.Leader == "") {
		// A node that has lost the leader, or is cut off by a write error, answers too, from what it
		// has; the leader may be a long way ahead.
		return nil, fmt.Errorf("answered by a node that knows no leader: %w", ErrUnavailable)
	}
	return info, err
}

// createStream goes on when ctx ends: an embedded server must not be stopped while it creates a stream,
// which would be left open.
func createStream(ctx context.Context, nc *nats.Conn, cfg StreamConfig) (*jetstream.StreamInfo, error) {
	ctx = context.WithoutCancel(ctx)
	info, err := streamRequest(ctx, nc, "$JS.API.STREAM.CREATE."+cfg.Name, wantedStream(cfg))
	switch {
	case errors.Is(err, ErrNotPermitted):
		return nil, fmt.Errorf("%w, and these credentials may not create it: run `tidings serve` once with the administrator's: %w", ErrStreamMissing, err)
	case hasCode(err, codeNoStorage):
		return nil, fmt.Errorf("%w: JetStream reserves the stream's max bytes, %d, and has not as much left: give it more (max_file), or the stream less: %w", ErrStoreFull, cfg.MaxBytes, err)
	}
	return info, err
}

// wantedStream is the whole configuration of a new stream.
func wantedStream(cfg StreamConfig) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        cfg.Name,
		Description: "Tidings: every event of every room",
		Subjects:    []string{subjects.RoomWildcard},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		MaxMsgs:     -1, MaxConsumers: -1,

		MaxMsgsPerSubject: cfg.MaxMsgsPerSubject,
		MaxAge:            cfg.MaxAge,
		MaxBytes:          cfg.MaxBytes,
		MaxMsgSize:        cfg.MaxMsgSize,
		Duplicates:        cfg.Duplicates,
		Replicas:          cfg.Replicas,

		DenyDelete:         true,
		DenyPurge:          true,
		AllowDirect:        true,
		AllowAtomicPublish: true,
		RePublish: &jetstream.RePublish{
			Source:      subjects.RepublishSource,
			Destination: subjects.RepublishDestination,
		},
	}
}

// mismatches lists the fields in which a stream breaks the continuity proof:
// whatever can take a message out of the middle of a room, store one without
// announcing it, or hand out a sequence twice.
func mismatches(got *jetstream.StreamConfig) []FieldMismatch {
	const (
		edit     = "mend it with `nats stream edit`"
		recreate = "this cannot be edited: copy what you need, delete the stream and let it be created again"
	)
	var fields []FieldMismatch
	want := func(ok bool, field string, value any, want, mend string) {
		if !ok {
			fields = append(fields, FieldMismatch{Field: field, Got: fmt.Sprint(value), Want: want, Mend: mend})
		}
	}
	want(slices.Equal(got.Subjects, []string{subjects.RoomWildcard}), "subjects", got.Subjects, "["+subjects.RoomWildcard+"]", edit)
	want(got.Storage == jetstream.FileStorage, "storage", got.Storage, "file: memory forgets and then counts from 1 again", recreate)
	retention := edit
	if got.Retention == jetstream.WorkQueuePolicy {
		retention = recreate
	}
	want(got.Retention == jetstream.LimitsPolicy, "retention", got.Retention, "Limits", retention)
	want(got.Discard == jetstream.DiscardOld, "discard", got.Discard, "DiscardOld", edit)
	want(got.MaxMsgsPerSubject > 0, "max_msgs_per_subject", got.MaxMsgsPerSubject, "1 or more", edit)
	want(got.Duplicates >= MinDuplicates, "duplicate_window", got.Duplicates, "at least "+MinDuplicates.String(), edit)
	want(got.DenyDelete, "deny_delete", false, "true", edit)
	want(got.DenyPurge, "deny_purge", false, "true", edit)
	want(!got.AllowRollup, "allow_rollup_hdrs", true, "false", edit)
	want(!got.AllowMsgTTL, "allow_msg_ttl", true, "false", recreate)
	want(got.SubjectDeleteMarkerTTL == 0, "subject_delete_marker_ttl", got.SubjectDeleteMarkerTTL, "0", edit)
	want(!got.AllowMsgCounter, "allow_msg_counter", true, "false", recreate)
	want(!got.AllowMsgSchedules, "allow_msg_schedules", true, "false", recreate)
	want(got.AllowDirect, "allow_direct", false, "true", edit)
	want(got.AllowAtomicPublish, "allow_atomic", false, "true", edit)
	want(got.PersistMode == jetstream.DefaultPersistMode, "persist_mode", got.PersistMode, "default: async acks what is not stored", recreate)
	want(!got.NoAck, "no_ack", true, "false", edit)
	want(!got.Sealed, "sealed", true, "false", recreate)
	want(got.Mirror == nil, "mirror", "set", "absent", edit)
	want(len(got.Sources) == 0, "sources", "set", "absent", edit)
	want(got.SubjectTransform == nil, "subject_transform", "set", "absent", edit)

	republish := got.RePublish
	if republish == nil {
		republish = &jetstream.RePublish{}
	}
	want(republish.Source == subjects.RepublishSource, "republish.src", quote(republish.Source), subjects.RepublishSource, edit)
	want(republish.Destination == subjects.RepublishDestination, "republish.dest", quote(republish.Destination), subjects.RepublishDestination, edit)
	want(!republish.HeadersOnly, "republish.headers_only", true, "false", edit)
	return fields
}

func quote(s string) string {
	if s == "" {
		return "absent"
	}
	return s
}

// warnDifferences tells that the stream's limits are not those configured.
func warnDifferences(ctx context.Context, log *slog.Logger, got *jetstream.StreamConfig, cfg StreamConfig) {
	differ := func(field string, same bool, got, configured any) {
		if !same {
			log.LogAttrs(ctx, slog.LevelWarn, "stream differs from the configuration; the stream's value counts",
				slog.String("stream", cfg.Name), slog.String("field", field),
				slog.Any("stream_value", got), slog.Any("configured", configured))
		}
	}
	differ("max_msgs_per_subject", got.MaxMsgsPerSubject == cfg.MaxMsgsPerSubject, got.MaxMsgsPerSubject, cfg.MaxMsgsPerSubject)
	differ("max_age", got.MaxAge == cfg.MaxAge, got.MaxAge, cfg.MaxAge)
	differ("max_bytes", got.MaxBytes == cfg.MaxBytes, got.MaxBytes, cfg.MaxBytes)
	differ("max_msg_size", got.MaxMsgSize == cfg.MaxMsgSize, got.MaxMsgSize, cfg.MaxMsgSize)
	differ("duplicate_window", got.Duplicates == cfg.Duplicates, got.Duplicates, cfg.Duplicates)
	differ("num_replicas", got.Replicas == cfg.Replicas, got.Replicas, cfg.Replicas)
	differ("max_msgs", got.MaxMsgs <= 0, got.MaxMsgs, -1)
}

// apiTimeout bounds one JetStream API request whose context sets no earlier end.
const apiTimeout = 5 * time.Second

func streamRequest(ctx context.Context, nc *nats.Conn, subject string, body any) (*jetstream.StreamInfo, error) {
	var info jetstream.StreamInfo
	if err := apiRequest(ctx, nc, subject, body, &info); err != nil {
		return nil, err
	}
	return &info, nil
}

// apiRequest sends a JetStream API request and decodes its answer into reply.
// Unlike the client library's it notices at once when the server refuses the
// subject, which is otherwise a timeout. Errors that the API answers with are
// an *apiError.
func apiRequest(ctx context.Context, nc *nats.Conn, subject string, body, reply any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, apiTimeout, fmt.Errorf("no answer on %s for %s: %w", subject, apiTimeout, ErrUnavailable))
	defer cancel()
	var request []byte
	if body != nil {
		var err error
		if request, err = json.Marshal(body); err != nil {
			return err
		}
	}
	earlier := nc.LastError()
	inbox := nc.NewInbox()
	replies := make(chan *nats.Msg, 1)
	sub, err := nc.ChanSubscribe(inbox, replies)
	if err != nil {
		return wrapConn(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.PublishRequest(subject, inbox, request); err != nil {
		return wrapConn(err)
	}
	// The server's refusal comes before its answer to the flush.
	if err := nc.FlushWithContext(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return wrapConn(err)
	}
	if refusal := nc.LastError(); refusal != earlier && refusedPublish(refusal, subject) { //nolint:errorlint // is it the same value, not the same kind
		return fmt.Errorf("publish %s: %w", subject, ErrNotPermitted)
	}
	select {
	case m := <-replies:
		return decodeAPI(m, reply)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func decodeAPI(m *nats.Msg, reply any) error {
	if headerLast(m.Header, hdrStatus) == "503" {
		return fmt.Errorf("JetStream is not enabled, or its leader is not known yet: %w", ErrUnavailable)
	}
	var failed struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &failed); err != nil {
		return fmt.Errorf("answer of the JetStream API: %w", err)
	}
	if failed.Error != nil {
		if failed.Error.Code == 503 { // off, also for this account only, or without a leader
			return fmt.Errorf("%w: %w", ErrUnavailable, failed.Error)
		}
		return failed.Error
	}
	return json.Unmarshal(m.Data, reply)
}

func hasCode(err error, code int) bool {
	var api *apiError
	return errors.As(err, &api) && api.ErrCode == code
}

// refusedPublish reports whether err is the server's refusal to let this
// connection publish on subject.
func refusedPublish(err error, subject string) bool {
	return errors.Is(err, nats.ErrPermissionViolation) &&
		strings.Contains(err.Error(), `Publish to "`+subject+`"`)
}
