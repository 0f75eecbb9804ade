package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tidingsmesh/tidings/edge/subscriber"
	"github.com/tidingsmesh/tidings/loadtest/history"
)

// ClientsConfig is a crowd of clients that behave as browsers do.
type ClientsConfig struct {
	URLs []string `json:"urls"` // of the edges
	// Direct are the same edges without anything in between that would read for a slow client.
	Direct  []string       `json:"direct"`
	Secret  string         `json:"secret"`
	Clients []ClientConfig `json:"clients"`
	// ExpireAt is when all tokens that were signed before it end, in Unix seconds; 0: never.
	ExpireAt int64 `json:"expire_at"`
}

// ClientConfig is one client.
type ClientConfig struct {
	Name  string        `json:"name"`
	Class history.Class `json:"class"`
	Rooms []string      `json:"rooms"`
}

const (
	tokenLife    = time.Hour
	shortLife    = 8 * time.Second // of the tokens of clients of class Expires
	slowBytes    = 1 << 10         // a second, for class Slow
	slowReceive  = 4 << 10         // bytes of receive buffer for class Slow
	churnPause   = 2 * time.Second // mean, for class Churn
	awaitEvery   = 50 * time.Millisecond
	lateEachNth  = 3                // of those with short tokens does not renew in time
	slowestPause = 10 * time.Second // of one pause of a slow reader
)

// crowd runs the clients.
type crowd struct {
	cfg     Config
	log     *history.Writer
	clients []*client
	healed  chan struct{}
	once    sync.Once
}

// client is one of them.
type client struct {
	cfg      ClientConfig
	crowd    *crowd
	sub      *subscriber.Subscriber
	recorder *recorder
	late     bool // its tokens are not renewed in time
	current  atomic.Pointer[string]
}

func newCrowd(cfg Config, log *history.Writer) *crowd {
	c := &crowd{cfg: cfg, log: log, healed: make(chan struct{})}
	for i, one := range cfg.Clients.Clients {
		urls := cfg.Clients.URLs
		if one.Class == history.Slow {
			urls = cfg.Clients.Direct
		}
		k := &client{cfg: one, crowd: c, recorder: newRecorder(one.Name, log), late: i%lateEachNth == 0}
		sc := subscriber.Config{
			// Each begins at another edge.
			URLs:  append(slices.Clone(urls[i%len(urls):]), urls[:i%len(urls)]...),
			Token: k.token, Rooms: slices.Clone(one.Rooms), Observer: k.recorder,
		}
		if one.Class == history.Slow {
			sc.Pace, sc.HTTP = k.pace, slowTransport()
		}
		k.sub = subscriber.New(sc)
		c.clients = append(c.clients, k)
	}
	return c
}

// slowTransport keeps little in the kernel, so that a slow reader is one for the edge as well.
func slowTransport() *http.Transport {
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		outer := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, slowReceive)
		})
		if outer != nil {
			return outer
		}
		return err
	}}
	return &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, ReadBufferSize: 512}
}

func (c *crowd) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	errs := make(chan error, len(c.clients))
	for i, k := range c.clients {
		random := rand.New(rand.NewPCG(c.cfg.Seed, uint64(i))) //nolint:gosec // repeatable, not secret
		all.Go(func() {
			if err := k.run(ctx, random); err != nil {
				errs <- fmt.Errorf("%s: %w", k.cfg.Name, err)
				cancel() // no client gives up in a run
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

func (c *crowd) heal() { c.once.Do(func() { close(c.healed) }) }

// await returns when every client stands at the sequences of its rooms or beyond.
func (c *crowd) await(ctx context.Context, seqs map[string]uint64) error {
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	for {
		there := true
		for _, k := range c.clients {
			there = there && k.recorder.reached(k.cfg.Rooms, seqs)
		}
		if there {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (k *client) run(ctx context.Context, random *rand.Rand) error {
	log := k.crowd.log
	if err := log.Write(history.Record{Kind: history.Client, Who: k.cfg.Name, Class: k.cfg.Class}); err != nil {
		return err
	}
	var helpers sync.WaitGroup
	defer helpers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if k.cfg.Class == history.Churn {
		helpers.Go(func() { k.churn(ctx, random) })
	}
	if err := k.sub.Run(ctx); err != nil {
		return err
	}
	return log.Write(history.Record{Kind: history.Done, Who: k.cfg.Name})
}

// churn leaves and enters rooms until no fault will come any more, and is in all of them then.
func (k *client) churn(ctx context.Context, random *rand.Rand) {
	out := make(map[string]bool)
	for {
		select {
		case <-time.After(time.Duration(2 * float64(churnPause) * random.Float64())):
		case <-ctx.Done():
			return
		case <-k.crowd.healed:
			for room := range out {
				k.sub.Join(room)
			}
			return
		}
		room := k.cfg.Rooms[random.IntN(len(k.cfg.Rooms))]
		if out[room] {
			k.sub.Join(room)
			delete(out, room)
		} else {
			k.sub.Leave(room)
			out[room] = true
		}
	}
}

// pace makes a slow reader.
func (k *client) pace(ctx context.Context, bytes int) {
	pause := min(time.Duration(bytes)*time.Second/slowBytes, slowestPause)
	select {
	case <-time.After(pause):
	case <-k.crowd.healed:
	case <-ctx.Done():
	}
}
