package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

// counted is a number of things: "1,000 rooms".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return report.Count.Text(float64(n)) + " " + what + "s"
}

// of are a step's numbers of a name, one for each round that measured it.
func (s *study) of(key, name string) []float64 {
	var values []float64
	for _, r := range s.records {
		if v, measured := r.Values[name]; measured && r.Step == key {
			values = append(values, v)
		}
	}
	return values
}

func (s *study) median(key, name string) float64 { return report.RangeOf(s.of(key, name)).Median }

// series are its steps, in their order.
func (s *study) series(name string) []step {
	return slices.DeleteFunc(slices.Clone(s.steps), func(one step) bool { return !strings.HasPrefix(one.key, name+"/") })
}

// columns of the tables, by the name of what they show.
var columns = map[string]report.Column{
	edgeDelivery: {Title: "edge, CPU per delivery", Scale: "µs", Unit: report.Seconds},
	edgeEvent:    {Title: "edge, CPU per event", Scale: "µs", Unit: report.Seconds},
	natsEvent:    {Title: "NATS, CPU per event", Scale: "µs", Unit: report.Seconds},
	latencyP99:   {Title: "latency, p99", Scale: "ms", Unit: report.Seconds},
	wireBytes:    {Title: "bytes per delivery", Scale: "B", Unit: report.Bytes},
}

