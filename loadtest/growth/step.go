package main

import (
	"strconv"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/scenario"
)

// step is one thing that is measured, with an installation of its own.
type step struct {
	key     string // of its numbers: "tens/1000"
	label   string // in tables
	edges   int
	clients int
	rooms   int
	each    int     // rooms of each client
	rate    float64 // events per second over all rooms
	flags   []string

	warmup, window time.Duration
	many           *manyTimes // not nil: the step is that of manyRooms
}

// manyTimes are the times of manyRooms.
type manyTimes struct {
	settle  time.Duration // after which a room that was joined has been compared with the stream
	compare time.Duration // how often all are, instead of every 30 s
}

// members is how many clients are in a room.
func (s step) members() float64 { return float64(s.clients*s.each) / float64(s.rooms) }

// size of an event's data, bytes.
const size = 200

// scenario is the step's load.
func (s step) scenario() *scenario.Scenario {
	return &scenario.Scenario{
		Name: "growth", Clients: s.clients, Warmup: s.warmup, Duration: s.window, Repeat: 1, Reconnect: s.many != nil,
		Groups: []scenario.Group{{
			Kind: "room", Rooms: s.rooms, PerClient: s.each, Rate: s.rate, Burst: 1, Size: size,
			Events: []scenario.Event{{Type: scenario.DefaultEventType, Weight: 1}},
		}},
	}
}

// Series of steps; a key begins with one of them.
const (
	tens      = "tens"      // rooms of ten, the same events per second, more and more of them
	one       = "one"       // one room with everybody in it, the same deliveries per second
	spread    = "spread"    // the same connections in fewer, larger rooms
	pair      = "pair"      // two edges, each with the load of a step of tens or one
	followers = "followers" // edges that follow the same rooms
	quiet     = "quiet"     // nothing but pings
	many      = "many"      // as many rooms as an edge can follow
)

// pingEvery is how often clients are pinged in the step quiet, instead of every 25 s, so that its window sees many.
const pingEvery = 2 * time.Second

// sizes are the numbers that the steps are made of; quick ones are a tenth of them.
type sizes struct {
	rate           float64 // events per second in rooms of ten
	fan            float64 // deliveries per second in one room
	warmup, window time.Duration
	part           int // what clients and rooms are divided by
	many           manyTimes
}

// everything is all steps in the order of a round.
func everything(quick bool) []step {
	z := sizes{rate: 1000, fan: 30_000, warmup: time.Second, window: 4 * time.Second, part: 1, many: manyTimes{4 * time.Second, 10 * time.Second}}
	if quick {
		z = sizes{rate: 100, fan: 3000, warmup: 300 * time.Millisecond, window: time.Second, part: 10, many: manyTimes{4 * time.Second, 3 * time.Second}}
	}
	steps := z.tens()
	steps = append(steps, z.one()...)
	steps = append(steps, z.spread()...)
	steps = append(steps, z.pair()...)
	steps = append(steps, z.followers()...)
	return append(steps, z.quiet(), z.manyRooms())
}

// load is a step whose clients are in so many of the rooms each.
func (z sizes) load(series string, clients, rooms, each int, rate float64) step {
	return step{
		key: series + "/" + strconv.Itoa(rooms) + "/" + strconv.Itoa(clients), label: counted(clients, "connection") + " in " + counted(rooms, "room"), edges: 1,
		clients: clients, rooms: rooms, each: each, rate: rate, warmup: z.warmup, window: z.window,
	}
}

// tens grows rooms of ten members with the connections, and at the end without them: each is in ten rooms.
func (z sizes) tens() []step {
	var steps []step
	for _, clients := range []int{100, 1000, 5000, 10_000, 15_000} {
		clients = max(clients/z.part, 10)
		steps = append(steps, z.load(tens, clients, clients/10, 1, z.rate))
	}
	last := z.load(tens, 10_000/z.part, 10_000/z.part, 10, z.rate)
	last.label = counted(last.clients, "connection") + " in 10 rooms each"
	return append(steps, last)
}

// one scales the rate so that deliveries per second stay the same.
func (z sizes) one() []step {
	var steps []step
	for _, clients := range []int{1000, 5000, 15_000} {
		clients /= z.part
		steps = append(steps, z.load(one, clients, 1, 1, z.fan/float64(clients)))
	}
	return steps
}

// spread has twenty thousand deliveries a second, as far as that does not take more than two thousand events. Rooms of ten are a step
// of tens.
func (z sizes) spread() []step {
	clients := 10_000 / z.part
	var steps []step
	for _, members := range []int{1000, 100, 1} {
		members = max(members/z.part, 1)
		if members == 10 && z.part > 1 {
			members = 3 // it would be the step of tens
		}
		rate := min(2*z.rate, 20*z.rate/float64(members))
		steps = append(steps, z.load(spread, clients, clients/members, 1, rate))
	}
	return steps
}

// pair gives each of two edges what the step before gives one.
func (z sizes) pair() []step {
	clients := 10_000 / z.part
	room := z.load(pair, clients, 1, 1, z.fan/float64(clients/2))
	rooms := z.load(pair, clients, clients/10, 1, z.rate)
	room.edges, rooms.edges = 2, 2
	return []step{room, rooms}
}

// followers has one client at each edge, which is in all rooms: every event goes to every edge, and once to a socket there.
func (z sizes) followers() []step {
	const rooms = 50
	var steps []step
	for _, edges := range []int{1, 2, 4, 8} {
		s := z.load(followers, edges, rooms, rooms, z.rate)
		s.edges, s.label = edges, counted(edges, "edge")
		steps = append(steps, s)
	}
	return steps
}

func (z sizes) quiet() step {
	s := z.load(quiet, 10_000/z.part, 1000/z.part, 1, 0)
	s.flags = []string{"--ping", pingEvery.String()}
	return s
}

func (z sizes) manyRooms() step {
	const each = 100
	s := z.load(many, 1000/z.part, 1000/z.part*each, each, 0)
	s.many, s.flags = &z.many, []string{"--audit", z.many.compare.String()}
	return s
}
