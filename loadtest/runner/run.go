package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

const (
	// quiet is how long nothing may arrive before events count as missing. It is longer than what an edge waits before it
	// compares a room with the stream.
	quiet = 5 * time.Second
	// away is the same while clients are not back: it covers the longest pause between their tries.
	away = 35 * time.Second
	// longestFinish bounds the wait for the last events, however much still moves.
	longestFinish = 5 * time.Minute
	// longestReturn bounds the wait for clients after a fault.
	longestReturn = time.Minute
)

// ErrInterrupted says that the run was ended before its time, by the context of Run.
var ErrInterrupted = errors.New("interrupted")

// Run takes the scenario to the target as often as it asks for. Whatever happens to the target is in the result, in
// Run.Error when it ended a run early, and no further run follows that; so is the end of ctx. An error says that nothing
// was begun: the scenario is wrong.
func Run(ctx context.Context, s *scenario.Scenario, t Target, o Options) (*report.Result, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if o.Patience == 0 {
		o.Patience = 15 * time.Second
	}
	result := &report.Result{
		Format: report.Format, Scenario: s.Name, Description: s.Description, Target: t.Describe(),
		Machine: machine(), Started: time.Now(), Args: o.Args,
	}
	runs := max(1, s.Repeat)
	for i := range runs {
		r := &run{phase: PhasePrepare, scenario: s, target: t, options: o, number: i + 1, runs: runs}
		if err := r.do(ctx); err != nil {
			r.out.Error = err.Error()
		}
		result.Runs = append(result.Runs, r.out)
		if r.out.Error != "" {
			break
		}
	}
	return result, nil
}

// run is one pass.
type run struct {
	scenario     *scenario.Scenario
	target       Target
	options      Options
	number, runs int

	plan    scenario.Plan
	giveUp  context.CancelCauseFunc // ends the run
	swarm   *swarm.Swarm
	load    *load
	monitor *monitor
	phase   Phase
	out     report.Run
	joined  int // clients that were in at the beginning of the window
}

// do goes through all phases. What it has measured when it returns an error is in out.
func (r *run) do(ctx context.Context) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.giveUp = cancel
	err := r.phases(inner)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w in the phase %q", ErrInterrupted, r.phase)
	case inner.Err() != nil:
		return context.Cause(inner)
	default:
		return err
	}
}

func (r *run) phases(ctx context.Context) error {
	r.describe()
	r.tell(PhasePrepare)
	publisher, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	defer publisher.Close()
	defer func() { _ = r.swarm.Close() }() // what it says of its processes' ends is of no use any more
	r.monitor = newMonitor(r.stats, r.load, newUsage(r.target), r.options.Progress, r.snapshot(PhaseConnect))
	defer func() {
		r.monitor.close()
		r.out.Samples = r.monitor.samples
		r.tell(PhaseDone)
	}()

	r.phase = PhaseConnect
	if err := r.connect(ctx); err != nil {
		return err
	}
	if err := r.swarm.Churn(r.scenario.Churn); err != nil {
		return err
	}
	r.enter(PhaseWarmup, r.scenario.Warmup)
	if err := r.load.run(ctx, r.scenario.Warmup); err != nil {
		return fmt.Errorf("warm-up: %w", err)
	}
	r.settle(ctx)
	return r.measure(ctx)
}

// enter begins a phase; length may be 0.
func (r *run) enter(p Phase, length time.Duration) {
	r.phase = p
	r.monitor.phase(p, length)
}

// stats are the swarm's. When it is broken, so is the run.
func (r *run) stats() swarm.Stats {
	s, err := r.swarm.Stats()
	if err != nil {
		r.giveUp(err)
	}
	return s
}

// describe writes down what was asked for.
func (r *run) describe() {
	r.out.Clients = r.scenario.Clients
	var bytes float64
	for _, g := range r.scenario.Groups {
		r.out.Rooms += g.Rooms
		r.out.Rate += g.Rate
		bytes += g.Rate * float64(g.Size)
		if g.Rate > 0 {
			r.out.Burst = max(r.out.Burst, g.Burst)
		}
	}
	if r.out.Rate > 0 {
		r.out.Size = int(bytes / r.out.Rate)
	}
}

func (r *run) snapshot(p Phase) Snapshot {
	return Snapshot{Run: r.number, Runs: r.runs, Phase: p, Clients: r.scenario.Clients}
}

func (r *run) tell(p Phase) {
	if r.options.Progress != nil {
		s := r.snapshot(p)
		if r.monitor != nil && len(r.monitor.samples) > 0 {
			s.Connected = r.monitor.samples[len(r.monitor.samples)-1].Connected
		}
		r.options.Progress(s)
	}
}

