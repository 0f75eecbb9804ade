package history_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidingsmesh/tidings/edge/follow"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/loadtest/history"
	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// chooser is where a simulation takes its decisions from: rapid, which finds small counterexamples, or a
// seed.
type chooser interface {
	choose(what string, n int) int // from 0 to n-1
}

type byRapid struct{ t *rapid.T }

func (r byRapid) choose(what string, n int) int { return rapid.IntRange(0, n-1).Draw(r.t, what) }

type bySeed struct{ *rand.Rand }

func (r bySeed) choose(_ string, n int) int { return r.IntN(n) }

func seeded(seed uint64) chooser { return bySeed{rand.New(rand.NewPCG(seed, 7))} }

// sim writes the history of a run in which everything keeps to the protocol: edges that are never wrong,
// clients that follow the rules, connections that are cut and left for others, live messages that are
// lost and noticed, a stream that forgets or, with NATS to blame, goes back.
type sim struct {
	chooser
	profile profile
	now     int64
	records map[string][]history.Record
	files   []string

	epoch     string
	seq       uint64
	log       []simEvent
	published int
	wentBack  []wentBack
	clients   []*simClient
}

// profile says how long a simulation is and what may happen in it.
type profile struct {
	name    string
	steps   int
	clients int
	keeps   int  // events of a room, for those who come back
	faults  bool // connections are cut, live messages are lost, clients are away for long
	back    bool // the stream goes back
}

var (
	untroubled = profile{name: "untroubled", steps: 200, clients: 5, keeps: 10_000}
	troubled   = profile{name: "troubled", steps: 300, clients: 5, keeps: 10_000, faults: true}
	forgetful  = profile{name: "forgetful", steps: 300, clients: 5, keeps: 4, faults: true}
	goesBack   = profile{name: "goes back", steps: 300, clients: 5, keeps: 8, faults: true, back: true}

	profiles = []profile{untroubled, troubled, forgetful, goesBack}
)

func (p profile) options() history.Options {
	o := history.DefaultOptions()
	o.History = p.keeps
	return o
}

// simEvent is an event as it is stored.
type simEvent struct {
	room string
	id   string
	seq  uint64
	prev uint64
	time int64
	json []byte
}

// wentBack is a moment at which the stream lost everything after a sequence.
type wentBack struct {
	to   uint64
	time int64
}

// simLink is a connection, with what the edge has sent over it and the client has not read.
type simLink struct {
	edge  string
	queue []wire.ServerFrame
	subs  map[string]*simSub
	up    bool
}

// simSub is a room that a connection is in.
type simSub struct {
	sent uint64 // the last event sent
}

type simClient struct {
	sim   *sim
	name  string
	class history.Class
	file  string
	rooms map[string]*follow.Room
	link  *simLink // nil while away
	next  *simLink // takes the place of link when it is welcomed
	joins map[string]int
}

var simRooms = []string{"campaign:1", "campaign:2", "settlement:3"}

// simulate plays one run.
func simulate(c chooser, p profile) *sim {
	s := &sim{chooser: c, profile: p, now: time.Unix(1_700_000_000, 0).UnixNano(), records: make(map[string][]history.Record), epoch: "e1"}
	usage := history.Usage{RSS: 50 << 20, Heap: 5 << 20, Goroutines: 20, Files: 15, Subscriptions: 4}
	for _, edge := range []string{"edge-1", "edge-2"} {
		s.write("conductor", history.Record{Kind: history.Base, Who: edge, Usage: &usage})
	}
	classes := []history.Class{history.Steady, history.Steady, history.Churn, history.Slow, history.Expires}
	for i := range p.clients {
		name := fmt.Sprint("c", i)
		cl := &simClient{
			sim: s, name: name, class: classes[i%len(classes)], file: fmt.Sprint("clients-", i%2),
			rooms: make(map[string]*follow.Room), joins: make(map[string]int),
		}
		for _, room := range simRooms[:1+i%len(simRooms)] {
			cl.rooms[room] = &follow.Room{Name: room}
		}
		s.clients = append(s.clients, cl)
		cl.write(history.Record{Kind: history.Client, Class: cl.class})
		cl.connect()
	}
	if p.faults {
		s.write("conductor", history.Record{Kind: history.Begin, Who: "cut", Text: "links"})
	}
	for range p.steps {
		s.step()
	}
	s.finish()
	for _, edge := range []string{"edge-1", "edge-2"} {
		s.write("conductor", history.Record{Kind: history.Rest, Who: edge, Usage: &usage})
	}
	return s
}

