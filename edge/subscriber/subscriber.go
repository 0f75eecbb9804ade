// Package subscriber is a Go client of edges: it is in rooms over one connection after the other, as
// docs/protocol.md says, and gives each event to a program once and in order, or tells that continuity
// was lost. `tidings sub` and the load tests are made of it.
package subscriber

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/edge/follow"
	"github.com/tidingsmesh/tidings/edge/wire"
)

const (
	// stableTime is how long a connection must have been up for the next loss to count as the first.
	stableTime = 10 * time.Second
	// tokenTravel is how long a token takes at most from its issuer to an edge that is well.
	tokenTravel = 5 * time.Second
	// maxRejoins is how many gaps one connection may have before it is given up for another.
	maxRejoins = 5
	// refsBytes bounds the rooms in one frame; with the largest token beside them they fit into the 16 KiB that a server
	// takes by default.
	refsBytes = 7 << 10
)

// Subscriber is in rooms. Create it with [New] and run it once; Join and Leave may be called from any goroutine. One loop
// owns everything else; the goroutines of its links send to it.
type Subscriber struct {
	cfg    Config
	client *http.Client

	rooms    []*follow.Room // in the order asked for
	byName   map[string]*follow.Room
	arrivals chan arrival
	links    sync.WaitGroup

	// current is the connection in use; nil while the next attempt is waited for. next is there while current is being
	// drained, and takes its place when it is welcomed.
	current, next *link
	turn          int              // the next of cfg.URLs
	retry         <-chan time.Time // the next attempt: at current, or when there is one at next; nil: none is due
	rejoin        <-chan time.Time // the next join of the rooms denied for now
	known         bool             // some server has welcomed us
	fresh         string           // the token to show next, after one was refused; "": to be asked for
	freshAt       time.Time        // when it was got
	// connects and joins space attempts; hops counts the moves to another server without any pause.
	connects, joins backoff
	hops            int

	wake   chan struct{}
	mu     sync.Mutex // guards orders
	orders []order
}

// order is a call of Join or Leave.
type order struct {
	room  string
	leave bool
}

// New returns a subscriber; nothing happens before Run.
func New(cfg Config) *Subscriber {
	transport := cfg.HTTP
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true} // leaves no connection behind
	}
	s := &Subscriber{
		cfg: cfg,
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		byName:   make(map[string]*follow.Room, len(cfg.Rooms)),
		arrivals: make(chan arrival),
		wake:     make(chan struct{}, 1),
	}
	for _, name := range cfg.Rooms {
		room := s.room(name)
		if at, ok := cfg.Since[name]; ok {
			room.At = &at
		}
	}
	return s
}

// Join enters a room, from now on, unless it is in it already.
func (s *Subscriber) Join(room string) { s.order(order{room: room}) }

// Leave leaves a room and forgets where it stood.
func (s *Subscriber) Leave(room string) { s.order(order{room: room, leave: true}) }

func (s *Subscriber) order(o order) {
	s.mu.Lock()
	s.orders = append(s.orders, o)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Places are the positions of the rooms that were joined, by name. Call it when Run has returned.
func (s *Subscriber) Places() map[string]wire.Position {
	places := make(map[string]wire.Position, len(s.rooms))
	for _, room := range s.rooms {
		if room.At != nil {
			places[room.Name] = *room.At
		}
	}
	return places
}

// Run subscribes until ctx ends, which is no error, until the observer returns one, or until going on is pointless (an
// *EndError). All goroutines have ended when it returns.
func (s *Subscriber) Run(ctx context.Context) error {
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
			return nil
		case a := <-s.arrivals:
			err = s.take(ctx, a)
		case <-s.wake:
			s.obey()
		case <-s.retry:
			s.connect(ctx)
		case <-s.rejoin:
			s.rejoinWaiting()
		}
		if err != nil {
			return err
		}
	}
}

func (s *Subscriber) room(name string) *follow.Room {
	room := s.byName[name]
	if room == nil {
		room = &follow.Room{Name: name}
		s.rooms = append(s.rooms, room)
		s.byName[name] = room
	}
	return room
}

// obey carries out what Join and Leave asked for.
func (s *Subscriber) obey() {
	s.mu.Lock()
	orders := s.orders
	s.orders = nil
	s.mu.Unlock()
	for _, o := range orders {
		room := s.byName[o.room]
		frame := wire.ClientFrame{Op: wire.OpJoin}
		switch {
		case o.leave && room == nil, !o.leave && room != nil && room.State != follow.Denied:
			continue
		case o.leave:
			frame = wire.ClientFrame{Op: wire.OpLeave, Rooms: []wire.RoomRef{{Room: o.room}}}
			delete(s.byName, o.room)
			s.rooms = slices.DeleteFunc(s.rooms, func(r *follow.Room) bool { return r == room })
		default:
			room = s.room(o.room)
			room.State = follow.Joining
			frame.Rooms = []wire.RoomRef{room.Ref()}
		}
		sent := false
		for _, l := range []*link{s.current, s.next} {
			if l != nil && l.conn != nil { // otherwise its hello is still to come, with the rooms as they are then
				s.send(l, frame)
				sent = true
			}
		}
		if o.leave && !sent {
			s.cfg.Observer.Sending(frame) // there is nobody to send it to, and it takes effect
		}
	}
}

