//go:build linux

package swarm_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/swarm"
	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
)

// liar is a server of the raw dialect that sends whatever a test says, as often and in the order that it says.
type liar struct {
	http *httptest.Server

	mu    sync.Mutex // guards conns
	conns map[*websocket.Conn]struct{}
}

func newLiar(t *testing.T) *liar {
	t.Helper()
	l := &liar{conns: make(map[*websocket.Conn]struct{})}
	l.http = httptest.NewServer(http.HandlerFunc(l.serve))
	t.Cleanup(func() {
		l.hangUp()
		l.http.Close()
	})
	return l
}

func (l *liar) url() string { return strings.Replace(l.http.URL, "http", "ws", 1) + "/ws" }

// serve lets a client into every room that it asks for.
func (l *liar) serve(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		_, b, err := conn.Read(r.Context())
		if err != nil {
			l.mu.Lock()
			delete(l.conns, conn)
			l.mu.Unlock()
			return
		}
		room, ok := strings.CutPrefix(string(b), "join ")
		if !ok {
			continue
		}
		l.mu.Lock()
		err = conn.Write(r.Context(), websocket.MessageText, []byte("joined "+room))
		l.conns[conn] = struct{}{}
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// tell sends events with these numbers of room 0 to everybody.
func (l *liar) tell(t *testing.T, numbers ...uint64) {
	t.Helper()
	for _, n := range numbers {
		l.say(t, swarm.AppendData(nil, 0, n, time.Now(), 100))
	}
}

func (l *liar) say(t *testing.T, message []byte) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, message))
	}
}

// close ends every connection with a code.
func (l *liar) close(code websocket.StatusCode, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		go func() { _ = conn.Close(code, reason) }() // ends with the answer, or with the server
	}
}

func (l *liar) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		_ = conn.CloseNow()
	}
}

// joinLiar lets clients into room 0 of a new liar.
func joinLiar(t *testing.T, cfg swarm.Config, n int) (*liar, *swarm.Swarm) {
	t.Helper()
	l := newLiar(t)
	cfg.Dialect, cfg.URLs, cfg.Rooms, cfg.Clients = "raw", []string{l.url()}, []string{"one"}, crowd(n, 0)
	s := start(t, cfg)
	require.NoError(t, s.Connect(0))
	await(t, s, func(stats swarm.Stats) bool { return stats.Joined == n })
	return l, s
}

// quiet is what tests wait for what does not come. What comes is awaited before.
const quiet = 500 * time.Millisecond

// received is a condition: so many events have come.
func received(n int) func(swarm.Stats) bool {
	return func(stats swarm.Stats) bool { return stats.Received == uint64(n) }
}

func TestSwarm_FindsOutALiar(t *testing.T) {
	const clients = 10
	tests := map[string]struct {
		told                       []uint64
		last                       uint64
		missing, twice, outOfOrder uint64 // of each client
	}{
		"an honest one":                {told: []uint64{1, 2, 3, 4}, last: 4},
		"an honest one, joined late":   {told: []uint64{7, 8, 9}, last: 9},
		"loses one":                    {told: []uint64{1, 2, 4}, last: 4, missing: 1},
		"loses some":                   {told: []uint64{1, 5, 6, 9}, last: 9, missing: 5},
		"loses the end":                {told: []uint64{1, 2}, last: 5, missing: 3},
		"says nothing at all":          {last: 5, missing: 5},
		"repeats one":                  {told: []uint64{1, 2, 2, 3}, last: 3, twice: 1},
		"repeats the first, later":     {told: []uint64{1, 2, 3, 1}, last: 3, twice: 1},
		"swaps two":                    {told: []uint64{1, 3, 2, 4}, last: 4, outOfOrder: 1},
		"begins with a later one":      {told: []uint64{2, 1, 3}, last: 3, outOfOrder: 1},
		"swaps, and repeats the swap":  {told: []uint64{1, 4, 2, 2, 3}, last: 4, outOfOrder: 2, twice: 1},
		"fills only a part of its gap": {told: []uint64{1, 9, 5}, last: 9, outOfOrder: 1, missing: 6},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l, s := joinLiar(t, swarm.Config{}, clients)
			l.tell(t, tt.told...)
			await(t, s, received(clients*len(tt.told)))
			stats := finish(t, s, quiet, tt.last)
			assert.Equal(t, uint64(clients*len(tt.told)), stats.Received)
			assert.Equal(t, clients*tt.missing, stats.Missing, "missing")
			assert.Equal(t, clients*tt.twice, stats.Twice, "twice")
			assert.Equal(t, clients*tt.outOfOrder, stats.OutOfOrder, "out of order")
		})
	}
}

