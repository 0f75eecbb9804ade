// Package edge terminates WebSockets: it checks tokens, lets clients into the rooms they may see,
// and hands every event of a room to all its members with one write each. Connections are spread
// over shards; a shard is one loop that owns its sessions and rooms, fed by readers and by the mesh
// through a bounded inbox. No code here waits on a client.
package edge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge/frames"
	"github.com/tidingsmesh/tidings/edge/upgrade"
	"github.com/tidingsmesh/tidings/edge/wire"
)

// Edge is one edge node. Create it with [New], and run it once.
type Edge struct {
	cfg       Config
	log       *slog.Logger
	metrics   *metrics
	admission *admission
	acceptor  *upgrade.Acceptor
	shards    []*shard
	started   time.Time
	next      atomic.Uint32 // shard for the next connection
	queued    atomic.Int64  // bytes in all backlogs
	open      atomic.Int64  // sessions not yet forgotten
	empty     chan struct{} // poked when open reaches 0
	draining  atomic.Bool
	// background waits for token checks that fetch keys.
	background sync.WaitGroup
	ctx        context.Context //nolint:containedctx // ends the background checks; set by Run
}

// New checks the configuration and builds the edge; nothing is started.
func New(cfg Config, log *slog.Logger) (*Edge, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Edge{
		cfg: cfg, log: log,
		admission: newAdmission(cfg.Limits.PerUser, cfg.Limits.PerAddress),
		started:   time.Now(),
		empty:     make(chan struct{}, 1),
	}
	e.metrics = newMetrics(cfg.Metrics, func() float64 { return float64(e.queued.Load()) })

	accept := upgrade.DefaultConfig()
	accept.Path = cfg.Path
	accept.Subprotocol = wire.Subprotocol
	accept.Origins = cfg.Origins
	accept.Deflate = cfg.DeflateFrom > 0
	accept.MaxHeadBytes = cfg.Limits.Handshake
	accept.MaxHeaders = cfg.Limits.Headers
	accept.Timeout = cfg.Limits.HandshakeTimeout
	accept.Check = e.check
	accept.Deliver = e.deliver
	accept.OnRefuse = func(reason string) { e.metrics.refused.WithLabelValues(reason).Inc() }
	epoll := cfg.Transport == TransportEpoll || cfg.Transport == TransportAuto && epollAvailable && !cfg.TLS
	if epoll {
		accept.DeliverDescriptor = e.deliverDescriptor
	}
	var err error
	if e.acceptor, err = upgrade.New(accept, log); err != nil {
		return nil, err
	}

	for n := range cfg.Shards {
		s := newShard(e, n)
		s.driver = newPortableDriver()
		if epoll {
			if s.driver, err = newEpollDriver(); err != nil {
				return nil, err
			}
		}
		s.number = cfg.Feed.Subscribe(s)
		e.shards = append(e.shards, s)
	}
	return e, nil
}

// Ready returns nil when clients can be served, and otherwise what is missing.
func (e *Edge) Ready() error {
	if e.draining.Load() {
		return errors.New("draining")
	}
	return errors.Join(e.cfg.Feed.Ready(), e.cfg.Verifier.Ready())
}

// Run serves the listener, which it owns, until ctx ends or something it needs fails, and then shuts
// down in order. Ending hard cuts the time short that clients are given for it. When Run returns,
// every goroutine it started has ended.
func (e *Edge) Run(ctx, hard context.Context, listener net.Listener) error {
	failed, fail := context.WithCancelCause(context.Background())
	defer fail(nil)
	feedCtx, stopFeed := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFeed()
	loopCtx, stopLoops := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLoops()
	acceptCtx, stopAccepting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAccepting()
	e.ctx = feedCtx

	var feed, loops, drivers, servers tasks
	feed.start(fail, func() error { return e.cfg.Feed.Run(feedCtx) })
	feed.start(fail, func() error { return e.cfg.Verifier.Run(feedCtx) })
	for _, s := range e.shards {
		loops.start(fail, func() error { s.run(loopCtx); return nil })
		drivers.start(fail, func() error { s.driver.run(); return nil })
	}
	var requests sync.WaitGroup
	web := e.webServer(&requests)
	servers.start(fail, func() error { return e.acceptor.Serve(acceptCtx, listener) })
	servers.start(fail, func() error { return ignoreClosed(web.Serve(e.acceptor.HTTPListener())) })

	select {
	case <-ctx.Done():
	case <-failed.Done():
	}

	// The orderly shutdown. Each step needs the ones before it.
	e.draining.Store(true)                               // 1. not ready: new clients go elsewhere
	e.tell(commandDrain)                                 // 2. those who are here are asked to move, by and by
	e.waitEmpty(e.cfg.Drain, hard.Done(), failed.Done()) // 3. and get the time for it
	stopAccepting()                                      // 4. no connection is accepted
	e.tell(commandClose)                                 // 5. who is left is told so, with 4503
	e.waitEmpty(lingerDeadline, hard.Done(), nil)        // 6. and has a moment to read it
	_ = web.Close()                                      // 7. plain requests end
	err := servers.wait()
	requests.Wait()
	e.tell(commandCut) // 8. no connection is left
	e.waitEmpty(time.Hour, nil, nil)
	for _, s := range e.shards {
		s.driver.stop() // 9. nobody reads
	}
	err = errors.Join(err, drivers.wait())
	stopFeed() // 10. the mesh is left, and no token is being checked
	err = errors.Join(err, feed.wait())
	e.background.Wait()
	stopLoops() // 11. nothing is sent
	return errors.Join(err, loops.wait())
}

