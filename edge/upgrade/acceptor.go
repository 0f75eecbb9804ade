// Package upgrade is the accept path of an edge: one listener for WebSocket and
// HTTP, hardened against what clients may send before they are known.
//
// An Acceptor reads each connection's first request head itself, under a limit
// of bytes, headers and total time, and is stricter than net/http about its
// form. A WebSocket handshake for the endpoint's path is checked and answered,
// and the connection is delivered together with every byte that came after the
// head. Any other request goes, with all its bytes, to a net/http server
// through HTTPListener. Bad input is refused with a 4xx status and never
// retried, logged at debug level and counted under a bounded set of reasons.
package upgrade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/time/rate"
)

// Waits after a failed accept, doubling from the first to the last, and the
// least time between two log lines about the same trouble.
const (
	firstBackoff = 5 * time.Millisecond
	lastBackoff  = time.Second
	logInterval  = 10 * time.Second
)

// Acceptor turns accepted connections into WebSocket connections and HTTP
// requests. Create one with New; its methods may be used concurrently.
type Acceptor struct {
	cfg      Config
	log      *slog.Logger
	origins  originPolicy
	upgrader ws.Upgrader
	// deflateUpgrader accepts permessage-deflate.
	deflateUpgrader ws.Upgrader
	refuseProtocol  *Refusal
	// These name the limit.
	refuseHeadTooLarge, refuseHeaders *Refusal
	http                              *httpListener
	buffers                           sync.Pool // of *[]byte with Config.MaxHeadBytes bytes

	served  atomic.Bool
	slots   chan struct{} // one per pending connection or running Accept
	pending pendingSet

	// Each logs one kind of trouble now and then.
	acceptTrouble, fullTrouble rate.Sometimes
}

// New makes an Acceptor, or says which setting is wrong. log must not be nil.
func New(cfg Config, log *slog.Logger) (*Acceptor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	origins, err := newOriginPolicy(cfg.Origins)
	if err != nil {
		return nil, err
	}
	return &Acceptor{
		cfg:             cfg,
		log:             log,
		origins:         origins,
		upgrader:        newUpgrader(cfg.Subprotocol, nil),
		deflateUpgrader: newUpgrader(cfg.Subprotocol, ws.HandshakeHeaderString(deflateAnswer)),
		refuseHeadTooLarge: refuse(http.StatusRequestHeaderFieldsTooLarge, ReasonHeadTooLarge,
			fmt.Sprintf("the request head is larger than %d bytes", cfg.MaxHeadBytes)),
		refuseHeaders: refuse(http.StatusRequestHeaderFieldsTooLarge, ReasonTooManyHeaders,
			fmt.Sprintf("the request has more than %d headers", cfg.MaxHeaders)),
		refuseProtocol: refuse(http.StatusBadRequest, ReasonSubprotocol,
			"Sec-WebSocket-Protocol must offer "+cfg.Subprotocol),
		http: newHTTPListener(),
		buffers: sync.Pool{New: func() any {
			b := make([]byte, cfg.MaxHeadBytes)
			return &b
		}},
		slots:         make(chan struct{}, cfg.MaxPending),
		pending:       pendingSet{conns: make(map[net.Conn]struct{})},
		acceptTrouble: rate.Sometimes{First: 1, Interval: logInterval},
		fullTrouble:   rate.Sometimes{First: 1, Interval: logInterval},
	}, nil
}

// HTTPListener returns the listener from which an http.Server takes the
// connections whose first request is no WebSocket handshake. Their deadlines
// are cleared: the http.Server needs timeouts of its own. It stays open when
// Serve returns and ends when closed, as http.Server.Shutdown does. Until a
// server accepts from it, plain requests are refused with 503.
//
// Upgrades that come as a later request of such a connection reach the
// http.Server as well; mount the Acceptor itself at Config.Path for them.
func (a *Acceptor) HTTPListener() net.Listener { return a.http }

// Serve accepts from the listeners, TCP or TLS (whose configuration must not
// offer h2), until ctx ends, and owns them from the call on. It then closes
// them, gives up the pending handshakes and returns nil when every goroutine it
// started has ended; connections delivered before are not touched. A listener
// that someone else closes ends Serve with its error; any other error of
// Accept, such as a full file table, is logged and tried again. An Acceptor
// serves only once. With Config.DeliverDescriptor only ctx ends it.
func (a *Acceptor) Serve(ctx context.Context, listeners ...net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var closer sync.WaitGroup
	closer.Go(func() {
		<-ctx.Done()
		for _, ln := range listeners {
			_ = ln.Close() // its Accept returns; nothing else can be done
		}
	})
	defer closer.Wait()
	defer cancel()
	if a.served.Swap(true) {
		return ErrServed
	}
	if len(listeners) > a.cfg.MaxPending {
		return fmt.Errorf("%w: max pending %d is less than the number of listeners", ErrConfig, a.cfg.MaxPending)
	}

	errs := make([]error, len(listeners))
	var loops sync.WaitGroup
	for i, ln := range listeners {
		loops.Go(func() {
			defer cancel() // all listeners or none
			errs[i] = a.accept(ctx, ln)
		})
	}
	loops.Wait()
	a.pending.abandon()
	return errors.Join(errs...)
}

// accept is the loop of one listener.
func (a *Acceptor) accept(ctx context.Context, ln net.Listener) error {
	acceptOne := func() error { return a.acceptOne(ctx, ln) }
	if l, err := a.newDirectListener(ctx, ln); err != nil {
		return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
	} else if l != nil {
		acceptOne = func() error { return a.acceptDirect(ctx, l) }
	}
	backoff := firstBackoff
	for {
		if !a.takeSlot(ctx) {
			return nil
		}
		err := acceptOne()
		switch {
		case err == nil:
			backoff = firstBackoff
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		}
		a.acceptTrouble.Do(func() {
			a.log.LogAttrs(ctx, slog.LevelError, "cannot accept connections, trying again; if files ran out, raise the limit (ulimit -n)",
				slog.String("listener", ln.Addr().String()), slog.String("error", err.Error()))
		})
		timer := time.NewTimer(backoff)
		select {
		case <-timer.C:
			backoff = min(2*backoff, lastBackoff)
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// acceptOne accepts one connection, for which there is a slot, and sees to it that the slot is given back.
func (a *Acceptor) acceptOne(ctx context.Context, ln net.Listener) error {
	conn, err := ln.Accept()
	if err != nil {
		<-a.slots
		return err
	}
	if !a.pending.add(conn) { // not while the loop runs
		_ = conn.Close()
		<-a.slots
		return nil
	}
	go a.handle(ctx, conn, nil, 0)
	return nil
}

// takeSlot waits until fewer than MaxPending connections are pending. It
// returns false when ctx ended first.
func (a *Acceptor) takeSlot(ctx context.Context) bool {
	select {
	case a.slots <- struct{}{}:
		return ctx.Err() == nil
	default:
	}
	a.fullTrouble.Do(func() {
		a.log.LogAttrs(ctx, slog.LevelWarn, "accepting pauses, too many handshakes are pending",
			slog.Int("max_pending", a.cfg.MaxPending))
	})
	select {
	case a.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
