package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

// Names of the numbers of manyRooms.
const (
	joinRate      = "rooms-joined-per-second"
	edgeRoom      = "edge-memory-per-room"
	natsRoom      = "nats-memory-per-room"
	roomJoin      = "edge-cpu-per-room-joined" // with the comparison that follows it
	natsRoomJoin  = "nats-cpu-per-room-joined"
	roomCompare   = "edge-cpu-per-comparison"
	natsCompare   = "nats-cpu-per-comparison"
	publishRate   = "events-published-per-second"
	fullEdge      = "edge-cpu-per-event-at-full-rate" // and its delivery
	fullNATS      = "nats-cpu-per-event-at-full-rate" // with one edge that follows
	edgeHistory   = "edge-memory-per-event"           // the first of a room
	natsHistory   = "nats-memory-per-event"
	natsUp        = "nats-restart-until-it-answers"
	subscribed    = "nats-restart-until-subscribed"
	natsDelivered = "nats-restart-until-delivered"
	edgeUp        = "edge-restart-until-ready"
	allBack       = "edge-restart-until-joined"
	edgeDelivered = "edge-restart-until-delivered"
	lost          = "lost-or-twice"
)

const (
	patience = time.Minute            // bounds each wait
	haste    = 200 * time.Millisecond // within which clients come back, again and again: the server is measured, not their patience
)

// manyRooms lets one edge follow as many rooms as it can: some clients, each in many rooms that nobody else is in. It measures what a
// room costs, and how long it takes until events come again after NATS, and after the edge, was killed and started again at once.
type manyRooms struct {
	step   step
	target *runner.Tidings
	worker []string
	say    func(string)

	plan      scenario.Plan
	data      *scenario.Data
	swarm     *swarm.Swarm
	publisher runner.Publisher
	sent      []uint64 // events of each room
	values    numbers
}

func (m *manyRooms) measure(ctx context.Context) (numbers, error) {
	m.values = numbers{}
	if err := m.prepare(ctx); err != nil {
		return nil, err
	}
	defer m.publisher.Close()
	defer func() { _ = m.swarm.Close() }() // what is wrong has been said
	for _, part := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"join", m.join},
		{"compare", m.compare},
		{"one event in every room", m.fill},
		{"restart NATS", m.restartNATS},
		{"restart the edge", m.restartEdge},
		{"what is missing", m.finish},
	} {
		m.say(part.name)
		limited, cancel := context.WithTimeout(ctx, patience)
		err := part.do(limited)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return m.values, nil
}

func (m *manyRooms) prepare(ctx context.Context) error {
	s := m.step.scenario()
	m.plan = s.Plan()
	var err error
	if m.data, err = s.Data(m.plan); err != nil {
		return err
	}
	m.sent = make([]uint64, len(m.plan.Rooms))
	holders := make([]runner.Holder, len(m.plan.Clients))
	for i, rooms := range m.plan.Clients {
		holders[i].User = fmt.Sprintf("growth-%d", i+1)
		for _, room := range rooms {
			holders[i].Rooms = append(holders[i].Rooms, m.plan.Rooms[room])
		}
	}
	tokens, err := m.target.Tokens(ctx, holders)
	if err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	clients := make([]swarm.Client, len(tokens))
	for i := range clients {
		clients[i] = swarm.Client{Token: tokens[i], Rooms: m.plan.Clients[i]}
	}
	if m.publisher, err = m.target.Publisher(ctx, m.plan.Rooms); err != nil {
		return err
	}
	m.swarm, err = swarm.Start(ctx, swarm.Config{
		Command: m.worker, Dialect: m.target.Dialect(), URLs: m.target.URLs(), Rooms: m.plan.Rooms, Clients: clients, Reconnect: true, Haste: haste,
	})
	if err != nil {
		m.publisher.Close()
	}
	return err
}

// rooms is their number.
func (m *manyRooms) rooms() float64 { return float64(len(m.plan.Rooms)) }