// prepare gets everything that is needed before the first connection.
func (r *run) prepare(ctx context.Context) (Publisher, error) {
	id := strconv.FormatInt(time.Now().UnixMilli(), 36)
	r.plan = r.scenario.Plan()
	for i, name := range r.plan.Rooms {
		// A room of another run has its history.
		kind, number, _ := strings.Cut(name, ":")
		r.plan.Rooms[i] = kind + ":lt-" + id + "-" + number
	}
	holders := make([]Holder, len(r.plan.Clients))
	for i, rooms := range r.plan.Clients {
		holders[i].User = fmt.Sprintf("lt-%s-%d", id, i+1) // each client is a user, since servers bound the connections of one
		for _, room := range rooms {
			holders[i].Rooms = append(holders[i].Rooms, r.plan.Rooms[room])
		}
	}
	tokens, err := r.target.Tokens(ctx, holders)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	if len(tokens) != len(holders) {
		return nil, fmt.Errorf("tokens: there are %d for %d clients", len(tokens), len(holders))
	}
	publisher, err := r.target.Publisher(ctx, r.plan.Rooms)
	if err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	if r.load, err = newLoad(r.scenario, r.plan, publisher, r.options.Patience); err == nil {
		// Its processes do not end with ctx, but with Close: an interrupted run asks them for what they have seen.
		r.swarm, err = swarm.Start(context.WithoutCancel(ctx), swarm.Config{
			Command: r.options.WorkerCommand, Dialect: r.target.Dialect(), URLs: r.target.URLs(), Rooms: r.plan.Rooms,
			Clients: r.clients(tokens), Workers: r.options.Workers, Reconnect: r.scenario.Reconnect, Haste: r.options.Haste,
		})
	}
	if err != nil {
		publisher.Close()
		return nil, err
	}
	return publisher, nil
}

// clients are the swarm's; slow ones are spread evenly over all.
func (r *run) clients(tokens []string) []swarm.Client {
	clients := make([]swarm.Client, len(tokens))
	owed := 0.0
	for i := range clients {
		clients[i] = swarm.Client{Token: tokens[i], Rooms: r.plan.Clients[i]}
		if slow := r.scenario.Slow; slow != nil {
			if owed += slow.Share; owed >= 1 {
				owed--
				clients[i].BytesPerSecond = slow.BytesPerSecond
			}
		}
	}
	return clients
}

// connect lets everybody in. It fails when nobody got in.
func (r *run) connect(ctx context.Context) error {
	began := time.Now()
	if err := r.swarm.Connect(r.scenario.ConnectRate); err != nil {
		return err
	}
	var last swarm.Stats
	moved := began
	err := poll(ctx, func() bool {
		s := r.stats()
		if s.Joined != last.Joined || s.Failed != last.Failed || s.Attempted != last.Attempted {
			moved = time.Now()
		}
		last = s
		return s.Joined == r.scenario.Clients || !r.scenario.Reconnect && s.Joined+s.Failed >= r.scenario.Clients || time.Since(moved) > r.options.Patience
	})
	r.joined = last.Joined
	r.out.Connect = report.Connect{
		Attempted: last.Attempted, Succeeded: last.Joined, Failed: last.Attempted - last.Joined, Failures: maps.Clone(last.Failures),
		Seconds: moved.Sub(began).Seconds(), JoinMs: report.Summarize(last.JoinTime, perMs),
	}
	r.monitor.joined()
	r.out.Processes = r.monitor.usage.report()
	switch {
	case err != nil:
		return err
	case last.Joined == 0:
		return fmt.Errorf("none of %d clients got in: %s", r.scenario.Clients, counted(last.Failures))
	case last.Joined < r.scenario.Clients:
		r.note("%d of %d clients did not get in: %s", r.scenario.Clients-last.Joined, r.scenario.Clients, counted(last.Failures))
	}
	return nil
}

// settle waits until nothing of the warm-up is on its way any more, so that the window has its own events only. Not for
// long: slow readers may take minutes.
func (r *run) settle(ctx context.Context) {
	const still, longest = 600 * time.Millisecond, 3 * time.Second
	began, moved, last := time.Now(), time.Now(), r.stats().Received
	_ = poll(ctx, func() bool { // its end is noticed by the next phase
		if now := r.stats().Received; now != last {
			last, moved = now, time.Now()
		}
		return time.Since(moved) > still || time.Since(began) > longest
	})
}

// measure is the window and what follows it.
func (r *run) measure(ctx context.Context) error {
	from, err := r.swarm.Mark()
	if err != nil {
		return err
	}
	r.load.begin()
	r.monitor.begin()
	r.enter(PhaseMeasure, r.scenario.Duration)
	if err := poll(ctx, func() bool { return time.Now().After(from) }); err != nil {
		return err
	}
	r.joined = r.stats().Joined
	fault := r.startFault(ctx)
	err = r.load.run(ctx, r.scenario.Duration)
	to := time.Now()
	if err != nil {
		fault.cancel() // nobody can be told whether they are back
	}
	faultErr := fault.wait()

	r.monitor.phase(PhaseFinish, 0)
	if err == nil {
		r.phase = PhaseFinish
	}
	stats, finishErr := r.finish(ctx)
	r.monitor.end()
	r.out.From, r.out.To, r.out.Seconds = r.monitor.at(from), r.monitor.at(to), to.Sub(from).Seconds()
	r.evaluate(stats, time.Since(to))
	fault.evaluate(&r.out, stats)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case faultErr != nil:
		return faultErr
	case finishErr != nil:
		return fmt.Errorf("the last events: %w", finishErr)
	}
	return r.lost(stats)
}

