package main

import (
	"fmt"
	"io"
	"math"

	"github.com/tidingsmesh/tidings/internal/bytesize"
	"github.com/tidingsmesh/tidings/loadtest/report"
)

// costs are what one of each takes, in seconds of one processor and bytes, as this study measures them.
type costs struct {
	delivery, first     float64 // edge: a, and an event with its first delivery on an edge
	natsEvent, natsEdge float64 // NATS: of an event with one edge that follows the room, and for each further one
	join, roomJoin      float64 // edge: a connection with its first room, a room
	ping                float64 // edge
	compare, natsCheck  float64 // a room's comparison with the stream, by an edge: there and at NATS
	connection, socket  float64 // bytes at the edge, bytes in its kernel
	room, roomHistory   float64 // bytes at the edge: a room, and its first event
	interest            float64 // bytes at NATS for a room on an edge
	stored              float64 // bytes of memory at NATS for a room with events
	wire                float64 // bytes of a delivery
}

func (s *study) costs() costs {
	var c costs
	c.delivery, _ = s.shared()
	_, c.natsEdge = s.natsPerEdge()
	for _, one := range s.series(quiet) {
		c.join, c.ping = s.median(one.key, edgeJoin), s.median(one.key, pingCost)
		c.connection, c.socket = s.median(one.key, edgeMemory), s.median(one.key, kernelMemory)
	}
	for _, one := range s.series(many) {
		c.first, c.natsEvent = s.median(one.key, fullEdge), s.median(one.key, fullNATS)
		c.roomJoin, c.compare, c.natsCheck = s.median(one.key, roomJoin), s.median(one.key, roomCompare), s.median(one.key, natsCompare)
		c.room, c.roomHistory = s.median(one.key, edgeRoom), s.median(one.key, edgeHistory)
		c.interest, c.stored = s.median(one.key, natsRoom), s.median(one.key, natsHistory)
	}
	for _, one := range s.series(tens) {
		c.wire = s.median(one.key, wireBytes)
	}
	return c
}

// demand is what is asked of an installation, and what its machines are like. docs/scaling.md names each.
type demand struct {
	connections float64
	each        float64 // rooms of a connection
	members     float64 // of a room
	rate        float64 // events per second of a room, quiet ones included
	session     float64 // seconds for which a connection lasts

	cores   float64 // of a machine
	memory  float64 // of a machine, bytes that may be used
	use     float64 // share of the processors that may be used when nothing is broken
	sockets float64 // connections of an edge, at most
	stream  float64 // events per second that one stream takes
	copies  float64 // of the stream: each stores every event
}

// usual is the demand of the tables.
func usual(connections, rate float64) demand {
	return demand{
		connections: connections, each: 3, members: 10, rate: rate, session: 600,
		cores: 8, memory: 10 * float64(bytesize.Gibibyte), use: 0.4, sockets: 150_000, stream: 10_000, copies: 3,
	}
}

const (
	pingInterval    = 25.0 // seconds, --ping
	compareInterval = 30.0 // seconds, --audit
	packet          = 66   // bytes of Ethernet, IP and TCP around a delivery
)

// installation is what a demand needs.
type installation struct {
	demand
	rooms, events, deliveries float64

	edges               float64
	byCPU, byMemory     float64 // edges that each would ask for
	bySockets           float64
	follow              float64 // edges that follow a room
	followed            float64 // rooms that an edge follows
	nodes               float64 // NATS machines by CPU alone
	streams             float64 // by the rate of writes
	interest, stored    float64 // bytes of memory at NATS
	comparisons         float64 // processors of NATS that comparing all rooms takes
	edgeOut, natsToEdge float64 // bytes per second out of an edge, and into it from NATS
	storm               float64 // seconds that the free processors of the others, or all of the only one, need for the connections of one edge
}

// sized is what the demand needs. How many edges follow a room depends on how many there are, and the other way round.
func sized(d demand, c costs) installation {
	z := installation{demand: d, edges: 1}
	z.rooms = d.connections * d.each / d.members
	z.events = z.rooms * d.rate
	z.deliveries = z.events * d.members
	for range 50 {
		z.follow = spreadOver(d.members, z.edges)
		z.followed = z.rooms * z.follow / z.edges
		edges := z.needed(c)
		if edges == z.edges {
			break
		}
		z.edges = edges
	}
	z.streams = math.Ceil(z.events / d.stream)
	z.interest = z.rooms * z.follow * c.interest
	z.stored = z.rooms * c.stored
	z.comparisons = z.rooms * z.follow * c.natsCheck / compareInterval
	z.nodes = math.Ceil(max(d.copies, (z.events*(d.copies*c.natsEvent+(z.follow-1)*c.natsEdge)+z.comparisons)/(d.cores*d.use)))
	z.edgeOut = z.deliveries / z.edges * (c.wire + packet)
	z.natsToEdge = z.events * z.follow / z.edges * (c.wire + packet)
	if z.edges > 1 {
		z.storm = d.connections / z.edges * (c.join + d.each*c.roomJoin) / ((z.edges - 1) * d.cores * (1 - d.use))
	} else {
		z.storm = d.connections * (c.join + d.each*c.roomJoin) / d.cores
	}
	return z
}

