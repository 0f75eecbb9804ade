package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidingsmesh/tidings/subjects"
)

// PublisherConfig says how a publisher behaves. The zero value is what most
// workers want.
type PublisherConfig struct {
	// Stream is the stream that must store the events. Default
	// subjects.StreamName.
	Stream string
	// Source is the source of events from PublishData. Default
	// subjects.DefaultSource.
	Source string
	// Retry is how long an unacked event is sent again with the same message
	// id. Default 20 s, at most MaxRetry. A crash of the stream's leader stops
	// acks for 4 to 9 s, so 15 s is the least that a production worker wants.
	Retry time.Duration
	// AckWait is how long one attempt waits for its ack. Default 2 s.
	AckWait time.Duration
	// MaxWaiting bounds the calls that wait for their turn in a room, over all
	// rooms. Default 4096; the next one gets ErrBusy.
	MaxWaiting int
	// OnRetry, when set, hears about an event that is still not acked, about
	// once a second per call. It must not block.
	OnRetry func(room subjects.Room, waited time.Duration, err error)
	Log     *slog.Logger
}

// MaxRetry is the longest time in which a repeated publish is certain to be
// recognised, given the shortest duplicate window that a stream may have.
const MaxRetry = MinDuplicates - 5*time.Second

// Validate reports every value that cannot work. Zero values are defaults.
func (c PublisherConfig) Validate() error {
	var errs []error
	if c.Retry < 0 || c.Retry > MaxRetry {
		errs = append(errs, fmt.Errorf("%w: publish retry %s: want at most %s, because the stream may forget message ids after %s", ErrConfig, c.Retry, MaxRetry, MinDuplicates))
	}
	if c.AckWait < 0 {
		errs = append(errs, fmt.Errorf("%w: publish ack wait %s: want more than 0", ErrConfig, c.AckWait))
	}
	if c.MaxWaiting < 0 {
		errs = append(errs, fmt.Errorf("%w: %d waiting publishers: want 1 or more", ErrConfig, c.MaxWaiting))
	}
	return errors.Join(errs...)
}

func (c PublisherConfig) withDefaults() PublisherConfig {
	if c.Stream == "" {
		c.Stream = subjects.StreamName
	}
	if c.Source == "" {
		c.Source = subjects.DefaultSource
	}
	if c.Retry == 0 {
		c.Retry = 20 * time.Second
	}
	if c.AckWait == 0 {
		c.AckWait = 2 * time.Second
	}
	if c.MaxWaiting == 0 {
		c.MaxWaiting = 4096
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Ack says that the stream holds an event.
type Ack struct {
	Seq uint64 // the event's place in the stream
	// Duplicate says that the stream held it already: a repeated publish, by
	// this call after a lost ack or by an earlier one.
	Duplicate bool
	ID        string // the event's id
}

// Publisher stores events in rooms. A call returns when the stream has acked
// the event or when it is clear why it will not; until then at most one event
// per room is on its way, so retries cannot change a room's order. Calls for one
// room take their turns in the order in which they came; different rooms go in
// parallel. Safe for concurrent use.
//
// The Nats-Msg-Id is not the bare event id but <room's subject>/<event id>: the
// stream recognises ids across all its subjects, and the same event in a second
// room is not a duplicate. Publishers that are not this type may use any scheme
// with that property.
type Publisher struct {
	nc    *nats.Conn
	cfg   PublisherConfig
	turns *turns

	mu      sync.Mutex
	flights map[string]context.CancelCauseFunc // by subject; ends the call that publishes there
	logged  time.Time
}

// NewPublisher returns a publisher on nc, which stays the caller's. It adds to
// the connection's error handler to learn of refused subjects, so make one
// publisher per connection and share it. It starts no goroutine and needs no
// closing. A bad cfg is an ErrConfig.
func NewPublisher(nc *nats.Conn, cfg PublisherConfig) (*Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	p := &Publisher{
		nc: nc, cfg: cfg,
		turns:   newTurns(cfg.MaxWaiting),
		flights: make(map[string]context.CancelCauseFunc),
	}
	before := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		p.refused(err)
		if before != nil {
			before(nc, sub, err)
		}
	})
	return p, nil
}