// finish waits for the last events, of an interrupted run only for those that are nearly there.
func (r *run) finish(ctx context.Context) (swarm.Stats, error) {
	longest, patience := longestFinish, quiet
	switch {
	case ctx.Err() != nil:
		longest, patience = 3*time.Second, time.Second
	case r.scenario.Reconnect && r.stats().Joined < r.joined:
		patience = away
	}
	if err := r.swarm.Churn(0); err != nil {
		return r.stats(), err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	defer cancel()
	return r.swarm.Finish(ctx, r.load.last(), patience)
}

// lost is an error when the clients of the window are not there any more at its end: more than one in a hundred.
func (r *run) lost(s swarm.Stats) error {
	gone := r.joined - s.Joined
	if gone*100 <= r.joined {
		return nil
	}
	return fmt.Errorf("%d of %d clients lost their connection and were not back at the end: %s", gone, r.joined, counted(s.Failures))
}

// evaluate fills the outcome from the window's counts; finish is how long the last events took after it.
func (r *run) evaluate(s swarm.Stats, finish time.Duration) {
	out := &r.out
	out.Publish = r.load.report(out.Seconds)
	members := make([]int, len(r.plan.Rooms))
	for _, rooms := range r.plan.Clients {
		for _, room := range rooms {
			members[room]++
		}
	}
	expected := r.load.expected(members)
	if r.joined < r.scenario.Clients {
		expected = uint64(float64(expected) * float64(r.joined) / float64(r.scenario.Clients))
	}
	out.Deliver = report.Deliver{
		Expected: expected, Received: s.Received, Missing: s.Missing, Twice: s.Twice, OutOfOrder: s.OutOfOrder,
		LatencyMs: report.Summarize(s.Latency, perMs), Distribution: report.Distribute(s.Latency),
	}
	seconds := out.Seconds
	if finish > time.Second {
		seconds += finish.Seconds() // the server was behind
	}
	if seconds > 0 {
		out.Deliver.PerSecond = float64(s.Received) / seconds
	}
	out.Reconnect = report.Reconnect{
		Count: s.Reconnects, NotRecovered: s.NotRecovered, Loops: s.LoopsSuspected,
		Seconds: report.Summarize(s.Reconnect, perSecond), Missing: max(0, r.joined-s.Joined),
	}
	out.BytesIn, out.HarnessBusy = s.BytesIn, s.BusyShare
	if s.Received > 0 {
		out.BytesPerDelivery = float64(s.BytesIn) / float64(s.Received)
	}
	out.Processes = r.monitor.usage.report()
	r.share()
	r.remark()
}

// share is what the processes used, per client and per delivery.
func (r *run) share() {
	const micro = 1e6
	out := &r.out
	var all, servers, join float64
	var grown int64
	for _, p := range out.Processes {
		all += p.CPU
		join += p.JoinCPU
		if p.Role == report.Server {
			servers += p.CPU
			grown += int64(p.RSSJoined) - int64(p.RSSBefore) //nolint:gosec // memory of this machine
		}
	}
	if n := float64(out.Deliver.Received); n > 0 {
		out.CPUPerDelivery, out.ServerCPUPerDelivery = all/n*micro, servers/n*micro
	}
	if n := float64(out.Connect.Succeeded); n > 0 {
		out.CPUPerJoin, out.RSSPerConnection = join/n*micro, float64(grown)/n
	}
}

// remark notes what a reader must know to judge the numbers.
func (r *run) remark() {
	out := &r.out
	if r.scenario.Churn > 0 {
		r.note("Expected deliveries count clients that were between a leave and a join as members.")
	}
	if out.Deliver.Received > out.Deliver.Expected {
		r.note("More was received than expected: publishes that were not acked have arrived all the same.")
	}
}

func (r *run) note(format string, args ...any) {
	r.out.Notes = append(r.out.Notes, fmt.Sprintf(format, args...))
}

// counted tells reasons with their numbers, the commonest first.
func counted(reasons map[string]int) string {
	if len(reasons) == 0 {
		return "no reason is known; the server did not answer in time"
	}
	const most = 3
	names := slices.SortedFunc(maps.Keys(reasons), func(a, b string) int { return reasons[b] - reasons[a] })
	var parts []string
	for _, name := range names[:min(most, len(names))] {
		parts = append(parts, fmt.Sprintf("%s (%d)", name, reasons[name]))
	}
	return strings.Join(parts, ", ")
}

// poll looks at a condition until it holds or ctx ends, which is the error.
func poll(ctx context.Context, condition func() bool) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}
