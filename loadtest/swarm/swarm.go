package swarm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Swarm is running clients. Its methods may be called from any goroutine, but Finish and Close end it: call
// them once, in this order. When a worker has died, every method returns an error that says so.
type Swarm struct {
	workers []*workerProcess
	changed chan struct{} // has room for one: a report came, or a worker died

	mu    sync.Mutex // guards what the workers have reported, and err
	err   error
	ended bool
}

// Start starts the workers; the clients wait for Connect. The workers end with ctx, with Close, and when this
// process ends, in whatever way. The error says what is wrong with the configuration, that a host has no
// address, or why a worker does not start.
func Start(ctx context.Context, cfg Config) (*Swarm, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	servers, loopback, err := resolve(ctx, cfg.URLs)
	if err != nil {
		return nil, fmt.Errorf("swarm: %w", err)
	}
	n := cfg.Workers
	if n == 0 {
		n = workersFor(len(cfg.Clients))
	}
	s := &Swarm{changed: make(chan struct{}, 1)}
	first := 0
	for i := range n {
		last := len(cfg.Clients) * (i + 1) / n
		w, err := s.startWorker(ctx, i, cfg.Command, &setup{
			Dialect: cfg.Dialect, Servers: servers, Rooms: cfg.Rooms, Clients: cfg.Clients[first:last], First: first,
			Reconnect: cfg.Reconnect, Haste: int64(cfg.Haste), Spread: loopback && !cfg.OneAddress,
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("swarm: %w", err), s.Close())
		}
		s.workers = append(s.workers, w)
		first = last
	}
	return s, nil
}

// Connect makes clients begin to connect, so many per second in all; 0 is as fast as it goes, with a bound on
// the handshakes under way. It returns at once. A later call changes the rate.
func (s *Swarm) Connect(perSecond float64) error {
	return s.tell(command{Do: doConnect, Rate: perSecond / float64(len(s.workers))})
}

// Churn makes clients leave one of their rooms and join it again, that often per second in all, from now on;
// 0 stops. It returns at once.
func (s *Swarm) Churn(perSecond float64) error {
	return s.tell(command{Do: doChurn, Rate: perSecond / float64(len(s.workers))})
}

// Cut drops every connection at once, without farewell (RST). Clients come back if Config.Reconnect says so.
func (s *Swarm) Cut() error { return s.tell(command{Do: doCut}) }

// markAhead is the time that a mark needs to reach all workers.
const markAhead = 50 * time.Millisecond

// Mark starts the measured window a moment from now and returns when that is. Events that are meant to be
// sent from then on are in it; what belongs to the window in [Stats] starts over. It returns at once.
func (s *Swarm) Mark() (time.Time, error) {
	at := time.Now().Add(markAhead)
	return at, s.tell(command{Do: doMark, At: at.UnixNano()})
}

// Stats returns what all clients have seen. It is at most 250 ms old and cheap; the caller owns it.
func (s *Swarm) Stats() (Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := Stats{
		Failures: make(map[string]int), JoinTime: newHistogram(), Latency: newHistogram(), Reconnect: newHistogram(),
	}
	for _, w := range s.workers {
		sum.add(&w.last.Counts)
		sum.JoinTime.Merge(w.joinTime)
		sum.Latency.Merge(w.latency)
		sum.Reconnect.Merge(w.reconnect)
	}
	return sum, s.err
}

// PIDs are the processes of the workers.
func (s *Swarm) PIDs() []int {
	pids := make([]int, len(s.workers))
	for i, w := range s.workers {
		pids[i] = w.cmd.Process.Pid
	}
	return pids
}