// needed is how many edges there have to be when a room is followed by so many.
func (z *installation) needed(c costs) float64 {
	d := z.demand
	processors := (z.deliveries-z.events*z.follow)*c.delivery + z.events*z.follow*c.first +
		z.rooms*z.follow*c.compare/compareInterval + d.connections*c.ping/pingInterval +
		d.connections/d.session*(c.join+d.each*c.roomJoin)
	bytes := d.connections*(c.connection+c.socket) + z.rooms*z.follow*(c.room+c.roomHistory)
	z.byCPU = processors / (d.cores * d.use)
	z.byMemory = bytes / d.memory
	z.bySockets = d.connections / d.sockets
	return math.Ceil(max(z.byCPU, z.byMemory, z.bySockets))
}

// first names what makes the edges as many as they are.
func (z *installation) first() string {
	switch max(z.byCPU, z.byMemory, z.bySockets) {
	case z.byCPU:
		return "CPU"
	case z.byMemory:
		return "memory"
	}
	return "sockets"
}

// spreadOver is on how many of the edges at least one of a room's members is, on average, when each may be on any.
func spreadOver(members, edges float64) float64 {
	return edges * (1 - math.Pow(1-1/edges, members))
}

// known says that everything was measured.
func (c costs) known() bool {
	for _, v := range []float64{
		c.delivery, c.first, c.natsEvent, c.natsEdge, c.join, c.roomJoin, c.ping, c.compare, c.natsCheck,
		c.connection, c.socket, c.room, c.interest, c.wire,
	} {
		if !(v > 0) { // nor is it a number
			return false
		}
	}
	return true
}

// sizing is the table of installations from a machine to a hundred million connections.
func (s *study) sizing(w io.Writer) {
	c := s.costs()
	_, _ = fmt.Fprint(w, "\n### Sizes\n\n")
	if !c.known() {
		_, _ = fmt.Fprint(w, "Not all that this needs was measured.\n")
		return
	}
	d := usual(0, 0)
	_, _ = fmt.Fprintf(w, "From these figures, for %s rooms a connection, %s members a room, sessions of %s minutes; machines of %s processors of the kind above, "+
		"%s %% of them in use, %s of memory, at most %s connections an edge; %s events per second a stream, in %s copies.\n",
		count(d.each), count(d.members), count(d.session/60), count(d.cores), count(d.use*100), volume(d.memory), count(d.sockets), count(d.stream), count(d.copies))
	for _, every := range []float64{50, 2} {
		_, _ = fmt.Fprintf(w, "\n**An event in each room every %s seconds**, on average over busy and quiet ones.\n\n", count(every))
		var all []installation
		for _, connections := range []float64{10_000, 100_000, 1e6, 10e6, 100e6} {
			all = append(all, sized(usual(connections, 1/every), c))
		}
		writeSizes(w, all)
	}
}

// count and volume write the numbers of the tables.
var count, volume = report.Count.Text, report.Bytes.Text

func writeSizes(w io.Writer, all []installation) {
	head, rule := "| connections |", "| --- |"
	for _, z := range all {
		head += " " + count(z.connections) + " |"
		rule += " --: |"
	}
	_, _ = fmt.Fprintln(w, head+"\n"+rule)
	row := func(title string, cell func(*installation) string) {
		_, _ = fmt.Fprintf(w, "| %s |", title)
		for i := range all {
			_, _ = fmt.Fprintf(w, " %s |", cell(&all[i]))
		}
		_, _ = fmt.Fprintln(w)
	}
	row("rooms", func(z *installation) string { return count(z.rooms) })
	row("events per second", func(z *installation) string { return count(z.events) })
	row("deliveries per second", func(z *installation) string { return count(z.deliveries) })
	row("**edges**", func(z *installation) string { return "**" + count(z.edges) + "**" })
	row("by sockets / CPU / memory", func(z *installation) string {
		return count(z.bySockets) + " / " + count(z.byCPU) + " / " + count(z.byMemory)
	})
	row("first limit of an edge", (*installation).first)
	row("edges that follow a room", func(z *installation) string { return count(z.follow) })
	row("rooms that an edge follows", func(z *installation) string { return count(math.Round(z.followed)) })
	row("out of an edge", func(z *installation) string { return volume(z.edgeOut) + "/s" })
	row("from NATS into an edge", func(z *installation) string { return volume(z.natsToEdge) + "/s" })
	row("an edge lost: the others are busy for", func(z *installation) string { return report.Seconds.Text(z.storm) })
	row("**streams**, by writes", func(z *installation) string { return "**" + count(z.streams) + "**" })
	row("**NATS machines**, by CPU", func(z *installation) string { return "**" + count(z.nodes) + "**" })
	row("of them for comparing rooms, processors", func(z *installation) string { return count(z.comparisons) })
	row("NATS memory for interest", func(z *installation) string { return volume(z.interest) })
	row("NATS memory for rooms with history", func(z *installation) string { return volume(z.stored) })
}