// lingerDeadline is a little longer than a shard gives a closing client.
const lingerDeadline = linger + 2*time.Second

// tell gives every shard a command.
func (e *Edge) tell(c command) {
	for _, s := range e.shards {
		s.commands <- c
	}
}

// waitEmpty waits until no session is left, for at most d, or until one of the channels is closed.
func (e *Edge) waitEmpty(d time.Duration, hurry, failed <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for e.open.Load() > 0 {
		select {
		case <-e.empty:
		case <-timer.C:
			return
		case <-hurry:
			return
		case <-failed:
			return
		}
	}
}

// webServer serves what is no WebSocket. requests counts its connections and what is made of them. They count for their
// address like WebSockets do, and neither a request nor its answer gets more time than a WebSocket without progress: who
// holds files here would lock out clients.
func (e *Edge) webServer(requests *sync.WaitGroup) *http.Server {
	mux := http.NewServeMux()
	mux.Handle(e.cfg.Path, e.acceptor)
	if e.cfg.PollPath != "" {
		mux.HandleFunc(e.cfg.PollPath, e.servePoll)
	}
	if e.cfg.Handler != nil {
		mux.Handle("/", e.cfg.Handler)
	}
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1) // beside its connection, which an upgrade takes away
			defer requests.Done()
			if r.URL.Path != e.cfg.PollPath && e.addressOver(r) { // a poll says so itself, in its own way
				e.refuseAddress(w)
				return
			}
			mux.ServeHTTP(w, r)
		}),
		ConnState: func(conn net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				requests.Add(1)
				e.admission.countAddress(addressOf(conn))
			case http.StateClosed, http.StateHijacked:
				e.admission.leaveAddress(addressOf(conn))
				requests.Done()
			case http.StateActive, http.StateIdle:
			}
		},
		ReadHeaderTimeout: e.cfg.Limits.HandshakeTimeout,
		ReadTimeout:       e.cfg.Limits.SlowTimeout,
		WriteTimeout:      2 * e.cfg.Limits.SlowTimeout, // it runs from the head on, while the body is read too
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
	}
}

// addressOver reports whether the address of a plain request has more connections than its share.
func (e *Edge) addressOver(r *http.Request) bool {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	return e.admission.addressOver(from.Addr().Unmap())
}

// refuseAddress answers a plain request of an address that has its share of connections, and ends this one.
func (e *Edge) refuseAddress(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Connection", "close")
	h.Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	http.Error(w, limitText("connections per address", e.cfg.Limits.PerAddress), http.StatusTooManyRequests)
}

// addressOf is the address of a peer; invalid when it is not TCP.
func addressOf(conn net.Conn) netip.Addr {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}

// check decides on a handshake: is there room for the address, and is its token good if it has one?
func (e *Edge) check(ctx context.Context, r *upgrade.Request) *upgrade.Refusal {
	if e.draining.Load() {
		return &upgrade.Refusal{Status: http.StatusServiceUnavailable, Reason: "draining", Message: "this edge is draining: connect to another", RetryAfter: time.Second}
	}
	if e.admission.addressFull(r.RemoteAddr) {
		return &upgrade.Refusal{
			Status: http.StatusTooManyRequests, Reason: "address_limit",
			Message: limitText("connections per address", e.cfg.Limits.PerAddress), RetryAfter: retryAfter,
		}
	}
	if r.Token == "" {
		return nil
	}
	p, no := e.verify(ctx, r.Token)
	switch {
	case no == nil:
	case no.code == uint16(wire.CodeUnauthorized):
		return &upgrade.Refusal{Status: http.StatusUnauthorized, Reason: upgrade.ReasonToken, Message: no.reason}
	default:
		return &upgrade.Refusal{Status: http.StatusServiceUnavailable, Reason: "keys", Message: no.reason, RetryAfter: retryAfter}
	}
	r.Value = &p
	return nil
}

