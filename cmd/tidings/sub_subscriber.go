package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/edge/follow"
	"github.com/tidingsmesh/tidings/edge/wire"
)

const (
	// stableTime is how long a connection must have been up for the next loss to count as the first.
	stableTime = 10 * time.Second
	// maxRejoins is how many gaps one connection may have before it is given up for another.
	maxRejoins = 5
	// refsBytes bounds the rooms in one frame; with the largest token beside them they fit into the 16 KiB that a server
	// takes by default.
	refsBytes = 7 << 10
)

var (
	errAllDenied   = errors.New("every room was denied")
	errNobodyReads = errors.New("nobody reads standard output") // the end of the subscriber, not told to anybody
)

type subscriberConfig struct {
	URLs  []string // at least one
	Token string
	Rooms []string       // at least one, each once
	Since *wire.Position // of the only room; nil: from now on
	Out   io.Writer      // frames, one a line; a slow reader holds up the connection, nothing is buffered
	Notes io.Writer      // what goes on, for people
}

// subscriber prints what happens in rooms, over one connection after the other. One loop owns everything; the goroutines
// of its links send to it.
type subscriber struct {
	cfg    subscriberConfig
	client *http.Client

	places   []*follow.Room // in the order asked for
	byRoom   map[string]*follow.Room
	arrivals chan arrival
	links    sync.WaitGroup

	// current is the connection in use; nil while the next attempt is waited for. next is there while current is being
	// drained, and takes its place when it is welcomed.
	current, next *link
	turn          int              // the next of cfg.URLs
	retry         <-chan time.Time // the next attempt: at current, or when there is one at next; nil: none is due
	rejoin        <-chan time.Time // the next join of the rooms denied for now
	known         bool             // some server has welcomed us
	// connects and joins space attempts; hops counts the moves to another server without any pause.
	connects, joins backoff
	hops            int
}

func newSubscriber(cfg subscriberConfig) *subscriber {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true} // leaves no connection behind
	s := &subscriber{
		cfg: cfg,
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		byRoom:   make(map[string]*follow.Room, len(cfg.Rooms)),
		arrivals: make(chan arrival),
	}
	for _, room := range cfg.Rooms {
		p := &follow.Room{Name: room}
		if cfg.Since != nil {
			at := *cfg.Since
			p.At = &at
		}
		s.places = append(s.places, p)
		s.byRoom[room] = p
	}
	return s
}

// run subscribes until ctx ends or nobody reads the output, which are no errors, or until going on is pointless. All
// goroutines have ended when it returns.
func (s *subscriber) run(ctx context.Context) error {
	defer s.links.Wait()
	defer func() {
		for _, l := range []*link{s.current, s.next} {
			if l != nil {
				s.links.Go(l.end)
			}
		}
	}()
	s.connect(ctx)
	for {
		var err error
		select {
		case <-ctx.Done():
			s.tellPlaces()
			return nil
		case a := <-s.arrivals:
			err = s.take(a)
		case <-s.retry:
			s.connect(ctx)
		case <-s.rejoin:
			s.rejoinWaiting()
		}
		switch {
		case errors.Is(err, errNobodyReads):
			s.tellPlaces()
			return nil
		case err != nil:
			return err
		}
	}
}

// connect begins an attempt at the next server.
func (s *subscriber) connect(ctx context.Context) {
	s.retry = nil
	l := newLink(ctx, s.cfg.URLs[s.turn], s.arrivals)
	s.turn = (s.turn + 1) % len(s.cfg.URLs)
	if s.current == nil {
		s.current = l
	} else {
		s.next = l
	}
	s.links.Go(func() { l.run(s.client) })
}

func (s *subscriber) take(a arrival) error {
	switch l := a.link; {
	case l != s.current && l != s.next:
		return nil // left behind
	case a.err != nil:
		return s.lost(l, a.err)
	case a.conn != nil:
		l.conn = a.conn
		s.join(l, wire.ClientFrame{Op: wire.OpHello, Token: s.cfg.Token}, func(p *follow.Room) bool { return p.State != follow.Denied })
		return nil
	default:
		return s.frame(l, a.frame, a.text)
	}
}

// join sends first, and further joins if need be, with all the places that are wanted.
func (s *subscriber) join(l *link, first wire.ClientFrame, wanted func(*follow.Room) bool) {
	frame, size := first, 0
	for _, p := range s.places {
		if !wanted(p) {
			continue
		}
		ref := p.Ref()
		text, err := json.Marshal(ref)
		if err != nil {
			continue // unreachable: it consists of strings and numbers
		}
		if size > 0 && size+len(text) > refsBytes {
			l.send(frame)
			frame, size = wire.ClientFrame{Op: wire.OpJoin}, 0
		}
		frame.Rooms = append(frame.Rooms, ref)
		size += len(text) + 1
	}
	if frame.Op == wire.OpHello || len(frame.Rooms) > 0 {
		l.send(frame)
	}
}