// Finish waits until every client that has joined has each of its rooms' events up to last[room], or nothing
// has moved for so long (no event, no join), or ctx ends. What has not come by then is missing: that is the
// verdict that it returns. Slow readers read at full speed from now on. Churn and publishing should have ended.
//
// A client that has left for good (Failed, without Reconnect) misses nothing. One that is in a room but never got any
// event of it misses what it should have got when it joined before Mark, or there was none.
func (s *Swarm) Finish(ctx context.Context, last []uint64, quiet time.Duration) (Stats, error) {
	if err := s.tell(command{Do: doFinish, Last: last}); err != nil {
		return Stats{}, err
	}
	s.awaitRest(ctx, quiet)
	if err := s.tell(command{Do: doVerdict, Last: last}); err != nil {
		return Stats{}, err
	}
	limit := time.NewTimer(answerTime)
	defer limit.Stop()
	for {
		final, err := s.all(func(w *workerProcess) bool { return w.last.Final })
		if err != nil {
			return Stats{}, err
		}
		if final {
			return s.Stats()
		}
		select {
		case <-s.changed:
		case <-limit.C:
			return Stats{}, fmt.Errorf("swarm: a worker has not given its verdict for %s", answerTime)
		}
	}
}

// answerTime is how long a worker may take for something that takes no time.
const answerTime = 30 * time.Second

// awaitRest returns when nothing is due any more, nothing has moved for so long, or ctx has ended.
func (s *Swarm) awaitRest(ctx context.Context, quiet time.Duration) {
	rest := time.NewTimer(quiet)
	defer rest.Stop()
	var moves uint64
	for {
		due, moved, err := s.progress()
		if due == 0 || err != nil {
			return
		}
		if moved != moves {
			moves = moved
			rest.Reset(quiet)
		}
		select {
		case <-s.changed:
		case <-rest.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// progress sums up what is due, which is at least 1 before all workers have answered, and the moves.
func (s *Swarm) progress() (due int, moves uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.workers {
		due += w.last.Due
		moves += w.last.Moves
		if !w.last.Finishing {
			due++
		}
	}
	return due, moves, s.err
}

func (s *Swarm) all(of func(*workerProcess) bool) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.workers, func(w *workerProcess) bool { return !of(w) }), s.err
}

// tell gives all workers a command.
func (s *Swarm) tell(c command) error {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	for _, w := range s.workers {
		if err := w.tell(c); err != nil {
			return fmt.Errorf("swarm: %w", err)
		}
	}
	return nil
}

// fail notes the first thing that went wrong.
func (s *Swarm) fail(err error) {
	s.mu.Lock()
	if s.err == nil && !s.ended {
		s.err = fmt.Errorf("swarm: %w", err)
	}
	s.mu.Unlock()
	s.notify()
}

func (s *Swarm) notify() {
	select {
	case s.changed <- struct{}{}:
	default: // whoever waits will look anyway
	}
}

// Close ends the workers and their connections, and waits for it, a few seconds at most. It returns the error
// of a worker that had died.
func (s *Swarm) Close() error {
	s.mu.Lock()
	err := s.err
	s.ended = true
	s.mu.Unlock()
	var ends sync.WaitGroup
	for _, w := range s.workers {
		ends.Go(w.end)
	}
	ends.Wait()
	return err
}

// resolve finds the addresses of servers. loopback reports whether all are on 127.0.0.0/8.
func resolve(ctx context.Context, urls []string) (servers []server, loopback bool, err error) {
	loopback = true
	for _, text := range urls {
		t, err := parseTarget(text)
		if err != nil {
			return nil, false, err
		}
		port, err := net.DefaultResolver.LookupPort(ctx, "tcp", t.port)
		if err != nil {
			return nil, false, fmt.Errorf("URL %q: %w", text, err)
		}
		addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", t.host)
		if err != nil {
			return nil, false, fmt.Errorf("URL %q: %w", text, err)
		}
		// IPv4 first: localhost is both, and programs for trying out listen on 127.0.0.1.
		slices.SortStableFunc(addresses, func(a, b netip.Addr) int { return a.Unmap().BitLen() - b.Unmap().BitLen() })
		address := addresses[0].Unmap()
		loopback = loopback && address.Is4() && address.IsLoopback()
		servers = append(servers, server{
			Address:   netip.AddrPortFrom(address, uint16(port)).String(), //nolint:gosec // a port fits
			Authority: t.authority, Path: t.path,
		})
	}
	return servers, loopback, nil
}