// join lets everybody in.
func (m *manyRooms) join(ctx context.Context) error {
	before, err := m.use(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := m.swarm.Connect(0); err != nil {
		return err
	}
	if err := m.until(ctx, func(s swarm.Stats) bool { return s.Joined == m.step.clients }); err != nil {
		return err
	}
	m.values[joinRate] = m.rooms() / time.Since(began).Seconds()
	// Each room is compared with the stream once, a while after its join.
	if err := rest(ctx, m.step.many.settle); err != nil {
		return err
	}
	after, err := m.use(ctx)
	if err != nil {
		return err
	}
	m.values[edgeRoom] = (after.edge.memory - before.edge.memory) / m.rooms()
	m.values[natsRoom] = (after.nats.memory - before.nats.memory) / m.rooms()
	m.values[roomJoin] = (after.edge.cpu - before.edge.cpu) / m.rooms()
	m.values[natsRoomJoin] = (after.nats.cpu - before.nats.cpu) / m.rooms()
	return nil
}

// fill publishes the first event of every room.
func (m *manyRooms) fill(ctx context.Context) error {
	before, err := m.use(ctx)
	if err != nil {
		return err
	}
	from, err := m.look()
	if err != nil {
		return err
	}
	began := time.Now()
	all := make([]int, len(m.plan.Rooms))
	for room := range all {
		all[room] = room
	}
	if err := m.publish(ctx, all); err != nil {
		return err
	}
	m.values[publishRate] = m.rooms() / time.Since(began).Seconds()
	if err := m.until(ctx, m.allArrived); err != nil {
		return err
	}
	to, err := m.look()
	if err != nil {
		return err
	}
	m.values[fullEdge] = (to.edge.cpu - from.edge.cpu) / m.rooms()
	m.values[fullNATS] = (to.nats.cpu - from.nats.cpu) / m.rooms()
	after, err := m.use(ctx)
	if err != nil {
		return err
	}
	m.values[edgeHistory] = (after.edge.memory - before.edge.memory) / m.rooms()
	m.values[natsHistory] = (after.nats.memory - before.nats.memory) / m.rooms()
	return nil
}

// compare watches one turn of comparing all rooms with the stream, after the comparison that follows the last event of each.
func (m *manyRooms) compare(ctx context.Context) error {
	if err := rest(ctx, m.step.many.settle); err != nil {
		return err
	}
	before, err := m.look()
	if err != nil {
		return err
	}
	if err := rest(ctx, m.step.many.compare); err != nil {
		return err
	}
	after, err := m.look()
	m.values[roomCompare] = (after.edge.cpu - before.edge.cpu) / m.rooms()
	m.values[natsCompare] = (after.nats.cpu - before.nats.cpu) / m.rooms()
	return err
}

// some are the rooms that get an event at once after something was killed: one of each client, spread over all.
func (m *manyRooms) some() []int {
	rooms := make([]int, len(m.plan.Clients))
	for i, joined := range m.plan.Clients {
		rooms[i] = joined[i%len(joined)]
	}
	return rooms
}

// restartNATS publishes as soon as NATS takes it: the edge is hardly subscribed again then, and must find those events in the stream.
func (m *manyRooms) restartNATS(ctx context.Context) error {
	began := time.Now()
	if err := m.target.RestartNATS(ctx); err != nil {
		return err
	}
	m.values[natsUp] = time.Since(began).Seconds()
	published := make(chan error, 1)
	go func() { published <- m.publish(ctx, m.some()) }()
	if err := poll(ctx, func() bool { return m.subscriptions(ctx) >= len(m.plan.Rooms) }); err != nil {
		return errors.Join(err, <-published)
	}
	m.values[subscribed] = time.Since(began).Seconds()
	if err := <-published; err != nil {
		return err
	}
	if err := m.until(ctx, m.allArrived); err != nil {
		return err
	}
	m.values[natsDelivered] = time.Since(began).Seconds()
	return nil
}

// subscriptions is how many nats-server knows, 0 while it does not answer.
func (m *manyRooms) subscriptions(ctx context.Context) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.target.Monitor()+"/varz", nil)
	if err != nil {
		return 0
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	var varz struct {
		Subscriptions int `json:"subscriptions"`
	}
	_ = json.NewDecoder(response.Body).Decode(&varz) // 0 as long as it fails
	return varz.Subscriptions
}

// restartEdge publishes at once; clients get those events when they come back.
func (m *manyRooms) restartEdge(ctx context.Context) error {
	stats, err := m.swarm.Stats()
	if err != nil {
		return err
	}
	began := time.Now()
	up := make(chan error, 1)
	go func() {
		err := m.target.Fault(ctx, scenario.Kill, 0)
		m.values[edgeUp] = time.Since(began).Seconds()
		up <- err
	}()
	err = m.publish(ctx, m.some())
	if err := errors.Join(err, <-up); err != nil {
		return err
	}
	back := stats.Reconnects + m.step.clients
	if err := m.until(ctx, func(s swarm.Stats) bool { return s.Joined == m.step.clients && s.Reconnects >= back }); err != nil {
		return err
	}
	m.values[allBack] = time.Since(began).Seconds()
	if err := m.until(ctx, m.allArrived); err != nil {
		return err
	}
	m.values[edgeDelivered] = time.Since(began).Seconds()
	return nil
}

// finish counts what has not come, has come twice, and the times that an edge has said it cannot tell.
func (m *manyRooms) finish(ctx context.Context) error {
	s, err := m.swarm.Finish(ctx, m.sent, time.Second)
	m.values[lost] = float64(s.Missing) + float64(s.Twice) + float64(s.NotRecovered)
	return err
}

// publish sends the next event of each room.
func (m *manyRooms) publish(ctx context.Context, rooms []int) error {
	const publishers = 64
	work := make(chan int)
	errs := make([]error, publishers)
	var all sync.WaitGroup
	for i := range publishers {
		all.Go(func() {
			for room := range work {
				n := m.sent[room] + 1
				event := runner.Event{N: n, Type: m.data.EventType(room, n), Data: m.data.Append(nil, room, n, time.Now())}
				if _, err := m.publisher.Publish(ctx, room, []runner.Event{event}); err != nil {
					errs[i] = fmt.Errorf("publish to %s: %w", m.plan.Rooms[room], err)
					continue
				}
				m.sent[room] = n
			}
		})
	}
	for _, room := range rooms {
		work <- room
	}
	close(work)
	all.Wait()
	return errors.Join(errs...)
}

// allArrived: each room has one client, so deliveries are events.
func (m *manyRooms) allArrived(s swarm.Stats) bool {
	var events uint64
	for _, n := range m.sent {
		events += n
	}
	return s.Received >= events
}

// until waits for something that clients have seen.
func (m *manyRooms) until(ctx context.Context, holds func(swarm.Stats) bool) error {
	var last swarm.Stats
	var broken error
	err := poll(ctx, func() bool {
		last, broken = m.swarm.Stats()
		return broken != nil || holds(last)
	})
	switch {
	case broken != nil:
		return broken
	case err != nil:
		return fmt.Errorf("%w: %d of %d clients are in, %d events came: %v", err, last.Joined, m.step.clients, last.Received, last.Failures)
	}
	return nil
}

// rest lets time pass.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// poll looks at a condition until it holds or ctx ends, which is the error.
func poll(ctx context.Context, holds func() bool) error {
	for !holds() {
		if err := rest(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