func (s *sim) pass(d time.Duration) { s.now += int64(d) }

func (s *sim) write(file string, r history.Record) {
	s.pass(time.Microsecond)
	r.Time = s.now
	if _, found := s.records[file]; !found {
		s.files = append(s.files, file)
	}
	s.records[file] = append(s.records[file], r)
}

func (s *sim) step() {
	s.pass(time.Duration(1+s.choose("pass", 10)) * time.Millisecond)
	c := s.clients[s.choose("client", len(s.clients))]
	switch op := s.choose("op", 100); {
	case op < 20:
		s.publish(op == 0)
	case op < 75:
		for range 1 + s.choose("frames", 4) {
			c.read()
		}
	case op < 78:
		c.move()
	case op < 86:
		c.comeOrGo()
	case op < 92 && s.profile.faults:
		c.cut()
	case op < 93 && s.profile.back:
		s.goBack()
	default:
		if c.link == nil {
			c.connect()
		}
	}
}

// publish stores an event; the ack of some is lost.
func (s *sim) publish(ackLost bool) {
	s.published++
	room := simRooms[s.choose("room", len(simRooms))]
	id := fmt.Sprint("evt-", s.published)
	e := simEvent{room: room, id: id, json: fmt.Appendf(nil, `{"id":%q,"type":"t","data":{"n":%d}}`, id, s.published)}
	_, hash, err := history.Digest(e.json)
	if err != nil {
		panic(err)
	}
	s.write("publisher", history.Record{Kind: history.Publish, Who: "p", Room: room, ID: id, Hash: hash})
	s.pass(time.Millisecond)
	s.seq += 1 + uint64(s.choose("marks", 2))
	e.seq, e.time = s.seq, s.now
	if last := s.last(room); last != nil {
		e.prev = last.seq
	}
	s.log = append(s.log, e)
	if ackLost && !s.profile.back {
		s.write("publisher", history.Record{Kind: history.Failed, Who: "p", Room: room, ID: id, Unknown: true, Text: "timeout"})
	} else {
		s.write("publisher", history.Record{Kind: history.Acked, Who: "p", Room: room, ID: id, Seq: e.seq})
	}
	for _, c := range s.clients {
		for _, l := range []*simLink{c.link, c.next} {
			if l == nil || l.subs[room] == nil {
				continue
			}
			if s.profile.faults && !c.hasJoinedALot() && s.choose("lost", 20) == 0 {
				continue // the next event of the room tells, or the comparison at the end
			}
			l.queue = append(l.queue, e.frame(e.prev))
			l.subs[room].sent = e.seq
		}
	}
}

func (e *simEvent) frame(prev uint64) wire.ServerFrame {
	return wire.ServerFrame{Op: wire.OpEvent, Room: e.room, Seq: e.seq, Prev: prev, TS: e.time / 1e6, Event: e.json}
}

func (e *simEvent) position(epoch string) *wire.Position {
	return &wire.Position{Epoch: epoch, Seq: e.seq, ID: e.id, TS: e.time / 1e6}
}

// last is the newest event of a room.
func (s *sim) last(room string) *simEvent {
	for i := len(s.log) - 1; i >= 0; i-- {
		if s.log[i].room == room {
			return &s.log[i]
		}
	}
	return nil
}

func (s *sim) after(room string, seq uint64) []simEvent {
	var after []simEvent
	for _, e := range s.log {
		if e.room == room && e.seq > seq {
			after = append(after, e)
		}
	}
	return after
}

// head is where a room stands: at its newest event, or at a fence.
func (s *sim) head(room string) *wire.Position {
	if last := s.last(room); last != nil {
		return last.position(s.epoch)
	}
	s.seq++
	return &wire.Position{Epoch: s.epoch, Seq: s.seq, TS: s.now / 1e6}
}

