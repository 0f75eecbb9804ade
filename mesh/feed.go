package mesh

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

// FeedConfig configures a [Feed]. Start from [DefaultFeedConfig].
type FeedConfig struct {
	// Edge names this node: letters, digits, '-' and '_', at most 64. Two edges of one mesh must
	// not share a name at the same time.
	Edge string
	// Dial says how NATS is reached. The feed opens two connections, so that reads of the stream
	// never hold up live events. Its hooks are the feed's own.
	Dial DialConfig
	// Stream is created or checked at start.
	Stream StreamConfig
	// Linger is how long a room is followed after its last member left (default 45 s); it makes a
	// reload or a short absence cheap.
	Linger time.Duration
	// Lingering bounds the rooms that are followed for nobody (default 65,536): whoever may join any room
	// of a kind could fill the memory with them. Beyond it a room is given up at the next look.
	Lingering int
	// Audit is how often every room is compared with the stream (default 30 s), and Settle how long
	// after the last event or join of a room that room is (default 2 s; 0: not at all). A lost last event
	// is found by one of them.
	Audit, Settle time.Duration
	// RingEntries (256) and RingBytes (64 KiB) bound what a room keeps to serve resumes from memory;
	// TotalRingBytes (64 MiB) bounds all of them together.
	RingEntries, RingBytes, TotalRingBytes int
	// Validate is asked about each event before it is delivered; nil accepts all. It is called from
	// several goroutines of the feed at a time.
	Validate func(subjects.Event) error
	// Encode builds the frame that all receivers of an event share; it is never changed afterwards.
	// prev is the sequence of the frame sent before it in the room. Called from the feed's loop.
	Encode func(room subjects.Room, m continuity.Message, prev uint64) []byte
	// Metrics receives the feed's collectors; nil keeps them to itself.
	Metrics prometheus.Registerer
}

// DefaultFeedConfig returns the defaults; Edge, Dial and Encode are the caller's.
func DefaultFeedConfig() FeedConfig {
	return FeedConfig{
		Stream:         DefaultStreamConfig(),
		Linger:         45 * time.Second,
		Lingering:      1 << 16,
		Audit:          30 * time.Second,
		Settle:         2 * time.Second,
		RingEntries:    256,
		RingBytes:      64 << 10,
		TotalRingBytes: 64 << 20,
	}
}

// validate reports what cannot work.
func (c FeedConfig) validate() error {
	if err := subjects.ValidateEdge(c.Edge); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	switch {
	case c.Encode == nil:
		return fmt.Errorf("%w: feed without Encode", ErrConfig)
	case c.Linger < 0, c.Lingering < 0, c.Settle < 0, c.Audit <= 0:
		return fmt.Errorf("%w: linger, lingering and settle must not be negative and audit must be positive", ErrConfig)
	case c.RingEntries < 1, c.RingBytes < 1, c.TotalRingBytes < 1:
		return fmt.Errorf("%w: ring bounds must be positive", ErrConfig)
	}
	return c.Stream.Validate()
}

// Subscriber receives what the feed has for its members, one call at a time and in order, and must go
// on doing so until [Feed.Run] has ended. The slice is the feed's, so what is kept is copied.
type Subscriber interface {
	// Offer is asked first when the feed has nothing else to do. It takes the deliveries when they are
	// little work that can be done at once, never waits, and returns whether it took them.
	Offer(deliveries []Delivery) bool
	// Post takes them. It may wait for room but not for the network, nor for anything that waits for
	// the feed.
	Post(deliveries []Delivery)
}

// DeliveryKind tells deliveries apart.
type DeliveryKind uint8

const (
	// DeliverEvent carries the next entry of a room, for every member.
	DeliverEvent DeliveryKind = iota
	// DeliverJoined answers one Join: from here on the ticket's owner is a member. The subscriber
	// owes a Leave for it, also when the owner has gone meanwhile.
	DeliverJoined
	// DeliverReset tells every member of the room that continuity was lost, with the reason. What
	// comes next follows the answer's position.
	DeliverReset
)

// Delivery is one thing that a feed tells a subscriber.
type Delivery struct {
	Kind   DeliveryKind
	Room   subjects.Room
	Entry  continuity.Entry   // DeliverEvent
	Answer *continuity.Answer // DeliverJoined, DeliverReset; shared, not to be changed
	Ticket any                // DeliverJoined: as it was given
}

