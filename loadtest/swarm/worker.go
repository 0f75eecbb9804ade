package swarm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// RunWorker is a worker: it takes commands from in and reports to out, as the process that Start started
// expects of its standard input and output, until in ends or ctx does. Programs whose workers are themselves
// started again (Config.Command) call it. A read of in may outlast it.
func RunWorker(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	poller, err := newPoller()
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	w := &worker{
		poller: poller, commands: make(chan command, 16), reports: make(chan report, 1),
		buffer: make([]byte, readAtMost), now: time.Now().UnixNano(), seed: rand.Uint64(), //nolint:gosec // hides nothing
		joinTime: newHistogram(), latency: newHistogram(), reconnect: newHistogram(),
	}
	w.random = rand.New(rand.NewPCG(w.seed, 0)) //nolint:gosec // spreads load
	w.sums.Failures = make(map[string]int)
	w.window = w.now

	var told sync.WaitGroup
	told.Go(func() {
		defer cancel() // nobody listens any more
		encoder := json.NewEncoder(out)
		for r := range w.reports {
			if encoder.Encode(r) != nil {
				return
			}
		}
	})
	defer w.closePoller()
	defer context.AfterFunc(ctx, w.wake)()
	go w.listen(ctx, json.NewDecoder(in))

	err = w.run(ctx)
	w.hangUp()
	if err != nil {
		w.report(ctx, report{Error: err.Error()})
	}
	close(w.reports)
	told.Wait()
	return err
}

// worker drives the clients of one process with one goroutine, which owns everything but commands and
// reports.
type worker struct {
	set       *setup // nil before the first command
	dialect   dialect
	addresses []netip.AddrPort // of set.Servers
	rooms     []string
	clients   []client
	poller    *poller
	alarms    schedule
	random    *rand.Rand
	seed      uint64
	buffer    []byte
	commands  chan command // closed when there are no more
	reports   chan report

	wakes  sync.Mutex // guards closed
	closed bool       // the poller is

	now      int64 // Unix ns; of the last wait or read
	sums     counts
	moves    uint64
	pending  int // clients that dial or join
	begun    int // clients that have begun to connect
	connects pace
	churns   pace
	heard    []uint64 // number of the latest event of each room

	joinTime, latency, reconnect *hdrhistogram.Histogram

	markAt int64    // Unix ns; 0: no mark yet
	reset  bool     // a mark came since the last report
	window int64    // when the time below began to be counted
	waited int64    // ns
	last   []uint64 // of a finish command; nil before that
}

// listen hands over commands, until there are no more or ctx ends.
func (w *worker) listen(ctx context.Context, in *json.Decoder) {
	defer w.wake()
	defer close(w.commands)
	for {
		var c command
		if in.Decode(&c) != nil {
			return
		}
		select {
		case w.commands <- c:
			w.wake()
		case <-ctx.Done():
			return
		}
	}
}

// wake makes run look for commands and at ctx. Any goroutine may call it.
func (w *worker) wake() {
	w.wakes.Lock()
	defer w.wakes.Unlock()
	if !w.closed { // its descriptor may be another's by now
		w.poller.wake()
	}
}

func (w *worker) closePoller() {
	w.wakes.Lock()
	defer w.wakes.Unlock()
	w.closed = true
	w.poller.close()
}

// run drives the clients until there are no more commands, or ctx ends. The thread is its own: waiting blocks
// it, and nothing else is to run there.
func (w *worker) run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	nextReport, complete := w.now, false // complete: that all clients are in has been reported
	for ctx.Err() == nil {
		until := w.alarms.due(nextReport)
		until = w.connects.due(until, w.begun < len(w.clients))
		until = w.churns.due(until, true)
		if err := w.wait(time.Duration(until - w.now)); err != nil {
			return err
		}
		if done, err := w.obey(ctx); done || err != nil {
			return err
		}
		for a, ok := w.alarms.next(w.now); ok; a, ok = w.alarms.next(w.now) {
			if c := &w.clients[a.client]; c.generation == a.generation {
				c.ring(a.purpose)
			}
		}
		w.connectSome()
		for range w.churns.take(w.now) {
			w.churn()
		}
		// When the last client gets in is measured: it is told at once.
		if all := w.set != nil && w.sums.Joined == len(w.clients); w.now >= nextReport || all && !complete {
			complete = all
			w.reportNow(ctx, false)
			nextReport = w.now + int64(reportEvery)
		}
	}
	return nil
}