func (s *subscriber) frame(l *link, f wire.ServerFrame, text []byte) error {
	p := s.byRoom[f.Room]
	switch f.Op {
	case wire.OpPing:
		l.send(wire.ClientFrame{Op: wire.OpPong})
		for _, p := range s.places {
			p.Refresh(f.TS)
		}
		return nil // tells nothing but that the connection lives
	case wire.OpWelcome:
		s.welcomed(l, f)
	case wire.OpDrain:
		s.drain(l, time.Duration(f.Within)*time.Millisecond)
	case wire.OpJoined:
		if p != nil && p.Joined(f) && s.next != nil {
			// The other connection was opened with a position that is void now.
			s.links.Go(s.next.end)
			s.next = nil
			s.retry = time.After(s.connects.next())
		}
	case wire.OpLag:
		if p != nil {
			p.Lagged()
		}
	case wire.OpDenied:
		if err := s.print(text); err != nil {
			return err
		}
		return s.denied(p, f)
	case wire.OpEvent:
		return s.event(l, p, f, text)
	default: // a newer server's
	}
	return s.print(text)
}

func (s *subscriber) event(l *link, p *follow.Room, f wire.ServerFrame, text []byte) error {
	if p == nil {
		return nil // of no room that was asked for
	}
	switch p.Event(f) {
	case follow.New:
		return s.print(text)
	case follow.Early:
		return s.gap(l, p, f)
	default:
		return nil
	}
}

// gap joins a room again from where it stands. Events that were under way are passed over: they will be replayed.
func (s *subscriber) gap(l *link, p *follow.Room, f wire.ServerFrame) error {
	if p.State != follow.Live {
		return nil
	}
	if l.rejoins++; l.rejoins > maxRejoins {
		err := s.lost(l, fmt.Errorf("%s has a gap for the %dth time", p.Name, l.rejoins))
		s.links.Go(l.end)
		return err
	}
	s.note("%s: the event before %d is %d, not %d; joining again from there", p.Name, f.Seq, f.Prev, p.At.Seq)
	p.State = follow.Gap
	l.send(wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{p.Ref()}})
	return nil
}

// denied notes a refusal of a room, and ends the subscriber when none is left.
func (s *subscriber) denied(p *follow.Room, f wire.ServerFrame) error {
	if p == nil {
		return nil
	}
	if f.Retryable {
		p.State = follow.Waiting
		if s.rejoin == nil {
			s.rejoin = time.After(s.joins.next())
		}
		return nil
	}
	p.State = follow.Denied
	for _, p := range s.places {
		if p.State != follow.Denied {
			return nil
		}
	}
	return fmt.Errorf("%w; the last one, %s: %s", errAllDenied, f.Room, f.Message)
}

// rejoinWaiting tries the rooms again that were denied for now.
func (s *subscriber) rejoinWaiting() {
	s.rejoin = nil
	if s.current == nil || s.current.welcome.IsZero() {
		return // hello will name them
	}
	waiting := func(p *follow.Room) bool { return p.State == follow.Waiting }
	s.join(s.current, wire.ClientFrame{Op: wire.OpJoin}, waiting)
	for _, p := range s.places {
		if waiting(p) {
			p.State = follow.Joining
		}
	}
}

func (s *subscriber) welcomed(l *link, f wire.ServerFrame) {
	l.welcome = time.Now()
	s.known = true
	if l == s.next {
		s.links.Go(s.current.end)
		s.current, s.next = l, nil
		s.note("moved to %s, edge %s", showURL(l.url), f.Edge)
	} else {
		s.note("connected to %s, edge %s", showURL(l.url), f.Edge)
	}
	s.joins.reset()
	for _, p := range s.places {
		p.Restart()
	}
}

// drain plans the move to another server, at a random moment so that not all clients move at once, and soon enough for
// the move to be over when time is.
func (s *subscriber) drain(l *link, within time.Duration) {
	if l != s.current || l.draining {
		return
	}
	l.draining = true
	s.settle(l)
	within = min(max(within, 0), maxRetryAfter)
	wait := rand.N(within*3/4 + 1) //nolint:gosec // spreads load, hides nothing
	s.retry = time.After(wait)
	s.note("%s goes within %s; moving to %s in %s", showURL(l.url), display(within), showURL(s.cfg.URLs[s.turn]), tenths(wait))
}

// lost handles the end of a connection.
func (s *subscriber) lost(l *link, cause error) error {
	loss := lossOf(cause, s.known)
	if loss.final {
		return fmt.Errorf("%s: %s", showURL(l.url), loss.reason)
	}
	s.settle(l)
	if l == s.next {
		s.next = nil
	} else if s.current, s.next = s.next, nil; s.current != nil {
		s.note("lost %s: %s; another connection is on its way", showURL(l.url), loss.reason)
		return nil
	}
	wait := loss.wait
	if loss.elsewhere && s.hops < len(s.cfg.URLs) {
		s.hops++
	} else {
		wait += s.connects.next()
	}
	s.retry = time.After(wait)
	s.note("lost %s: %s; trying %s in %s", showURL(l.url), loss.reason, showURL(s.cfg.URLs[s.turn]), tenths(wait))
	return nil
}

// settle forgets earlier failures if the connection was a good one.
func (s *subscriber) settle(l *link) {
	if !l.welcome.IsZero() && time.Since(l.welcome) >= stableTime {
		s.connects.reset()
		s.hops = 0
	}
}