// goBack loses what is newest in the stream, after it was acknowledged.
func (s *sim) goBack() {
	n := s.choose("lose", 4)
	if len(s.log) <= n {
		return
	}
	s.write("conductor", history.Record{Kind: history.Begin, Who: "roll back", Text: "the stream"})
	s.pass(2 * time.Millisecond)
	s.log = s.log[:len(s.log)-n]
	s.seq = 0
	if len(s.log) > 0 {
		s.seq = s.log[len(s.log)-1].seq
	}
	to := s.seq
	s.wentBack = append(s.wentBack, wentBack{to, s.now})
	s.pass(2 * time.Millisecond)
	s.write("conductor", history.Record{Kind: history.End, Who: "roll back", Text: "the last sequence is another one"})
	for _, c := range s.clients {
		c.next = nil
		if c.link == nil {
			continue
		}
		for _, room := range slices.Sorted(maps.Keys(c.link.subs)) {
			if sub := c.link.subs[room]; sub.sent > to {
				pos := s.head(room)
				c.link.queue = append(c.link.queue, reset(room, pos, continuity.ReasonEpoch))
				sub.sent = pos.Seq
			}
		}
	}
	s.publish(false) // what a stream has after it went back shows that it did
}

func reset(room string, pos *wire.Position, reason continuity.Reason) wire.ServerFrame {
	return wire.ServerFrame{Op: wire.OpJoined, Room: room, Position: pos, Recovered: new(false), Reason: reason}
}

// answer is what an edge sends to a client that joins.
func (s *sim) answer(l *simLink, room string, since *wire.Position) {
	pos := s.head(room)
	f := wire.ServerFrame{Op: wire.OpJoined, Room: room, Position: pos}
	var replay []simEvent
	switch {
	case since == nil:
	case s.isLost(since):
		f = reset(room, pos, continuity.ReasonEpoch)
	default:
		if replay = s.after(room, since.Seq); len(replay) >= s.profile.keeps {
			f, replay = reset(room, pos, continuity.ReasonTruncated), nil
		} else {
			f.Recovered, f.Replay = new(true), len(replay)
		}
	}
	l.queue = append(l.queue, f)
	for i, e := range replay {
		prev := e.prev
		if i == 0 {
			prev = since.Seq
		}
		l.queue = append(l.queue, e.frame(prev))
	}
	l.subs[room] = &simSub{sent: pos.Seq}
}

// isLost reports whether the stream went back beyond a position after it was taken.
func (s *sim) isLost(pos *wire.Position) bool {
	return slices.ContainsFunc(s.wentBack, func(b wentBack) bool { return pos.Seq > b.to && pos.TS < b.time/1e6 })
}

func (c *simClient) write(r history.Record) {
	r.Who = c.name
	c.sim.write(c.file, r)
}

// connect says hello; the edge's answers wait to be read.
func (c *simClient) connect() {
	l := &simLink{edge: fmt.Sprint("edge-", 1+c.sim.choose("edge", 2)), subs: make(map[string]*simSub)}
	c.write(history.Record{Kind: history.Dial, Text: l.edge})
	l.queue = append(l.queue, wire.ServerFrame{Op: wire.OpWelcome, Edge: l.edge})
	for _, room := range slices.Sorted(maps.Keys(c.rooms)) {
		c.join(l, room)
	}
	if c.link == nil {
		c.link = l
	} else {
		c.next = l
	}
}

func (c *simClient) join(l *simLink, room string) {
	c.joins[room]++
	since := c.rooms[room].Ref().Since
	c.write(history.Record{Kind: history.Join, Room: room, Position: since})
	c.sim.answer(l, room, since)
}

// move opens a second connection, as after a drain; not while the news that the stream went back is on
// its way, as the protocol has no answer to both at once.
func (c *simClient) move() {
	isReset := func(f wire.ServerFrame) bool { return f.Reason == continuity.ReasonEpoch }
	if c.link != nil && c.link.up && c.next == nil && !c.hasJoinedALot() && !slices.ContainsFunc(c.link.queue, isReset) {
		c.connect()
	}
}

// cut ends a connection with all that was under way on it.
func (c *simClient) cut() {
	if c.next != nil && c.sim.choose("which", 2) == 0 { // a dial that fails
		c.next = nil
		return
	}
	if c.link == nil || c.hasJoinedALot() {
		return
	}
	if c.link.up {
		c.write(history.Record{Kind: history.Down, Code: 1006, Text: "cut"})
	}
	c.link, c.next = c.next, nil
}

// hasJoinedALot reports whether a client has to be spared, as joining again and again is not allowed.
func (c *simClient) hasJoinedALot() bool {
	for _, n := range c.joins {
		if n >= 7 {
			return true
		}
	}
	return false
}