// connect begins an attempt at the next server.
func (s *Subscriber) connect(ctx context.Context) {
	s.retry = nil
	url := s.cfg.URLs[s.turn]
	s.cfg.Observer.Link(LinkEvent{Kind: LinkDialing, URL: url})
	l := newLink(ctx, &s.cfg, url, s.fresh, s.arrivals)
	s.turn = (s.turn + 1) % len(s.cfg.URLs)
	if s.current == nil {
		s.current = l
	} else {
		s.next = l
	}
	s.links.Go(func() { l.run(s.client) })
}

func (s *Subscriber) take(ctx context.Context, a arrival) error {
	switch l := a.link; {
	case l != s.current && l != s.next:
		return nil // left behind
	case a.err != nil:
		return s.lost(ctx, l, a.err)
	case a.conn != nil:
		l.conn = a.conn
		s.join(l, wire.ClientFrame{Op: wire.OpHello, Token: l.token}, func(r *follow.Room) bool { return r.State != follow.Denied })
		return nil
	case a.token != "":
		if a.token != l.token {
			l.token = a.token
			s.send(l, wire.ClientFrame{Op: wire.OpToken, Token: a.token})
		}
		return nil
	default:
		return s.frame(ctx, l, a.frame, a.text)
	}
}

func (s *Subscriber) send(l *link, frame wire.ClientFrame) {
	shown := frame
	shown.Token = ""
	s.cfg.Observer.Sending(shown)
	l.send(frame)
}

// join sends first, and further joins if need be, with all the rooms that are wanted.
func (s *Subscriber) join(l *link, first wire.ClientFrame, wanted func(*follow.Room) bool) {
	frame, size := first, 0
	for _, room := range s.rooms {
		if !wanted(room) {
			continue
		}
		ref := room.Ref()
		text, err := json.Marshal(ref)
		if err != nil {
			continue // unreachable: it consists of strings and numbers
		}
		if size > 0 && size+len(text) > refsBytes {
			s.send(l, frame)
			frame, size = wire.ClientFrame{Op: wire.OpJoin}, 0
		}
		frame.Rooms = append(frame.Rooms, ref)
		size += len(text) + 1
	}
	if frame.Op == wire.OpHello || len(frame.Rooms) > 0 {
		s.send(l, frame)
	}
}

func (s *Subscriber) frame(ctx context.Context, l *link, f wire.ServerFrame, text []byte) error {
	room := s.byName[f.Room]
	outcome, replay := follow.Duplicate, false
	switch {
	case f.Op == wire.OpPing:
		l.send(wire.ClientFrame{Op: wire.OpPong})
		for _, room := range s.rooms {
			room.Refresh(f.TS)
		}
		return nil // tells nothing but that the connection lives
	case f.Op == wire.OpEvent && room == nil:
		return nil // of a room that was left
	case f.Op == wire.OpEvent:
		replay = room.Replaying()
		outcome = room.Event(f)
	}
	if err := s.cfg.Observer.Frame(f, text, outcome, replay); err != nil {
		return err
	}
	switch f.Op {
	case wire.OpWelcome:
		s.welcomed(l, f)
	case wire.OpTokenOK:
		s.renewLater(l, f.TTL)
	case wire.OpDrain:
		s.drain(l, time.Duration(f.Within)*time.Millisecond)
	case wire.OpJoined:
		return s.joined(ctx, l, room, f)
	case wire.OpLag:
		if room != nil {
			room.Lagged()
		}
	case wire.OpDenied:
		s.denied(room, f)
	case wire.OpEvent:
		if outcome == follow.Early {
			return s.gap(ctx, l, room)
		}
	default: // a newer server's
	}
	return nil
}

// joined takes the answer to a join, or a reset.
func (s *Subscriber) joined(ctx context.Context, l *link, room *follow.Room, f wire.ServerFrame) error {
	if room == nil {
		return nil // left
	}
	if room.Joined(f) && s.next != nil {
		// The other connection was opened with a position that is void now.
		s.links.Go(s.next.end)
		s.next = nil
		s.retry = time.After(s.connects.next())
	}
	if room.State == follow.Gap {
		return s.again(ctx, l, room)
	}
	return nil
}

// gap notes that an event is missing. Events that are under way are passed over: they will be replayed.
func (s *Subscriber) gap(ctx context.Context, l *link, room *follow.Room) error {
	if room.State != follow.Live {
		return nil
	}
	return s.again(ctx, l, room)
}