// matrix shows numbers of steps.
func (s *study) matrix(steps []step, names ...string) *report.Matrix {
	m := &report.Matrix{}
	for _, name := range names {
		c := columns[name]
		c.Metric, c.Target = name, -1
		m.Columns = append(m.Columns, c)
	}
	for _, one := range steps {
		row := report.Row{Name: one.label, Values: map[string][]float64{}}
		for _, c := range m.Columns {
			row.Values[c.Key()] = s.of(one.key, c.Metric)
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

// swingOf tells how even a number is over steps; those that were not measured are left out.
func (s *study) swingOf(what, name string, steps []step) string {
	var values []float64
	for _, one := range steps {
		if v := s.median(one.key, name); v > 0 {
			values = append(values, v)
		}
	}
	if len(values) < 2 {
		return what + ": not measured.\n"
	}
	const bar = 0.1
	share, verdict := swing(values), "within"
	if share > bar {
		verdict = "**not within**"
	}
	return fmt.Sprintf("%s: all within ±%.1f %% of their middle, %s the ±10 %% that is aimed at.\n", what, share*100, verdict)
}

// connectionsAndRooms is rooms of ten and one room.
func (s *study) connectionsAndRooms(w io.Writer) {
	steps := s.series(tens)
	most := 0
	for _, one := range steps {
		most = max(most, one.rooms)
	}
	_, _ = fmt.Fprintf(w, "### More connections, more rooms\n\nRooms of ten, %s events a second in all; the last row has %s rooms.\n\n", report.Count.Text(rateOf(steps)), report.Count.Text(float64(most)))
	_ = s.matrix(steps, edgeDelivery, natsEvent, latencyP99, wireBytes).WriteMarkdown(w) // of the caller's buffer
	single := func(one step) bool {
		return one.each == 1 && one.clients >= 10*one.rooms && one.rooms >= s.thousand()/10
	}
	many := func(one step) bool { return one.clients != 15*s.thousand() }
	_, _ = fmt.Fprintf(w, "\n- %s- %s", s.swingOf("Connections, from the row with "+counted(s.thousand(), "connection")+" to the one with the most, in rooms of ten", edgeDelivery, keep(steps, single)),
		s.swingOf("Rooms of ten, from the fewest to the most", edgeDelivery, keep(steps, many)))
	_, _ = fmt.Fprintf(w, "\n![CPU per delivery in rooms of ten](scaling/tens.svg)\n\nOne room with everybody in it, %s deliveries a second.\n\n", report.Count.Text(deliveriesOf(s.series(one))))
	_ = s.matrix(s.series(one), edgeDelivery, latencyP99, wireBytes).WriteMarkdown(w)
	_, _ = fmt.Fprintf(w, "\n- %s", s.swingOf("Connections, in one room", edgeDelivery, s.series(one)))
}

// thousand connections: a tenth of it when quick.
func (s *study) thousand() int {
	if s.cfg.quick {
		return 100
	}
	return 1000
}

func keep(steps []step, which func(step) bool) []step {
	return slices.DeleteFunc(slices.Clone(steps), func(one step) bool { return !which(one) })
}

func rateOf(steps []step) float64 {
	if len(steps) == 0 {
		return 0
	}
	return steps[0].rate
}

func deliveriesOf(steps []step) float64 {
	if len(steps) == 0 {
		return 0
	}
	return steps[0].rate * steps[0].members()
}

// shares are steps with the same connections in rooms of different sizes, the largest first.
func (s *study) shares() []step {
	steps := s.series(spread)
	for _, one := range s.series(tens) {
		if len(steps) > 0 && one.clients == steps[0].clients && one.each == 1 {
			steps = append(steps, one)
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return a.rooms - b.rooms })
	return steps
}

// shared is what of a delivery is its own, and what an event costs that all its deliveries share, in seconds.
func (s *study) shared() (delivery, event float64) {
	var points []point
	for _, one := range s.shares() {
		if cost := s.median(one.key, edgeDelivery); cost > 0 {
			points = append(points, point{1 / one.members(), cost})
		}
	}
	return fit(points)
}

// membersPerRoom separates the cost of an event from that of its deliveries.
func (s *study) membersPerRoom(w io.Writer) {
	a, b := s.shared()
	_, _ = fmt.Fprintf(w, "\n### Fewer members in a room\n\nThe same connections in more and more rooms.\n\n| rooms | members of each | events per second | measured | a + b / members | differs by |\n| --: | --: | --: | --: | --: | --: |\n")
	for _, one := range s.shares() {
		model := a + b/one.members()
		measured := report.RangeOf(s.of(one.key, edgeDelivery))
		_, _ = fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", report.Count.Text(float64(one.rooms)), report.Count.Text(one.members()),
			report.Count.Text(one.rate), ranged(measured, report.Seconds), text(model, report.Seconds), signed(measured.Median/model-1))
	}
	_, _ = fmt.Fprintf(w, "\nCPU of the edge per delivery is **a + b / members** with **a = %s** (the delivery itself) and **b = %s** (the event: receive, check, encode).\n",
		text(a, report.Seconds), text(b, report.Seconds))
	_, _ = fmt.Fprint(w, "\n![CPU per delivery with fewer members](scaling/spread.svg)\n")
}

// twoEdges compares two edges with one.
func (s *study) twoEdges(w io.Writer) {
	_, _ = fmt.Fprint(w, "\n### Two edges\n\nEach of the two has the connections and the events of the one; CPU is that of both together.\n\n| | one edge | two edges | two / one |\n| --- | --: | --: | --: |\n")
	a, b := s.shared()
	said := ""
	for _, two := range s.series(pair) {
		what, of := "one room", one
		if two.rooms > 1 {
			what, of = "rooms of ten, half of their members on each edge", tens
		}
		half := keep(s.series(of), func(single step) bool { return single.clients*2 == two.clients && single.each == 1 })
		if len(half) == 0 {
			continue
		}
		single, both := report.RangeOf(s.of(half[0].key, edgeDelivery)), report.RangeOf(s.of(two.key, edgeDelivery))
		_, _ = fmt.Fprintf(w, "| %s | %s | %s | %s |\n", what, ranged(single, report.Seconds), ranged(both, report.Seconds), text(both.Median/single.Median, report.Count))
		if two.rooms > 1 {
			members := two.members()
			said = fmt.Sprintf("\nAn event costs its b on every edge that has members of the room, so in rooms of ten a + 2 b / 10 against a + b / 10 is to be expected: %s times.\n",
				text((a+2*b/members)/(a+b/members), report.Count))
		}
	}
	_, _ = fmt.Fprint(w, said)
}

// natsPerEdge is what an event costs NATS as such, and for each edge that follows its room.
func (s *study) natsPerEdge() (event, edge float64) {
	var points []point
	for _, one := range s.series(followers) {
		if cost := s.median(one.key, natsEvent); cost > 0 {
			points = append(points, point{float64(one.edges), cost})
		}
	}
	return fit(points)
}

func (s *study) edgesAtNATS(w io.Writer) {
	steps := s.series(followers)
	_, _ = fmt.Fprintf(w, "\n### What an event costs NATS\n\nAll edges follow the same rooms, %s events a second in all, stored once.\n\n", report.Count.Text(rateOf(steps)))
	_ = s.matrix(steps, natsEvent, edgeEvent, latencyP99).WriteMarkdown(w)
	event, edge := s.natsPerEdge()
	_, _ = fmt.Fprintf(w, "\nCPU of nats-server per event is **%s + %s for each edge** that follows the room.\n\n![CPU of NATS per event](scaling/nats.svg)\n",
		text(event, report.Seconds), text(edge, report.Seconds))
}

// quantity is a row of the table of manyRooms.
type quantity struct {
	name, title string
	unit        report.Unit
}

var roomQuantities = []quantity{
	{joinRate, "rooms joined per second", report.PerSecond},
	{roomJoin, "edge, CPU per room joined, with its comparison 2 s later", report.Seconds},
	{natsRoomJoin, "NATS, the same", report.Seconds},
	{edgeRoom, "edge, memory per room without events", report.Bytes},
	{natsRoom, "NATS, memory per room and edge that follows it", report.Bytes},
	{publishRate, "one event in every room: acknowledged per second", report.PerSecond},
	{fullEdge, "edge, CPU per event and its delivery at that rate", report.Seconds},
	{fullNATS, "NATS, CPU per event at that rate", report.Seconds},
	{edgeHistory, "edge, further memory per room with an event", report.Bytes},
	{natsHistory, "NATS, the same, with what the store keeps in memory", report.Bytes},
	{roomCompare, "edge, CPU per comparison of such a room with the stream", report.Seconds},
	{natsCompare, "NATS, the same", report.Seconds},
	{natsUp, "NATS killed: until it answers again", report.Seconds},
	{subscribed, "… until all rooms are subscribed again", report.Seconds},
	{natsDelivered, "… until events that were published at once have all arrived", report.Seconds},
	{edgeUp, "edge killed: until it is ready again", report.Seconds},
	{allBack, "… until all clients are in all rooms again", report.Seconds},
	{edgeDelivered, "… until events that were published at once have all arrived", report.Seconds},
	{lost, "lost, twice, or told of a loss in all of that", report.Count},
}

func (s *study) manyRooms(w io.Writer) {
	for _, one := range s.series(many) {
		_, _ = fmt.Fprintf(w, "\n### %s on one edge\n\n%s, each in %d rooms that nobody else is in. Times are to a quarter of a second.\n\n", counted(one.rooms, "room"), counted(one.clients, "connection"), one.each)
		s.quantities(w, one.key, roomQuantities)
	}
}

// connections is what one costs that gets nothing.
func (s *study) connections(w io.Writer) {
	for _, one := range s.series(quiet) {
		_, _ = fmt.Fprintf(w, "\n### A connection\n\n%s, which come in as fast as they can, and then nothing but pings.\n\n", one.label)
		s.quantities(w, one.key, []quantity{
			{edgeJoin, "edge, CPU per connection, token and join", report.Seconds},
			{natsJoin, "NATS, the same", report.Seconds},
			{edgeMemory, "edge, memory per connection, garbage and share of its room included", report.Bytes},
			{kernelMemory, "kernel, memory per socket", report.Bytes},
			{pingCost, "edge, CPU per ping and answer", report.Seconds},
		})
	}
}

func (s *study) quantities(w io.Writer, key string, all []quantity) {
	_, _ = fmt.Fprint(w, "| | |\n| --- | --: |\n")
	for _, q := range all {
		_, _ = fmt.Fprintf(w, "| %s | %s |\n", q.title, ranged(report.RangeOf(s.of(key, q.name)), q.unit))
	}
}

// ranged is a median and its range in small print.
func ranged(r report.Range, u report.Unit) string {
	if r.Runs == 0 {
		return "–"
	}
	middle, least, most := u.Text(r.Median), u.Text(r.Min), u.Text(r.Max)
	if least == most {
		return middle
	}
	return middle + "<br><sub>" + least + " – " + most + "</sub>"
}

// text is a number that may not be known.
func text(v float64, u report.Unit) string {
	if math.IsNaN(v) || math.IsInf(v, 0) || v == 0 {
		return "–"
	}
	return u.Text(v)
}

func signed(share float64) string {
	if math.IsNaN(share) || math.IsInf(share, 0) || share == -1 {
		return "–"
	}
	return fmt.Sprintf("%+.0f %%", math.Round(share*100)+0) // no -0
}