// Join asks for a room. The answer comes as a Delivery.
type Join struct {
	Room   subjects.Room
	Since  *continuity.Position // nil: from now on
	Ticket any
	// CatchUp is true for a member that fell behind and wants what it missed; it is counted already
	// and owes no further Leave. With MaxBytes its answer can be Partial, of about so much; it asks on
	// from there.
	CatchUp  bool
	MaxBytes int
}

// Feed follows the rooms that this edge's clients are in: it keeps each in order, repairs gaps from
// the stream and answers joins with proof of what was missed. Methods may be called from any goroutine
// and never wait. The state of all rooms belongs to whoever holds turn: the loop, or, when a few live
// messages come while it is at rest, the goroutine that reads them. What reads the stream runs beside
// the loop and hands its result to it; the loop itself waits for nothing but a subscriber's Post.
type Feed struct {
	cfg     FeedConfig
	log     *slog.Logger
	metrics *feedMetrics
	ready   readiness

	subscribers []Subscriber

	turn     sync.Mutex // guards what follows, down to live
	looping  bool
	rules    continuity.Config
	rooms    map[subjects.Room]*feedRoom
	byKey    map[string]*feedRoom
	idle     map[*feedRoom]time.Time // since when nobody wants them
	settling settling
	outboxes [][]Delivery
	effects  continuity.Effects
	rings    int // bytes in all rings
	round    roundState
	refresh  refreshState
	mark     *time.Timer
	overrun  bool  // live messages may have been dropped for want of space
	jobs     []job // reads of rooms that wait for their turn
	running  int   // reads of rooms under way
	vital    []job // what is started at once, one of each kind at a time

	live, control *nats.Conn
	reader        *directReader
	messages      chan *nats.Msg
	results       chan func() // run by the loop
	workers       sync.WaitGroup

	wake      chan struct{}
	disturbed atomic.Bool // something may have been missed: compare all rooms with the stream
	mu        sync.Mutex  // guards requests
	requests  []request
}

type request struct {
	subscriber int
	leave      bool
	join       Join
}

const (
	liveQueue  = 1 << 16 // live messages waiting for the loop; what NATS drops beyond it is repaired
	liveBatch  = 1024    // live messages handled between two looks at other work
	maxJobs    = 32      // reads of rooms at a time
	feedBuffer = 4096    // live messages held per room while it syncs or repairs
)

// NewFeed returns a feed; nothing happens before [Feed.Run].
func NewFeed(cfg FeedConfig, log *slog.Logger) (*Feed, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	f := &Feed{
		cfg:      cfg,
		log:      log,
		metrics:  newFeedMetrics(cfg.Metrics),
		rooms:    make(map[subjects.Room]*feedRoom),
		byKey:    make(map[string]*feedRoom),
		idle:     make(map[*feedRoom]time.Time),
		settling: settling{after: cfg.Settle},
		messages: make(chan *nats.Msg, liveQueue),
		results:  make(chan func(), maxJobs),
		wake:     make(chan struct{}, 1),
		rules: continuity.Config{
			RingEntries: cfg.RingEntries,
			RingBytes:   cfg.RingBytes,
			Buffer:      feedBuffer,
			Encode:      cfg.Encode,
		},
	}
	f.ready.set(aboutStream, "starting")
	return f, nil
}

// Subscribe adds a subscriber and returns its number for Join and Leave. Call it before Run.
func (f *Feed) Subscribe(s Subscriber) int {
	f.subscribers = append(f.subscribers, s)
	f.outboxes = append(f.outboxes, nil)
	return len(f.subscribers) - 1
}

// Join asks for a room on behalf of a subscriber. It never waits; what is asked before the feed is
// ready is answered when it is. The caller bounds how much it asks for.
func (f *Feed) Join(subscriber int, j Join) {
	f.request(request{subscriber: subscriber, join: j})
}

// Leave gives up one membership that was answered with DeliverJoined.
func (f *Feed) Leave(subscriber int, room subjects.Room) {
	f.request(request{subscriber: subscriber, leave: true, join: Join{Room: room}})
}

func (f *Feed) request(r request) {
	f.mu.Lock()
	f.requests = append(f.requests, r)
	f.mu.Unlock()
	f.rouse()
}