func TestSwarm_ReadsSeveralEventsOfOneMessage(t *testing.T) {
	l, s := joinLiar(t, swarm.Config{}, 2)
	var message []byte
	for n := range uint64(10) {
		message = append(swarm.AppendData(message, 0, n+1, time.Now(), 60), '\n')
	}
	l.say(t, message)
	stats := finish(t, s, patience, 10)
	assert.Equal(t, uint64(20), stats.Received)
	assert.Zero(t, stats.Missing+stats.Twice+stats.OutOfOrder)
}

func TestSwarm_ReadsMessagesOfAnySize(t *testing.T) {
	l, s := joinLiar(t, swarm.Config{}, 3)
	sizes := []int{50, 125, 126, 200, 65_535, 65_536, 70_000, 300_000, 5_000_000}
	for i, size := range sizes {
		l.say(t, swarm.AppendData(nil, 0, uint64(i+1), time.Now(), size))
	}
	stats := finish(t, s, patience, uint64(len(sizes)))
	assert.Equal(t, uint64(3*len(sizes)), stats.Received)
	assert.Zero(t, stats.Missing)
	assert.Greater(t, stats.BytesIn, uint64(3*5_000_000))
}

func TestSwarm_MeasuresFromTheIntendedTime(t *testing.T) {
	l, s := joinLiar(t, swarm.Config{}, 5)
	for n := range uint64(20) {
		l.say(t, swarm.AppendData(nil, 0, n+1, time.Now().Add(-time.Second), 0))
	}
	stats := finish(t, s, patience, 20)
	require.Equal(t, int64(100), stats.Latency.TotalCount())
	assert.GreaterOrEqual(t, stats.Latency.Min(), int64(999_000), "µs")
	assert.Less(t, stats.Latency.ValueAtQuantile(50), patience.Microseconds(), "it is no other time")
}

func TestSwarm_TheWindowHasWhatIsSentInIt(t *testing.T) {
	l, s := joinLiar(t, swarm.Config{Workers: 2}, 4)
	l.tell(t, 1, 2, 3)
	await(t, s, func(stats swarm.Stats) bool { return stats.Received == 12 })
	from, err := s.Mark()
	require.NoError(t, err)
	await(t, s, func(stats swarm.Stats) bool { return stats.Received == 0 })
	l.say(t, swarm.AppendData(nil, 0, 4, from.Add(-time.Millisecond), 0)) // meant for before
	l.say(t, swarm.AppendData(nil, 0, 5, from, 0))
	l.say(t, swarm.AppendData(nil, 0, 6, from.Add(time.Millisecond), 0))
	stats := finish(t, s, patience, 6)
	assert.Equal(t, uint64(8), stats.Received)
	assert.Equal(t, int64(8), stats.Latency.TotalCount())
	assert.Zero(t, stats.Missing)
	assert.Equal(t, int64(4), stats.JoinTime.TotalCount(), "joins are counted from the start")
}

// A server without history: what was sent meanwhile is missing, for nobody said so.
func TestSwarm_CutClientsComeBackAndMissWhatWasSentMeanwhile(t *testing.T) {
	const clients = 50
	l, s := joinLiar(t, swarm.Config{Reconnect: true, Workers: 2}, clients)
	l.tell(t, 1, 2)
	await(t, s, func(stats swarm.Stats) bool { return stats.Received == 2*clients })
	require.NoError(t, s.Cut())
	eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.conns) < clients
	}, func() string { return "the server notices" })
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.Joined == clients && stats.Reconnects == clients })
	assert.Empty(t, stats.Failures)
	l.tell(t, 4)
	await(t, s, received(3*clients))
	stats = finish(t, s, quiet, 4)
	assert.Equal(t, uint64(clients), stats.Missing)
	assert.Equal(t, int64(clients), stats.Reconnect.TotalCount())
	assert.Zero(t, stats.NotRecovered)
}

func TestSwarm_WithoutReconnectALostClientIsAFailedOne(t *testing.T) {
	l, s := joinLiar(t, swarm.Config{}, 3)
	l.close(4242, "go away")
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.Failed == 3 })
	assert.Zero(t, stats.Joined+stats.Open)
	assert.Equal(t, map[string]int{"close 4242 go away": 3}, stats.Failures)
}

