package authz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxJWKSBytes bounds the answer of a key server.
const maxJWKSBytes = 512 << 10

var (
	errNeverFetched = errors.New("the key set was not fetched yet")
	errNotDue       = errors.New("the key set was asked for a moment ago")
)

// keySet is the issuer's key set, kept fresh. Only the goroutine of run makes requests; lookup may ask it for one and
// wait. Requests begin at least minInterval apart, whoever asked, and all who ask while one is wanted or under way share
// it. A fetch that fails, or brings no usable key, leaves the last good set in place.
type keySet struct {
	url                            string
	client                         *http.Client
	interval, minInterval, timeout time.Duration
	log                            *slog.Logger

	keys atomic.Pointer[[]key] // the last good set; nil before the first
	wake chan struct{}         // holds one signal: round was set

	mu      sync.Mutex
	state   runState
	round   *round    // wanted or under way; nil otherwise
	started time.Time // when the last request began
	lastErr error     // of the last request; nil if it succeeded
}

type runState int

const (
	notRunning runState = iota
	running
	ended
)

// round is one request that several goroutines may wait for.
type round struct {
	done chan struct{}
	err  error // written before done is closed
}

func newKeySet(cfg Config, log *slog.Logger) *keySet {
	client := cfg.HTTPClient
	if client == nil {
		client = newHTTPClient()
	}
	return &keySet{
		url:         cfg.JWKSURL,
		client:      client,
		interval:    cfg.JWKSInterval,
		minInterval: cfg.JWKSMinInterval,
		timeout:     cfg.JWKSTimeout,
		log:         log,
		wake:        make(chan struct{}, 1),
		lastErr:     errNeverFetched,
	}
}

func newHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errors.New("more than three redirects")
			}
			return checkJWKSURL(req.URL)
		},
	}
}

// run fetches at once, then every interval, every minInterval while the last fetch failed, and when lookup asks.
func (s *keySet) run(ctx context.Context) error {
	if !s.begin() {
		return ErrRanBefore
	}
	defer s.end()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
			if !s.wanted() { // a fetch by the timer has served that round already
				continue
			}
		case <-next.C:
		}
		next.Reset(s.refresh(ctx))
	}
}

// begin takes the only run and opens the round of the first fetch, so that a lookup from here on waits for it.
func (s *keySet) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != notRunning {
		return false
	}
	s.state = running
	s.round = &round{done: make(chan struct{})}
	return true
}

// end lets go of those who still wait.
func (s *keySet) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = ended
	s.finish(context.Canceled)
}

func (s *keySet) wanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.round != nil
}

// finish closes the open round, if there is one. s.mu is held.
func (s *keySet) finish(err error) {
	if s.round == nil {
		return
	}
	s.round.err = err
	close(s.round.done)
	s.round = nil
}

// refresh makes one request and returns how long to wait before the next.
func (s *keySet) refresh(ctx context.Context) time.Duration {
	s.mu.Lock()
	if s.round == nil {
		s.round = &round{done: make(chan struct{})}
	}
	s.started = time.Now()
	s.mu.Unlock()

	keys, ignored, err := s.fetch(ctx)
	if err == nil {
		s.store(ctx, keys, ignored)
	}

	s.mu.Lock()
	s.lastErr = err
	s.finish(err)
	s.mu.Unlock()

	if err != nil {
		if ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelWarn, "key set not refreshed, the last good one stays in use",
				slog.Bool("have_keys", s.keys.Load() != nil), slog.String("error", err.Error()))
		}
		return s.minInterval
	}
	return s.interval + time.Duration(rand.Int64N(int64(s.interval)/10+1)) //nolint:gosec // spreads load, guards nothing
}

// fetch requests the set and parses it. Its errors name the URL.
func (s *keySet) fetch(ctx context.Context) (keys []key, ignored []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	body, err := s.get(req)
	if err == nil {
		keys, ignored, err = parseJWKS(body)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("key set from %s: %w", redacted(req.URL), err)
	}
	return keys, ignored, nil
}

func (s *keySet) get(req *http.Request) ([]byte, error) {
	resp, err := s.client.Do(req)
	if err != nil {
		if whole, ok := errors.AsType[*url.Error](err); ok {
			err = whole.Err // the rest of it is the URL, query included
		}
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered with status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKSBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxJWKSBytes {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxJWKSBytes)
	}
	return body, nil
}

// store puts a good set into use and logs it when its key ids are others than before.
func (s *keySet) store(ctx context.Context, keys []key, ignored []string) {
	old := s.keys.Swap(&keys)
	if old != nil && slices.EqualFunc(*old, keys, func(a, b key) bool { return a.id == b.id }) {
		return
	}
	attrs := []slog.Attr{slog.Int("keys", len(keys)), slog.Int("ignored", len(ignored))}
	if len(ignored) > 0 {
		attrs = append(attrs, slog.String("first_ignored", ignored[0]))
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "key set changed", attrs...)
}

// lookup returns the keys that may have signed a token with this header; at least one.
func (s *keySet) lookup(ctx context.Context, h header) ([]key, *Denial) {
	keys, denial := s.find(h)
	if denial == nil || !denial.Retryable {
		return keys, denial
	}
	if err := s.want(ctx); err != nil {
		return nil, denial
	}
	keys, denial = s.find(h)
	if denial != nil { // the set is as new as this token, so waiting will not help
		denial.Retryable = false
	}
	return keys, denial
}

// find looks into the last good set. A denial is retryable when a newer set may decide otherwise.
func (s *keySet) find(h header) ([]key, *Denial) {
	set := s.keys.Load()
	if set == nil {
		return nil, &Denial{Rule: RuleKeysUnavailable, Reason: "the issuer's keys are not available yet", Retryable: true}
	}
	var found []key
	known := false
	for _, k := range *set {
		if h.named && k.id != h.kid {
			continue
		}
		known = true
		if k.method(h.alg) != nil {
			found = append(found, k)
		}
	}
	switch {
	case h.named && !known:
		return nil, &Denial{Rule: RuleUnknownKey, Reason: "kid names a key that the issuer does not publish", Retryable: true}
	case len(found) == 0:
		return nil, deny(RuleAlgorithm, "the issuer's key is not one for "+h.alg)
	case !h.named && len(found) > 1: // OpenID Connect Core 1.0 section 10.1
		return nil, deny(RuleUnknownKey, "the token has no kid, and the issuer publishes several keys for "+h.alg)
	}
	return found, nil
}

// want asks for a request and waits for its end. It returns at once when one is not due.
func (s *keySet) want(ctx context.Context) error {
	r := s.join()
	if r == nil {
		return errNotDue
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join returns the round that is wanted or under way. It opens one when a request is due, and returns nil when not.
func (s *keySet) join() *round {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.round != nil || s.state != running || time.Since(s.started) < s.minInterval {
		return s.round
	}
	s.round = &round{done: make(chan struct{})}
	select {
	case s.wake <- struct{}{}:
	default: // a signal for an earlier round is still in it and does as well
	}
	return s.round
}

// ready returns nil once there is a set, else why there is none.
func (s *keySet) ready() error {
	if s.keys.Load() != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastErr
}