// wait waits for sockets and deals with those that are ready.
func (w *worker) wait(d time.Duration) error {
	before := time.Now().UnixNano()
	ready, err := w.poller.wait(d)
	w.now = time.Now().UnixNano()
	w.waited += w.now - before
	for _, r := range ready {
		c := &w.clients[r.id]
		if r.write && c.generation == r.generation {
			c.flush()
		}
		if r.read && c.generation == r.generation {
			c.readable(r.ended)
		}
	}
	return err
}

// obey carries out the commands that have come. done says that there will be no more.
func (w *worker) obey(ctx context.Context) (done bool, err error) {
	for {
		select {
		case c, more := <-w.commands:
			if !more {
				return true, nil
			}
			if err := w.do(ctx, c); err != nil {
				return false, fmt.Errorf("worker: %w", err)
			}
		default:
			return false, nil
		}
	}
}

func (w *worker) do(ctx context.Context, c command) error {
	if w.set == nil && (c.Do != doSetup || c.Setup == nil) {
		return errors.New("the first command is not setup")
	}
	switch c.Do {
	case doSetup:
		return w.setUp(c.Setup)
	case doConnect:
		w.connects = pace{rate: c.Rate, from: w.now, asFast: c.Rate == 0}
	case doChurn:
		w.churns = pace{rate: c.Rate, from: w.now}
	case doCut:
		w.cut()
	case doMark:
		w.mark(c.At)
	case doFinish:
		w.finish(c.Last)
	case doVerdict:
		w.judge(c.Last)
		w.reportNow(ctx, true)
	default:
		return fmt.Errorf("unknown command %q", c.Do)
	}
	return nil
}

func (w *worker) setUp(set *setup) error {
	dialect, ok := dialects[set.Dialect]
	if !ok || w.set != nil {
		return fmt.Errorf("setup with dialect %q", set.Dialect)
	}
	w.set, w.dialect, w.rooms = set, dialect(), set.Rooms
	for _, s := range set.Servers {
		address, err := netip.ParseAddrPort(s.Address)
		if err != nil {
			return err
		}
		w.addresses = append(w.addresses, address)
	}
	w.heard = make([]uint64, len(set.Rooms))
	w.clients = w.newClients()
	return nil
}

// newClients makes the clients of a setup. Their members lie side by side.
func (w *worker) newClients() []client {
	total := 0
	for _, c := range w.set.Clients {
		total += len(c.Rooms)
	}
	members := make([]member, total)
	clients := make([]client, len(w.set.Clients))
	for i, from := range w.set.Clients {
		c := &clients[i]
		*c = client{
			w: w, token: from.Token, fd: -1, id: int32(i), rate: from.BytesPerSecond,
			server: int32((w.set.First + i) % len(w.set.Servers)), //nolint:gosec // few servers
		}
		c.members, members = members[:len(from.Rooms):len(from.Rooms)], members[len(from.Rooms):]
		for k, room := range from.Rooms {
			c.members[k].room = int32(room) //nolint:gosec // an index fits
		}
	}
	return clients
}

// sourceOf is where a client comes from; invalid leaves it to the system.
func (w *worker) sourceOf(c *client) netip.Addr {
	const each, inRow = 500, 250
	if !w.set.Spread {
		return netip.Addr{}
	}
	n := (w.set.First + int(c.id)) / each
	return netip.AddrFrom4([4]byte{127, 0, byte(1 + n/inRow), byte(1 + n%inRow)}) //nolint:gosec // for 31 million clients
}

// mostPending bounds the handshakes and joins under way when connecting as fast as it goes.
const mostPending = 128

// connectSome lets clients begin that are due.
func (w *worker) connectSome() {
	n := w.connects.take(w.now)
	if w.connects.asFast {
		n = len(w.clients)
	}
	for ; n > 0 && w.begun < len(w.clients) && !(w.connects.asFast && w.pending >= mostPending); n-- {
		w.begun++
		w.clients[w.begun-1].connect()
	}
}

// churn makes a random client leave a room and join it again, if one is found that is in.
func (w *worker) churn() {
	const tries = 16
	for range tries {
		if w.clients[w.random.IntN(len(w.clients))].churned() {
			return
		}
	}
}