// Publish stores e in room. Errors that repeating cannot mend come at once: an
// *subjects.InvalidEventError, ErrTooLarge, ErrStoreFull, ErrNotPermitted. Otherwise
// it retries for the configured time or until ctx ends, and then returns
// ErrUnavailable when the event is certainly not stored, ErrUnknownOutcome when it
// may be; beside the latter there may be one of those above, from a later attempt.
func (p *Publisher) Publish(ctx context.Context, room subjects.Room, e subjects.Event) (Ack, error) {
	if err := checkPublish(room, e); err != nil {
		return Ack{}, err
	}
	done, err := p.turns.take(ctx, room)
	if err != nil {
		return Ack{}, fmt.Errorf("publish to %s: %w", room, err)
	}
	defer done()
	return p.publish(ctx, letter{room, e, e.AppendJSON(nil)})
}

// PublishData stores an event of the catalogue, or of any other type that knows
// its name, with a new id and the present time.
func (p *Publisher) PublishData(ctx context.Context, room subjects.Room, data subjects.Typed) (Ack, error) {
	e, err := subjects.NewEvent(data)
	if err != nil {
		return Ack{}, fmt.Errorf("publish to %s: %w", room, err)
	}
	e.Source = p.cfg.Source
	return p.Publish(ctx, room, e)
}

func checkPublish(room subjects.Room, e subjects.Event) error {
	if err := room.Validate(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := e.Validate(); err != nil {
		return fmt.Errorf("publish to %s: %w", room, err)
	}
	return nil
}

// publish stores one event; the caller has the room's turn.
func (p *Publisher) publish(ctx context.Context, l letter) (Ack, error) {
	m := p.message(l)
	flight, land := p.takeOff(ctx, m)
	defer land()
	reply, err := p.persist(flight, l.room, func(ctx context.Context) (pubAck, error) {
		return p.send(ctx, m)
	})
	if err != nil {
		return Ack{}, fmt.Errorf("publish to %s: %w", l.room, p.explain(ctx, err, m))
	}
	if reply.Duplicate {
		// The stored one may never have been announced.
		_ = p.nc.Publish(l.room.Nudge(), nil) // the edges' audit finds it too
	}
	return Ack{Seq: reply.Seq, Duplicate: reply.Duplicate, ID: l.event.ID}, nil
}

func (p *Publisher) message(l letter) *nats.Msg {
	subject := l.room.Subject()
	return &nats.Msg{
		Subject: subject,
		Header:  nats.Header{nats.MsgIdHdr: {messageID(subject, l.event.ID)}},
		Data:    l.payload,
	}
}

// messageID is unique per room and event, and safe in a header line.
func messageID(subject, id string) string {
	return subject + "/" + url.PathEscape(id)
}

// send publishes m and waits for its ack.
func (p *Publisher) send(ctx context.Context, m *nats.Msg) (pubAck, error) {
	reply, err := p.request(ctx, m)
	if err != nil {
		return pubAck{}, err
	}
	return decodeAck(reply, p.cfg.Stream)
}

// request publishes m and waits for one answer, up to AckWait.
func (p *Publisher) request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	if p.nc.IsClosed() {
		return nil, nats.ErrConnectionClosed
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.AckWait, errNoAck)
	defer cancel()
	reply, err := p.nc.RequestMsgWithContext(ctx, m)
	if errors.Is(err, nats.ErrConnectionClosed) {
		return nil, fmt.Errorf("%w: %w", errNoAck, err) // it was open before
	}
	if err == nil || ctx.Err() == nil {
		return reply, err
	}
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrNotPermitted) || errors.Is(cause, errNoAck) {
		return nil, cause
	}
	return nil, fmt.Errorf("%w: %w", errNoAck, cause) // the caller's patience ended
}