// again joins a room from where it stands.
func (s *Subscriber) again(ctx context.Context, l *link, room *follow.Room) error {
	if l.rejoins++; l.rejoins > maxRejoins {
		err := s.lost(ctx, l, fmt.Errorf("%s has a gap for the %dth time", room.Name, l.rejoins))
		s.links.Go(l.end)
		return err
	}
	room.State = follow.Gap
	s.send(l, wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{room.Ref()}})
	return nil
}

// denied notes a refusal of a room.
func (s *Subscriber) denied(room *follow.Room, f wire.ServerFrame) {
	switch {
	case room == nil:
	case !f.Retryable:
		room.State = follow.Denied
	default:
		room.State = follow.Waiting
		if s.rejoin == nil {
			s.rejoin = time.After(s.joins.next())
		}
	}
}

// rejoinWaiting tries the rooms again that were denied for now.
func (s *Subscriber) rejoinWaiting() {
	s.rejoin = nil
	if s.current == nil || s.current.welcome.IsZero() {
		return // hello will name them
	}
	waiting := func(r *follow.Room) bool { return r.State == follow.Waiting }
	s.join(s.current, wire.ClientFrame{Op: wire.OpJoin}, waiting)
	for _, room := range s.rooms {
		if waiting(room) {
			room.State = follow.Joining
		}
	}
}

func (s *Subscriber) welcomed(l *link, f wire.ServerFrame) {
	l.welcome = time.Now()
	s.known, s.fresh = true, ""
	kind := LinkConnected
	if l == s.next {
		s.links.Go(s.current.end)
		s.current, s.next = l, nil
		kind = LinkMoved
	}
	s.cfg.Observer.Link(LinkEvent{Kind: kind, URL: l.url, Edge: f.Edge})
	s.joins.reset()
	s.renewLater(l, f.TTL)
	for _, room := range s.rooms {
		room.Restart()
	}
}

// renewLater asks for a newer token when three quarters of the ttl (seconds) are over.
func (s *Subscriber) renewLater(l *link, ttl int64) {
	if ttl <= 0 {
		return // its last second: the edge will close, and the next hello brings a newer one
	}
	after := time.Duration(min(ttl, 1<<30)) * time.Second * 3 / 4
	if l.renewal != nil {
		l.renewal.Reset(after)
		return
	}
	l.renewal = time.AfterFunc(after, l.renew)
}

// drain plans the move to another server, at a random moment so that not all clients move at once, and soon enough for
// the move to be over when time is.
func (s *Subscriber) drain(l *link, within time.Duration) {
	if l != s.current || l.draining {
		return
	}
	l.draining = true
	s.settle(l)
	within = min(max(within, 0), maxRetryAfter)
	wait := rand.N(within*3/4 + 1) //nolint:gosec // spreads load, hides nothing
	s.retry = time.After(wait)
	s.cfg.Observer.Link(LinkEvent{Kind: LinkDraining, URL: l.url, Within: within, Next: s.cfg.URLs[s.turn], Wait: wait})
}

// lost handles the end of a connection.
func (s *Subscriber) lost(ctx context.Context, l *link, cause error) error {
	loss := lossOf(cause, s.known)
	if loss.token && !s.otherToken(ctx, l.token) || loss.final {
		return &EndError{URL: l.url, Reason: loss.reason, Token: loss.token}
	}
	if !loss.token {
		s.fresh = "" // by the next attempt that one may be over
	}
	s.settle(l)
	e := LinkEvent{Kind: LinkLost, URL: l.url, Reason: loss.reason, Code: loss.code}
	if l == s.next {
		s.next, e.Standby = nil, true
	} else if s.current, s.next = s.next, nil; s.current != nil {
		e.Kind = LinkSuperseded
		s.cfg.Observer.Link(e)
		return nil
	}
	e.Wait = loss.wait
	switch {
	case loss.token:
		e.Wait = soon() // no failure of the edge's, and the other token does not get any younger
	case loss.elsewhere && s.hops < len(s.cfg.URLs):
		s.hops++
	default:
		e.Wait += s.connects.next()
	}
	s.retry = time.After(e.Wait)
	e.Next = s.cfg.URLs[s.turn]
	s.cfg.Observer.Link(e)
	return nil
}

// otherToken sees to a token in place of one that was refused, unless that was such a one already. One that was long on
// its way to a slow edge may have been good when it was got, and does not count.
func (s *Subscriber) otherToken(ctx context.Context, refused string) bool {
	switch {
	case s.fresh != "" && refused != s.fresh:
		return true // got for the other connection
	case s.fresh != "" && time.Since(s.freshAt) < tokenTravel:
		return false
	}
	fresh, err := s.cfg.Token(ctx, refused)
	if err != nil || fresh == refused {
		return false
	}
	s.fresh, s.freshAt = fresh, time.Now()
	return true
}

// settle forgets earlier failures if the connection was a good one.
func (s *Subscriber) settle(l *link) {
	if !l.welcome.IsZero() && time.Since(l.welcome) >= stableTime {
		s.connects.reset()
		s.hops = 0
	}
}
