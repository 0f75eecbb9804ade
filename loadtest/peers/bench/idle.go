package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/peers"
	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/runner/proc"
	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

// idleRun connects some clients, then many more, each joined to a room of ten, and measures what the latter add: resident memory of the
// servers, after their garbage has been collected where they can be told to, and CPU of all processes.
type idleRun struct {
	target  installation
	worker  []string
	few     int // clients of the first part
	all     int // of both
	joining func(joined int)
}

// patience bounds the wait for clients that neither come in nor fail.
const patience = 30 * time.Second

func (r *idleRun) do(ctx context.Context) (report.Run, error) {
	rooms := make([]string, r.all/members)
	for i := range rooms {
		rooms[i] = "idle:" + strconv.Itoa(i+1)
	}
	holders := make([]runner.Holder, r.all)
	for i := range holders {
		holders[i] = runner.Holder{User: "idle-" + strconv.Itoa(i+1), Rooms: []string{rooms[i%len(rooms)]}}
	}
	tokens, err := r.target.Tokens(ctx, holders)
	if err != nil {
		return report.Run{}, fmt.Errorf("tokens: %w", err)
	}
	clients := make([]swarm.Client, r.all)
	for i := range clients {
		clients[i] = swarm.Client{Token: tokens[i], Rooms: []int{i % len(rooms)}}
	}
	first, _, err := r.connect(ctx, rooms, clients[:r.few])
	if err != nil {
		return report.Run{}, err
	}
	defer func() { _ = first.Close() }()
	before, err := r.usage(ctx)
	if err != nil {
		return report.Run{}, err
	}
	second, connected, err := r.connect(ctx, rooms, clients[r.few:])
	if err != nil {
		return report.Run{}, err
	}
	defer func() { _ = second.Close() }()
	joined := r.cpu()
	after, err := r.usage(ctx)
	if err != nil {
		return report.Run{}, err
	}
	out := report.Run{Clients: r.all, Rooms: len(rooms), Connect: connected}
	added := float64(r.all - r.few)
	for i, p := range r.target.Processes() {
		out.Processes = append(out.Processes, report.Process{
			Name: p.Name, PID: p.PID, Role: p.Role, RSSBefore: before[i].rss, RSSJoined: after[i].rss,
			JoinCPU: (joined[i] - before[i].cpu).Seconds(),
		})
		out.CPUPerJoin += float64((joined[i] - before[i].cpu).Microseconds()) / added
		if p.Role == report.Server {
			out.RSSPerConnection += (float64(after[i].rss) - float64(before[i].rss)) / added
		}
	}
	return out, nil
}

// connect returns when all are in.
func (r *idleRun) connect(ctx context.Context, rooms []string, clients []swarm.Client) (*swarm.Swarm, report.Connect, error) {
	s, err := swarm.Start(ctx, swarm.Config{
		Command: r.worker, Dialect: r.target.Dialect(), URLs: r.target.URLs(), Rooms: rooms, Clients: clients,
	})
	if err != nil {
		return nil, report.Connect{}, err
	}
	out, err := r.awaitAll(ctx, s, len(clients))
	if err != nil {
		return nil, out, errors.Join(err, s.Close())
	}
	return s, out, nil
}

func (r *idleRun) awaitAll(ctx context.Context, s *swarm.Swarm, clients int) (report.Connect, error) {
	began := time.Now()
	if err := s.Connect(0); err != nil {
		return report.Connect{}, err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last, moved := 0, began
	for {
		stats, err := s.Stats()
		if err != nil {
			return report.Connect{}, err
		}
		if stats.Joined != last {
			last, moved = stats.Joined, time.Now()
			r.joining(last)
		}
		if stats.Joined == clients {
			const perMillisecond = 1000
			return report.Connect{
				Attempted: clients, Succeeded: clients, Seconds: moved.Sub(began).Seconds(),
				JoinMs: report.Summarize(stats.JoinTime, perMillisecond),
			}, nil
		}
		if stats.Joined+stats.Failed == clients || time.Since(moved) > patience {
			return report.Connect{}, fmt.Errorf("%d of %d clients got in: %v", stats.Joined, clients, stats.Failures)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return report.Connect{}, ctx.Err()
		}
	}
}

type processUsage struct {
	rss uint64
	cpu time.Duration
}

// usage is that of each process, after garbage was collected and memory has come to rest.
func (r *idleRun) usage(ctx context.Context) ([]processUsage, error) {
	if c, ok := r.target.(peers.Collector); ok {
		if err := c.Collect(ctx); err != nil {
			return nil, err
		}
	}
	rest := time.NewTicker(300 * time.Millisecond)
	defer rest.Stop()
	const longest = 20
	var usage []processUsage
	last := 0.0
	for range longest {
		select {
		case <-rest.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		sum := 0.0
		usage = nil
		for i, p := range r.target.Processes() {
			rss, err := proc.RSS(p.PID, true)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.Name, err)
			}
			usage = append(usage, processUsage{rss: rss, cpu: r.cpu()[i]})
			if p.Role == report.Server {
				sum += float64(rss)
			}
		}
		const still = 0.001
		if math.Abs(sum-last) <= still*sum {
			break
		}
		last = sum
	}
	return usage, nil
}

// cpu of each process; of one that has gone, 0.
func (r *idleRun) cpu() []time.Duration {
	processes := r.target.Processes()
	used := make([]time.Duration, len(processes))
	for i, p := range processes {
		used[i], _ = proc.CPU(p.PID)
	}
	return used
}