// takeOff returns a context that ends when the server does not permit one of the
// messages, until land is called. The caller has the turns of their rooms.
func (p *Publisher) takeOff(ctx context.Context, messages ...*nats.Msg) (flight context.Context, land func()) {
	flight, refuse := context.WithCancelCause(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range messages {
		p.flights[m.Subject] = refuse
	}
	return flight, func() {
		p.mu.Lock()
		for _, m := range messages {
			delete(p.flights, m.Subject)
		}
		p.mu.Unlock()
		refuse(nil)
	}
}

// refused ends the call that the server does not permit. It runs in the
// connection's callback goroutine.
func (p *Publisher) refused(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	_, rest, ok := strings.Cut(err.Error(), `Publish to "`)
	if !ok {
		return
	}
	subject, _, _ := strings.Cut(rest, `"`)
	p.mu.Lock()
	defer p.mu.Unlock()
	if refuse := p.flights[subject]; refuse != nil {
		refuse(fmt.Errorf("subject %s: %w", subject, ErrNotPermitted))
	}
}

const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 500 * time.Millisecond
	retryNotice  = time.Second
)

// persist repeats attempt until it succeeds, fails for good, or the retry time
// is over.
func (p *Publisher) persist(ctx context.Context, room subjects.Room, attempt func(context.Context) (pubAck, error)) (pubAck, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.Retry, errRetryOver)
	defer cancel()
	var (
		last    error
		unknown bool // an attempt was sent of which nothing is known
		noticed = start
		backoff = firstBackoff
	)
	for {
		if ctx.Err() == nil {
			reply, err := attempt(ctx)
			if neverSent(err) {
				err = errNotUp
			}
			outcome := judge(err)
			if outcome == stored {
				return reply, nil
			}
			if outcome == refusedForGood {
				return pubAck{}, refusal(err, unknown)
			}
			unknown = unknown || outcome == outcomeUnknown
			last = err
		}
		if time.Since(noticed) >= retryNotice {
			noticed = time.Now()
			p.notice(ctx, room, time.Since(start), last)
		}
		select {
		case <-time.After(backoff + rand.N(backoff)): //nolint:gosec // spreads load, guards nothing
			backoff = min(2*backoff, maxBackoff)
		case <-ctx.Done():
			return pubAck{}, giveUp(context.Cause(ctx), last, unknown)
		}
	}
}

// refusal is an error of one attempt after which no other will be made. It says
// nothing of those before.
func refusal(err error, unknown bool) error {
	if unknown {
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return err
}

// giveUp says truthfully what is known of an event that was not acked.
func giveUp(cause, last error, unknown bool) error {
	if errors.Is(cause, ErrNotPermitted) {
		return refusal(cause, unknown)
	}
	if last == nil {
		return cause // the caller's context had ended before anything was tried
	}
	kind := ErrUnavailable
	if unknown {
		kind = ErrUnknownOutcome
	}
	return fmt.Errorf("%w: %w: %w", kind, cause, last)
}

// notice tells that a publish is being retried; the log gets a line a second at
// most, whatever the number of rooms.
func (p *Publisher) notice(ctx context.Context, room subjects.Room, waited time.Duration, err error) {
	if p.cfg.OnRetry != nil {
		p.cfg.OnRetry(room, waited, err)
	}
	p.mu.Lock()
	due := time.Since(p.logged) >= retryNotice
	if due {
		p.logged = time.Now()
	}
	p.mu.Unlock()
	if due {
		p.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "publish retrying",
			slog.String("room", room.String()), slog.Duration("waited", waited), errAttr(err))
	}
}

// explain adds to a refusal what the caller needs to mend it.
func (p *Publisher) explain(ctx context.Context, err error, messages ...*nats.Msg) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %d bytes with headers, the server takes %d (max_payload): %w", ErrTooLarge, largest(messages), p.nc.MaxPayload(), err)
	case errors.Is(err, ErrTooLarge):
		info, infoErr := FetchStreamInfo(ctx, p.nc, p.cfg.Stream)
		if infoErr != nil {
			return fmt.Errorf("%w: %d bytes with headers exceed the stream's max_msg_size", err, largest(messages))
		}
		return fmt.Errorf("%w: %d bytes with headers, the stream takes %d (max_msg_size)", err, largest(messages), info.MaxMsgSize)
	}
	return err
}

// largest is the size of the largest message as servers count it, in bytes.
func largest(messages []*nats.Msg) int {
	size := 0
	for _, m := range messages {
		size = max(size, m.Size()-len(m.Subject))
	}
	return size
}
