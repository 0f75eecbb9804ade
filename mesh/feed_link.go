package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

// readiness is what a feed waits for, by what it is about, so that good news about one thing never
// hides bad news about another. It is safe for concurrent use.
type readiness struct {
	mu  sync.Mutex
	why [aspects]string
}

type aspect int

const (
	aboutLive    aspect = iota // the connection for live events
	aboutControl               // the connection for reads
	aboutStream                // the stream's state, asked for at start, on audits and after a reconnect
	aboutRounds                // fences and reads of many rooms
	aspects
)

// set notes what is waited for; "" is nothing.
func (r *readiness) set(a aspect, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why[a] = why
}

func (r *readiness) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, why := range r.why {
		if why != "" {
			return errors.New(why)
		}
	}
	return nil
}

// connect opens the connections, awaits the stream and subscribes to nudges.
func (f *Feed) connect(ctx context.Context) (err error) {
	live := f.dialConfig("live", aboutLive)
	live.drained = f.drained
	if f.live, err = Dial(ctx, live); err != nil {
		return err
	}
	if f.control, err = Dial(ctx, f.dialConfig("control", aboutControl)); err != nil {
		return err
	}
	info, err := f.awaitStream(ctx)
	if err != nil {
		return err
	}
	f.reader = newDirectReader(f.control, info.Name)
	if _, err := f.live.ChanSubscribe(subjects.NudgeWildcard, f.messages); err != nil {
		return fmt.Errorf("subscribe to nudges: %w", err)
	}
	if _, err := f.live.ChanSubscribe(leaderElected+info.Name, f.messages); err != nil {
		return fmt.Errorf("subscribe to elections: %w", err)
	}
	f.follow(info)
	f.ready.set(aboutStream, "")
	f.log.Info("following the stream", slog.String("stream", info.Name), slog.String("epoch", info.Epoch))
	return nil
}

// What the old leader of the stream had stored and not announced yet is announced by nobody; the server
// tells of a new one on this subject, followed by the stream's name.
const (
	advisoryPrefix = "$JS"
	leaderElected  = advisoryPrefix + ".EVENT.ADVISORY.STREAM.LEADER_ELECTED."
)

// dialConfig is the configuration of one connection. The hooks run in the connection's goroutine and
// do not wait.
func (f *Feed) dialConfig(role string, about aspect) DialConfig {
	c := f.cfg.Dial
	c.Name = "tidings edge " + f.cfg.Edge + " " + role
	c.Log = f.log
	c.OnConnect = func() { f.ready.set(about, "") }
	c.OnDisconnect = func(error) { f.ready.set(about, "NATS is not reachable at "+f.where()) }
	c.OnUnreachable = func(err error) {
		if isAuthError(err) {
			f.ready.set(about, "NATS refuses these credentials at "+f.where())
		} else {
			f.ready.set(about, fmt.Sprintf("NATS is not reachable at %s: %v", f.where(), err))
		}
	}
	c.OnReconnect = func() {
		// A connection is not a stream yet.
		f.ready.set(aboutStream, "looking at the stream after a reconnect")
		f.ready.set(about, "")
		f.disturb()
	}
	return c
}

// disturb has all rooms compared with the stream. It never waits.
func (f *Feed) disturb() {
	f.disturbed.Store(true)
	f.rouse()
}

// where names the NATS that the feed talks to.
func (f *Feed) where() string {
	if f.cfg.Dial.Server != nil {
		return "the embedded server"
	}
	return f.cfg.Dial.URL
}

// awaitStream ensures the stream, however long NATS takes to be there.
func (f *Feed) awaitStream(ctx context.Context) (StreamInfo, error) {
	const pause = 500 * time.Millisecond
	said := ""
	for {
		why := ""
		if !f.live.IsConnected() || !f.control.IsConnected() {
			why = "NATS is not reachable at " + f.where()
		} else {
			attempt, cancel := context.WithTimeout(ctx, readTimeout)
			info, err := EnsureStream(attempt, f.control, f.cfg.Stream, f.log)
			cancel()
			if err == nil {
				return info, nil
			}
			if mismatch := (*StreamMismatchError)(nil); errors.As(err, &mismatch) || errors.Is(err, ErrConfig) {
				return StreamInfo{}, err
			}
			why = err.Error()
		}
		f.ready.set(aboutStream, why)
		if why != said && ctx.Err() == nil {
			f.log.Warn("waiting for the stream", slog.String("why", why))
			said = why
		}
		if err := wait(ctx, pause); err != nil {
			return StreamInfo{}, err
		}
	}
}