// deliver takes an upgraded connection to a shard.
func (e *Edge) deliver(conn upgrade.Conn) {
	c := e.newSession(conn.Request)
	c.shard.driver.attach(conn, c)
}

// deliverDescriptor is deliver for a socket that is no net.Conn.
func (e *Edge) deliverDescriptor(fd int, early []byte, r *upgrade.Request) {
	c := e.newSession(r)
	c.shard.driver.(descriptorDriver).attachDescriptor(fd, early, c) //nolint:errcheck // it is asked for only with such drivers
}

func (e *Edge) newSession(r *upgrade.Request) *session {
	c := &session{
		reader:   frames.NewReader(e.cfg.Limits.Message, r.Deflate),
		deflate:  r.Deflate,
		address:  r.RemoteAddr,
		admitted: e.admission.enterAddress(r.RemoteAddr),
	}
	c.preset, _ = r.Value.(*authz.Principal)
	e.metrics.opened.Inc()
	e.enter(c)
	return c
}

// enter gives a session its shard.
func (e *Edge) enter(c *session) {
	c.shard = e.shards[e.next.Add(1)%uint32(len(e.shards))] //nolint:gosec // a handful of shards
	e.open.Add(1)
	e.metrics.connections.Inc()
	c.seen.Store(e.ticks())
}

// left is called by a shard for every session it forgets.
func (e *Edge) left() {
	e.metrics.connections.Dec()
	if e.open.Add(-1) == 0 {
		select {
		case e.empty <- struct{}{}:
		default:
		}
	}
}

// verify checks a token.
func (e *Edge) verify(ctx context.Context, token string) (authz.Principal, *refusal) {
	if limit := e.cfg.Limits.Token; len(token) > limit {
		e.metrics.tokens.WithLabelValues(authz.RuleTooLarge).Inc()
		return authz.Principal{}, &refusal{uint16(wire.CodeUnauthorized), "token refused: " + limitText("bytes of a token", limit)}
	}
	p, err := e.cfg.Verifier.Verify(ctx, token, time.Now())
	if err == nil {
		return p, nil
	}
	code := wire.CodeUnauthorized
	var denial *authz.Denial
	if errors.As(err, &denial) && denial.Retryable {
		code = wire.CodeInternal // not the token's fault: come again later with the same one
	}
	return authz.Principal{}, &refusal{uint16(code), e.countDenial(err)}
}

// countDenial counts a refused token and returns what the client may know about it.
func (e *Edge) countDenial(err error) string {
	var denial *authz.Denial
	if !errors.As(err, &denial) {
		e.metrics.tokens.WithLabelValues("internal").Inc()
		return "the token could not be checked"
	}
	e.metrics.tokens.WithLabelValues(denial.Rule).Inc()
	return "token refused: " + denial.Reason
}

// ticks is the edge's clock for timers: whole ticks since it started, from 1 on.
func (e *Edge) ticks() uint32 {
	return 1 + uint32(time.Since(e.started)/tick) //nolint:gosec // enough for 34 years
}

func (e *Edge) sessionID() string { return strings.ToLower(rand.Text()[:16]) }

const retryAfter = 30 * time.Second

func limitText(what string, limit int) string {
	return "limit of " + what + " is " + strconv.Itoa(limit)
}

// limitReason is the close reason of 4429.
func limitReason(what string, limit int) string {
	return fmt.Sprintf("retry_after=%d; %s", int(retryAfter/time.Second), limitText(what, limit))
}

// tasks are goroutines that are waited for together; the first that fails tells.
type tasks struct {
	wg   sync.WaitGroup
	mu   sync.Mutex // guards errs
	errs []error
}

func (t *tasks) start(fail context.CancelCauseFunc, f func() error) {
	t.wg.Go(func() {
		if err := f(); err != nil {
			t.mu.Lock()
			t.errs = append(t.errs, err)
			t.mu.Unlock()
			fail(err)
		}
	})
}

func (t *tasks) wait() error {
	t.wg.Wait()
	return errors.Join(t.errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func errAttr(err error) slog.Attr { return slog.String("error", err.Error()) }

// clip cuts s at n bytes without splitting a character.
func clip(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