func (w *worker) cut() {
	for i := range w.clients {
		if c := &w.clients[i]; c.fd >= 0 {
			c.hangUp("", true, true)
		}
	}
}

func (w *worker) hangUp() {
	for i := range w.clients {
		if c := &w.clients[i]; c.fd >= 0 {
			w.poller.hangUp(c.fd, false)
			c.fd = -1
		}
	}
}

// mark begins the window.
func (w *worker) mark(at int64) {
	w.markAt, w.reset = at, true
	w.latency.Reset()
	w.reconnect.Reset()
	w.sums.Received, w.sums.BytesIn, w.sums.Reconnects = 0, 0, 0
	w.window, w.waited = w.now, 0
}

// count notes an event that has come.
func (w *worker) count(m *member, k mark) {
	w.moves++
	if k.sent >= w.markAt {
		w.sums.Received++
		record(w.latency, (w.now-k.sent)/1e3)
	}
	if k.n > w.heard[k.room] {
		w.heard[k.room] = k.n
	}
	v := m.take(k.n)
	if v == (verdict{}) {
		return
	}
	w.sums.Missing += uint64(v.missing) //nolint:gosec // adds a negative number, too
	if v.twice {
		w.sums.Twice++
	}
	if v.late {
		w.sums.OutOfOrder++
	}
}

func (w *worker) failure(why string) { w.sums.Failures[why]++ }

// finish lets slow readers read on, and reports tell from now on what is due.
func (w *worker) finish(last []uint64) {
	w.last = last
	for i := range w.clients {
		w.clients[i].speedUp()
	}
}

func (w *worker) finishing() bool { return w.last != nil }

// owed calls what for every room of a client that should have come to its end: those who have come in once and
// have not left for good, in the rooms that they were let into.
func (w *worker) owed(what func(*member)) {
	for i := range w.clients {
		c := &w.clients[i]
		if !c.wasIn || c.state == clientGivenUp {
			continue
		}
		for k := range c.members {
			m := &c.members[k]
			// Who came when the window had begun may have come after the last event.
			late := m.last == 0 && w.markAt != 0 && m.since > w.markAt
			if m.state != memberDenied && m.since != 0 && !late {
				what(m)
			}
		}
	}
}

// due is the number of rooms of clients that have not come to the end.
func (w *worker) due() int {
	n := 0
	w.owed(func(m *member) {
		if m.last < w.lastOf(m) || len(m.open) > 0 {
			n++
		}
	})
	return n
}

func (w *worker) lastOf(m *member) uint64 {
	if int(m.room) < len(w.last) {
		return w.last[m.room]
	}
	return 0
}

// judge counts what did not come.
func (w *worker) judge(last []uint64) {
	w.last = last
	w.owed(func(m *member) {
		if to, from := w.lastOf(m), max(m.last, m.heard); to > from {
			w.sums.Missing += to - from
		}
	})
}

// reportNow reports if whoever writes reports has kept up, or final says that this one must not be left out.
func (w *worker) reportNow(ctx context.Context, final bool) {
	if !final && len(w.reports) == cap(w.reports) {
		return
	}
	r := report{
		Counts: w.sums, Reset: w.reset, Finishing: w.finishing(), Moves: w.moves, Final: final,
	}
	w.reset = false
	r.Counts.Failures = maps.Clone(w.sums.Failures)
	if total := w.now - w.window; total > 0 {
		r.Counts.Busy = max(0, 1-float64(w.waited)/float64(total))
	}
	if r.Finishing {
		r.Due = w.due()
	}
	for _, h := range []struct {
		from *hdrhistogram.Histogram
		to   *[]byte
	}{{w.joinTime, &r.JoinTime}, {w.latency, &r.Latency}, {w.reconnect, &r.Reconnect}} {
		encoded, err := drainHistogram(h.from)
		if err != nil {
			r.Error = err.Error()
		}
		*h.to = encoded
	}
	w.report(ctx, r)
}

func (w *worker) report(ctx context.Context, r report) {
	select {
	case w.reports <- r:
	case <-ctx.Done():
	}
}

// workersFor is the least number of processes that may open so many sockets.
func workersFor(clients int) int {
	const others = 64 // files that are no client's
	each := max(fileLimit()-others, 1)
	return (clients + each - 1) / each
}