// refreshState is the work of looking at the stream as a whole: one look at a time.
type refreshState struct{ running, again bool }

// refreshInfo looks whether the stream was recreated or its limits were changed.
func (f *Feed) refreshInfo() {
	if f.refresh.running {
		f.refresh.again = true // what is under way may have been asked before
		return
	}
	f.refresh.running = true
	f.vital = append(f.vital, func(ctx context.Context) func() {
		var info StreamInfo
		err := f.persist(ctx, aboutStream, func(ctx context.Context) (err error) {
			info, err = f.streamInfo(ctx)
			return err
		})
		if err != nil {
			return nil
		}
		return func() {
			f.refresh.running = false
			f.follow(info)
			if f.refresh.again {
				f.refresh.again = false
				f.refreshInfo()
			}
		}
	})
}

// streamInfo asks for the stream's state. A stream that is gone, as after the loss of NATS' disk, is created as at
// the start, or else it would be missed until an edge is started again. It has a new epoch, so nobody takes it for
// the old one.
func (f *Feed) streamInfo(ctx context.Context) (StreamInfo, error) {
	info, err := FetchStreamInfo(ctx, f.control, f.cfg.Stream.Name)
	if errors.Is(err, ErrStreamMissing) {
		return EnsureStream(ctx, f.control, f.cfg.Stream, f.log)
	}
	return info, err
}

// follow takes what the stream promises as the ground of the proof.
func (f *Feed) follow(info StreamInfo) {
	before, history := f.rules.Limits, int(info.MaxMsgsPerSubject)
	switch before.Epoch {
	case info.Epoch:
		// Raising the limit does not bring back what the lower one has removed.
		history = min(history, before.History)
	case "": // the first
	default:
		f.log.Warn("the stream was recreated: every room starts anew", slog.String("epoch", info.Epoch))
		for _, room := range f.rooms {
			f.queue(room)
		}
	}
	f.rules.Limits = continuity.Limits{Epoch: info.Epoch, History: history, MaxAge: info.MaxAge.Milliseconds()}
	// No ring is longer than what the stream keeps: how far back a client can resume must not depend on the edge it meets.
	f.rules.RingEntries = min(f.cfg.RingEntries, max(1, history))
}

// persist runs try until it succeeds or ctx ends, and tells when it takes long that the feed is not
// ready, and why.
func (f *Feed) persist(ctx context.Context, about aspect, try func(context.Context) error) error {
	err := f.retry(ctx, readTimeout, try, func(cause error) {
		f.ready.set(about, fmt.Sprintf("the stream does not answer: %v", cause))
		f.log.Warn("the stream does not answer; trying on", errAttr(cause))
	}, func() {
		f.log.Info("the stream answers again")
		f.disturb() // what was live meanwhile may not have been announced
	})
	if err == nil {
		f.ready.set(about, "")
	}
	return err
}

const (
	readTimeout = 5 * time.Second      // of one attempt
	minPause    = 5 * time.Millisecond // between attempts
	maxPause    = time.Second
	grace       = time.Second // trouble that is over sooner is not told
)

// retry runs try, each time for at most timeout, until it succeeds or ctx ends. When that takes long
// it calls trouble, once, and in the end over.
func (f *Feed) retry(ctx context.Context, timeout time.Duration, try func(context.Context) error, trouble func(error), over func()) error {
	began, told := time.Now(), false
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		attempt, cancel := context.WithTimeout(ctx, timeout)
		err := try(attempt)
		cancel()
		switch {
		case err == nil:
			if told {
				over()
			}
			return nil
		case ctx.Err() == nil && !told && time.Since(began) >= grace:
			told = true
			trouble(err)
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

// wait returns after d, or with an error when ctx ends before.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