// rouse makes the loop look at requests and at disturbed. It never waits.
func (f *Feed) rouse() {
	select {
	case f.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Ready returns nil while the feed follows the stream and an embedded server is well, and otherwise says
// what is missing.
func (f *Feed) Ready() error {
	if err := f.ready.err(); err != nil {
		return err
	}
	if server := f.cfg.Dial.Server; server != nil {
		return server.Health()
	}
	return nil
}

// Run connects, creates or checks the stream, and follows rooms until ctx ends. It waits for a NATS
// that is not there yet. It returns an error at once when trying again cannot help: a bad
// configuration, or a stream that the continuity proof cannot rest on.
func (f *Feed) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer f.workers.Wait()
	defer cancel()
	defer f.ready.set(aboutStream, "stopped")
	err := f.connect(ctx)
	if f.live != nil {
		defer f.live.Close()
	}
	if f.control != nil {
		defer f.control.Close()
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	f.loop(ctx)
	return nil
}

func (f *Feed) loop(ctx context.Context) {
	audit := time.NewTicker(f.cfg.Audit)
	defer audit.Stop()
	tidy := time.NewTicker(time.Second)
	defer tidy.Stop()
	settle := time.NewTicker(f.settling.interval())
	defer settle.Stop()
	f.mark = time.NewTimer(0)
	defer f.mark.Stop()
	f.beginLoop(true)
	defer f.beginLoop(false)
	f.rouse() // something may have come already
	for {
		var apply func()
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case apply = <-f.results:
		case <-audit.C:
			apply = f.auditAll
		case <-settle.C:
			apply = func() { f.settling.advance(time.Now(), f.queueLater) }
		case <-tidy.C:
			apply = func() { f.forgetIdle(time.Now()) }
		case <-f.mark.C:
			apply = func() { f.vital = append(f.vital, f.publishMark) }
		}
		f.turn.Lock()
		if apply != nil {
			apply()
		}
		f.work(ctx)
		f.turn.Unlock()
	}
}

func (f *Feed) beginLoop(looping bool) {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.looping = looping
}

// work does what there is to do, of live messages so many that the rest has its turn.
func (f *Feed) work(ctx context.Context) {
	f.handleLive(liveBatch)
	if f.disturbed.Swap(false) {
		f.auditAll()
	}
	f.onRequests()
	f.startRound()
	f.startJobs(ctx)
	busy := len(f.messages) > 0
	if busy {
		f.rouse()
	}
	f.flush(busy)
}

// drained is called by the goroutine that reads live messages, when it has put all that it read into
// the channel and is about to wait for more. A few are handled right here.
func (f *Feed) drained() {
	waiting := len(f.messages)
	switch {
	case waiting == 0:
		return
	case waiting > fewMessages || !f.turn.TryLock():
		f.rouse()
		return
	}
	defer f.turn.Unlock()
	if !f.looping {
		return // the loop looks when it begins
	}
	f.handleLive(waiting)
	if !f.offer() || len(f.vital)+len(f.jobs)+len(f.round.now)+len(f.round.later) > 0 {
		f.rouse()
	}
}

// fewMessages is how many live messages are handled without waking the loop.
const fewMessages = 16

// offer hands the subscribers what has gathered if that is little, and returns whether nothing is left.
func (f *Feed) offer() bool {
	all := true
	for i, out := range f.outboxes {
		switch {
		case len(out) == 0:
		case f.subscribers[i].Offer(out):
			f.emptied(i)
		default:
			all = false
		}
	}
	return all
}

// flush hands the subscribers what has gathered, one wake-up each.
func (f *Feed) flush(busy bool) {
	if !busy && f.offer() {
		return
	}
	for i, out := range f.outboxes {
		if len(out) > 0 {
			f.subscribers[i].Post(out)
			f.emptied(i)
		}
	}
}

// emptied makes an outbox ready for more.
func (f *Feed) emptied(i int) {
	out := f.outboxes[i]
	clear(out)
	f.outboxes[i] = out[:0]
	if cap(out) > 4*liveBatch {
		f.outboxes[i] = nil // a storm's worth is not kept
	}
}

// job is work beside the loop, which runs what it returns (unless nil).
type job func(ctx context.Context) (apply func())

func (f *Feed) startJobs(ctx context.Context) {
	for _, j := range f.vital {
		f.workers.Go(func() { f.post(ctx, j(ctx)) })
	}
	f.vital = f.vital[:0]
	for len(f.jobs) > 0 && f.running < maxJobs {
		j := f.jobs[0]
		f.jobs[0] = nil
		f.jobs = f.jobs[1:]
		f.running++
		f.workers.Go(func() {
			apply := j(ctx)
			f.post(ctx, func() {
				f.running--
				if apply != nil {
					apply()
				}
			})
		})
	}
}

// post runs apply on the loop. Only workers call it: it may wait for the loop.
func (f *Feed) post(ctx context.Context, apply func()) {
	if apply == nil {
		return
	}
	select {
	case f.results <- apply:
	case <-ctx.Done():
	}
}