func TestSwarm_ChurnIsNoLoss(t *testing.T) {
	l, s := joinLiar(t, swarm.Config{}, 20)
	require.NoError(t, s.Churn(2000))
	for n := range uint64(50) {
		l.tell(t, n+1)
		wait(t, 10*time.Millisecond)
	}
	require.NoError(t, s.Churn(0))
	await(t, s, func(stats swarm.Stats) bool { return stats.Joined == 20 })
	l.tell(t, 51)
	stats := finish(t, s, patience, 51)
	assert.Zero(t, stats.Twice+stats.OutOfOrder)
	assert.Zero(t, stats.LoopsSuspected, "who leaves by itself is in no loop")
	assert.Equal(t, 20, stats.Joined)
}

// wait lets a server go on for a while.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	<-ctx.Done()
}

func TestSwarm_SlowReadersReadSlowly(t *testing.T) {
	const size, events, rate = 4000, 40, 4000
	l := newLiar(t)
	clients := crowd(2, 0)
	clients[0].BytesPerSecond = rate
	s := start(t, swarm.Config{Dialect: "raw", URLs: []string{l.url()}, Rooms: []string{"one"}, Clients: clients})
	require.NoError(t, s.Connect(0))
	await(t, s, func(stats swarm.Stats) bool { return stats.Joined == 2 })
	began := time.Now()
	for n := range uint64(events) {
		l.say(t, swarm.AppendData(nil, 0, n+1, time.Now(), size))
	}
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.Received > events+2 })
	allowed := time.Since(began).Seconds()*rate/size + 1
	assert.LessOrEqual(t, float64(stats.Received-events), allowed, "events of the slow one")
	stats = finish(t, s, patience, events)
	assert.Equal(t, uint64(2*events), stats.Received, "it reads on at the end")
	assert.Zero(t, stats.Missing)
}

// handshakeOnly answers nothing, or no WebSocket.
func TestSwarm_TargetsThatAreNoneAreFailures(t *testing.T) {
	forbidden := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer forbidden.Close()

	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()

	garbled, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = garbled.Close() }()
	go func() {
		for {
			conn, err := garbled.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprint(conn, "220 mail.example.com ready\r\n\r\n")
			_ = conn.Close()
		}
	}()

	tests := map[string]struct{ address, reason string }{
		"refused":         {port.Address(t), "refused"},
		"forbidden":       {forbidden.Listener.Addr().String(), "HTTP 403"},
		"silent":          {silent.Addr().String(), "timeout"},
		"another service": {garbled.Addr().String(), "bad handshake"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t, swarm.Config{
				Dialect: "raw", URLs: []string{"ws://" + tt.address + "/ws"}, Rooms: []string{"one"}, Clients: crowd(5, 0),
			})
			require.NoError(t, s.Connect(0))
			stats := await(t, s, func(stats swarm.Stats) bool { return stats.Failed == 5 })
			assert.Equal(t, map[string]int{tt.reason: 5}, stats.Failures)
			assert.Equal(t, 5, stats.Attempted)
			stats = finish(t, s, time.Minute, 100)
			assert.Zero(t, stats.Missing, "who never came in misses nothing")
		})
	}
}

func TestSwarm_GoesOnToTheNextServer(t *testing.T) {
	l := newLiar(t)
	s := start(t, swarm.Config{
		Dialect: "raw", URLs: []string{"ws://" + port.Address(t), l.url()}, Rooms: []string{"one"}, Clients: crowd(10, 0),
	})
	require.NoError(t, s.Connect(0))
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.Joined == 10 })
	assert.Equal(t, map[string]int{"refused": 5}, stats.Failures)
	assert.Zero(t, stats.Failed)
}

func TestSwarm_ConnectsAtARate(t *testing.T) {
	l := newLiar(t)
	s := start(t, swarm.Config{Dialect: "raw", URLs: []string{l.url()}, Rooms: []string{"one"}, Clients: crowd(40, 0), Workers: 2})
	began := time.Now()
	require.NoError(t, s.Connect(40))
	await(t, s, func(stats swarm.Stats) bool { return stats.Joined == 40 })
	assert.GreaterOrEqual(t, time.Since(began), 990*time.Millisecond)
}
