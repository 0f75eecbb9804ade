package edge

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge/upgrade"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

var (
	benchRoom  = subjects.Room{Kind: "campaign", ID: "42"}
	benchEvent = []byte(`{"specversion":"1.0","id":"0192f0c1-7e6a-7c3a-9d58-0f3b6a1c2d4e","source":"/workers/rules-engine","type":"settlement_updated","data":{"id":"` +
		strings.Repeat("x", 80) + `"}}`)
)

// BenchmarkEncodeEvent makes the frame that all members of a room share.
func BenchmarkEncodeEvent(b *testing.B) {
	m := continuity.Message{Seq: 1042, Prev: 1037, Time: 1732390000123, Event: benchEvent}
	b.ReportAllocs()
	b.SetBytes(int64(len(benchEvent)))
	for b.Loop() {
		if len(EncodeEvent(benchRoom, m, 1037)) == 0 {
			b.Fatal("no frame")
		}
	}
}

// BenchmarkFanOut hands events of one room to its members: what a shard's loop does from the feed's delivery
// to the last socket's send, over loopback. The clients read while the clock stands. An op is one turn of the
// loop; what it costs each member is ns/delivery.
func BenchmarkFanOut(b *testing.B) {
	transports := []Transport{TransportPortable}
	if epollAvailable {
		transports = []Transport{TransportEpoll, TransportPortable}
	}
	for _, transport := range transports {
		for _, c := range []struct{ members, events int }{{10, 1}, {1000, 1}, {1000, 10}} {
			b.Run(fmt.Sprintf("%s/members=%d/events=%d", transport, c.members, c.events), func(b *testing.B) {
				r := newRoomOf(b, transport, c.members)
				deliveries := make([]mesh.Delivery, c.events)
				// So much a socket takes whatever its window is, so nothing is ever queued.
				turns := (8 << 10) / (c.events * len(EncodeEvent(benchRoom, continuity.Message{Event: benchEvent}, 0)))
				b.ReportAllocs()
				for n := 1; b.Loop(); n++ {
					r.events(deliveries)
					r.turn(func() { r.shard.deliver(deliveries) })
					if n%turns == 0 {
						b.StopTimer()
						r.read(b)
						b.StartTimer()
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.members*c.events), "ns/delivery")
			})
		}
	}
}

// roomOf is a shard with one room whose members are connected over loopback. Its loop does not run: the
// benchmark takes its turns.
type roomOf struct {
	shard   *shard
	clients []net.Conn
	seq     uint64
	sent    int // bytes to each client that it has not read
	buffer  []byte
}

func newRoomOf(b *testing.B, transport Transport, members int) *roomOf {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	tokens := authz.DefaultConfig()
	tokens.Secret = []byte("a secret of the benchmarks, which is long enough")
	feed := mesh.DefaultFeedConfig()
	feed.Edge, feed.Encode = "edge-1", EncodeEvent
	cfg := DefaultConfig()
	cfg.Name, cfg.Transport, cfg.Shards = feed.Edge, transport, 1
	cfg.Limits.PerUser, cfg.Limits.PerAddress = members, members
	var err error
	cfg.Feed, err = mesh.NewFeed(feed, log)
	require.NoError(b, err)
	cfg.Verifier, err = authz.NewVerifier(tokens, log)
	require.NoError(b, err)
	e, err := New(cfg, log)
	require.NoError(b, err)

	r := &roomOf{shard: e.shards[0], buffer: make([]byte, 64<<10)}
	b.Cleanup(func() { r.end(e) })
	for range members {
		r.connect(b, e)
	}
	for opened := 0; opened < members; runtime.Gosched() { // the readers hand over their notes themselves
		r.turn(func() { opened = len(r.shard.sessions) })
	}
	campaigns, err := authz.ParsePattern("campaign:*")
	require.NoError(b, err)
	p := authz.Principal{Subject: "alice", Grants: []authz.Pattern{campaigns}, Expires: time.Now().Add(time.Hour)}
	for _, c := range r.shard.sessions { // nobody comes or goes meanwhile
		r.turn(func() {
			r.shard.take(&note{kind: noteFrame, session: c, principal: p, frame: wire.ClientFrame{
				Op: wire.OpHello, Rooms: []wire.RoomRef{{Room: benchRoom.String()}},
			}})
			r.shard.deliver([]mesh.Delivery{{Kind: mesh.DeliverJoined, Room: benchRoom, Ticket: c.rooms[0].ticket, Answer: &continuity.Answer{
				First: true, Position: continuity.Position{Epoch: "e", Seq: 1, TS: 1732390000123},
			}}})
		})
	}
	require.Len(b, r.shard.rooms[benchRoom].members, members)
	for _, c := range r.clients { // the answers
		require.NoError(b, c.SetReadDeadline(time.Now().Add(time.Second)))
		n, err := c.Read(r.buffer)
		require.NoError(b, err)
		require.Contains(b, string(r.buffer[:n]), `"op":"joined"`)
	}
	return r
}

// connect adds a client, as after its handshake.
func (r *roomOf) connect(b *testing.B, e *Edge) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer func() { _ = listener.Close() }()
	client, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(b, err)
	r.clients = append(r.clients, client)
	conn, err := listener.Accept()
	require.NoError(b, err)
	e.deliver(upgrade.Conn{Conn: conn, Request: &upgrade.Request{RemoteAddr: netip.MustParseAddr("127.0.0.1")}})
}

// turn works on what belongs to the shard.
func (r *roomOf) turn(work func()) {
	r.shard.turn.Lock()
	defer r.shard.end()
	r.shard.begin()
	work()
}

// events makes the next events of the room.
func (r *roomOf) events(deliveries []mesh.Delivery) {
	for i := range deliveries {
		r.seq++
		m := continuity.Message{Seq: r.seq + 1, Prev: r.seq, Time: 1732390000123, Event: benchEvent}
		entry := continuity.Entry{Seq: m.Seq, Prev: m.Prev, Time: m.Time, Frame: EncodeEvent(benchRoom, m, m.Prev)}
		r.sent += len(entry.Frame)
		deliveries[i] = mesh.Delivery{Kind: mesh.DeliverEvent, Room: benchRoom, Entry: entry}
	}
}

// read has every client read what it was sent.
func (r *roomOf) read(b *testing.B) {
	b.Helper()
	for _, c := range r.clients {
		require.NoError(b, c.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err := io.ReadFull(c, r.buffer[:r.sent])
		require.NoError(b, err)
	}
	r.sent = 0
}

// end closes everything and waits for the readers.
func (r *roomOf) end(e *Edge) {
	drivers := make(chan struct{})
	go func() {
		r.shard.driver.run()
		close(drivers)
	}()
	for _, c := range r.clients {
		_ = c.Close()
	}
	for e.open.Load() > 0 {
		r.turn(r.shard.takeNotes)
		runtime.Gosched()
	}
	r.shard.driver.stop()
	<-drivers
}