// comeOrGo leaves a room or joins one.
func (c *simClient) comeOrGo() {
	if c.class != history.Churn || c.link == nil || !c.link.up || c.next != nil {
		return
	}
	name := simRooms[c.sim.choose("room", len(simRooms))]
	room := c.rooms[name]
	if room == nil {
		c.rooms[name] = &follow.Room{Name: name}
		c.join(c.link, name)
		return
	}
	c.write(history.Record{Kind: history.Leave, Room: name})
	delete(c.rooms, name)
	delete(c.link.subs, name)
}

// read takes the next frame, of the new connection first.
func (c *simClient) read() {
	l := c.link
	if c.next != nil && c.sim.choose("next", 2) == 0 {
		l = c.next
	}
	if l == nil || len(l.queue) == 0 {
		return
	}
	f := l.queue[0]
	l.queue = l.queue[1:]
	if f.Op == wire.OpWelcome {
		c.welcome(l)
		return
	}
	room := c.rooms[f.Room]
	if f.Op == wire.OpJoined {
		c.joined(l, room, f)
		return
	}
	if room == nil {
		return // left
	}
	c.event(l, room, f)
}

func (c *simClient) welcome(l *simLink) {
	l.up = true
	c.write(history.Record{Kind: history.Up, Text: l.edge})
	for _, room := range c.rooms {
		room.Restart()
	}
	if l != c.link {
		c.link, c.next = l, nil
		c.write(history.Record{Kind: history.Down, Text: "moved"})
	}
}

func (c *simClient) joined(l *simLink, room *follow.Room, f wire.ServerFrame) {
	c.write(history.Record{
		Kind: history.Joined, Room: f.Room, Position: f.Position, Recovered: f.Recovered, Count: f.Replay, Text: string(f.Reason),
	})
	if room == nil {
		return // left
	}
	if room.Joined(f) {
		c.next = nil // it was opened with a position that is void now
	}
	if room.State == follow.Gap {
		c.join(l, f.Room)
	}
}

func (c *simClient) event(l *simLink, room *follow.Room, f wire.ServerFrame) {
	id, hash, err := history.Digest(f.Event)
	if err != nil {
		panic(err)
	}
	r := history.Record{Kind: history.Event, Room: f.Room, Seq: f.Seq, Prev: f.Prev, ID: id, Hash: hash, Replay: room.Replaying()}
	switch room.Event(f) {
	case follow.New:
		c.write(r)
	case follow.Duplicate:
		r.Duplicate = true
		c.write(r)
	case follow.Early:
		c.write(history.Record{Kind: history.Gap, Room: f.Room, Seq: f.Seq, Prev: f.Prev})
		if room.State == follow.Live {
			room.State = follow.Gap
			c.join(l, f.Room)
		}
	}
}

// finish ends the faults, lets everybody come back and read everything, and writes down the stream.
func (s *sim) finish() {
	if s.profile.faults {
		s.profile.faults = false
		s.write("conductor", history.Record{Kind: history.End, Who: "cut", Text: "connections were reset"})
	}
	s.settle()
	s.write("conductor", history.Record{Kind: history.Healed})
	for range 12 {
		s.publish(false)
		s.settle()
	}
	s.write("conductor", history.Record{Kind: history.Quiet})
	s.settle()
	s.pass(11 * time.Second)
	for _, c := range s.clients {
		c.write(history.Record{Kind: history.Done})
	}
	for _, e := range s.log {
		_, hash, err := history.Digest(e.json)
		if err != nil {
			panic(err)
		}
		s.write("stream", history.Record{Kind: history.Stored, Room: e.room, Seq: e.seq, ID: e.id, Hash: hash})
		all := s.records["stream"]
		all[len(all)-1].Time = e.time
	}
}

// settle lets everybody come back and read all there is; edges find what they did not announce.
func (s *sim) settle() {
	for _, c := range s.clients {
		if c.link == nil {
			c.connect()
		}
		for !c.isSettled() {
			c.read()
		}
	}
}

func (c *simClient) isSettled() bool {
	l := c.link
	if len(l.queue) > 0 || c.next != nil {
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(l.subs)) {
		sub := l.subs[name]
		for _, e := range c.sim.after(name, sub.sent) {
			l.queue = append(l.queue, e.frame(sub.sent))
			sub.sent = e.seq
		}
	}
	return len(l.queue) == 0
}

// source is the history that was written.
func (s *sim) source(take func(file string, r history.Record) error) error {
	for _, file := range s.files {
		for _, r := range s.records[file] {
			if err := take(file, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func check(t *testing.T, source history.Source, o history.Options) *history.Report {
	t.Helper()
	report, err := history.Check(source, o)
	require.NoError(t, err)
	return report
}
