//go:build linux

package swarm_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/loadtest/swarm"
	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// talk is one connection of a server that does what a test says, which real edges do only in need.
type talk struct {
	t    *testing.T
	conn *websocket.Conn
}

// play runs a server of tidings.v1. script is run for each connection, after its hello and welcome; when it
// returns, the connection stays until the client goes.
func play(t *testing.T, script func(*talk, wire.ClientFrame)) (url string) {
	t.Helper()
	const ping = 25
	return playWith(t, ping, script)
}

// playWith is play with a ping, in seconds, in the welcome.
func playWith(t *testing.T, ping int64, script func(*talk, wire.ClientFrame)) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}})
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		k := &talk{t, conn}
		if hello, ok := k.next(); ok {
			k.send(wire.AppendWelcome(nil, "s", "edge", 3600, ping))
			script(k, hello)
		}
		for ok := true; ok; {
			_, ok = k.next()
		}
	}))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "http", "ws", 1) + "/ws"
}

// next is what the client says; ok is false when it has gone.
func (k *talk) next() (f wire.ClientFrame, ok bool) {
	_, b, err := k.conn.Read(k.t.Context())
	if err != nil {
		return f, false
	}
	f, err = wire.DecodeClient(b)
	assert.NoError(k.t, err, "%s", b)
	return f, err == nil
}

func (k *talk) send(frame []byte) {
	_ = k.conn.Write(k.t.Context(), websocket.MessageText, frame) // the client may have gone
}

// event sends the event with number n of room 0; its seq is 10·n and it follows prev.
func (k *talk) event(n, prev uint64) {
	data := swarm.AppendData(nil, 0, n, time.Now(), 0)
	k.send(wire.AppendEvent(nil, theRoom, 10*n, prev, 1000, fmt.Appendf(nil, `{"id":"e-%d","data":%s}`, n, data)))
}

func (k *talk) joined(a continuity.Answer) {
	a.Position.Epoch = "epoch"
	k.send(wire.AppendJoined(nil, theRoom, a, 0))
}

const theRoom = "campaign:1"

// since is the position that a frame joins its only room from.
func since(t *testing.T, f wire.ClientFrame) wire.Position {
	t.Helper()
	if assert.Len(t, f.Rooms, 1) && assert.NotNil(t, f.Rooms[0].Since) {
		return *f.Rooms[0].Since
	}
	return wire.Position{}
}

func first(seq uint64) continuity.Answer {
	return continuity.Answer{First: true, Position: continuity.Position{Seq: seq, TS: 1000}}
}

// meet lets one client in at such a server.
func meet(t *testing.T, url string) *swarm.Swarm {
	t.Helper()
	s := start(t, swarm.Config{
		Dialect: "tidings", URLs: []string{url}, Rooms: []string{theRoom}, Clients: crowd(1, 0), Reconnect: true,
	})
	require.NoError(t, s.Connect(0))
	return s
}

func TestTidings_JoinsAgainFromItsPositionAtAGap(t *testing.T) {
	s := meet(t, play(t, func(k *talk, _ wire.ClientFrame) {
		k.joined(first(0))
		k.event(1, 0)
		k.event(3, 20) // 2 got lost
		k.event(4, 30) // under way when it joins again: dropped
		join, _ := k.next()
		assert.Equal(t, wire.OpJoin, join.Op)
		assert.Equal(t, wire.Position{Epoch: "epoch", Seq: 10, TS: 1000}, since(t, join))
		k.joined(continuity.Answer{Position: continuity.Position{Seq: 45, TS: 2000}, Replay: make([]continuity.Entry, 3)})
		k.event(2, 10)
		k.event(3, 99) // within a replay nothing is compared
		k.event(4, 30)
		k.event(5, 45) // follows the end of the replay
	}))
	stats := finish(t, s, patience, 5)
	assert.Equal(t, uint64(5), stats.Received)
	whole(t, stats)
	assert.Empty(t, stats.Failures)
}

func TestTidings_ToldLossIsNotMissing(t *testing.T) {
	s := meet(t, play(t, func(k *talk, _ wire.ClientFrame) {
		k.joined(first(0))
		k.event(1, 0)
		k.joined(continuity.Answer{Position: continuity.Position{Seq: 80}, Reason: continuity.ReasonExpired})
		k.event(9, 80)
	}))
	stats := finish(t, s, patience, 9)
	assert.Equal(t, 1, stats.NotRecovered)
	assert.Equal(t, uint64(2), stats.Received)
	assert.Zero(t, stats.Missing)
}

// An edge that says that it has recovered everything, and has not, is found out by the numbers.
func TestTidings_UntoldLossIsMissing(t *testing.T) {
	s := meet(t, play(t, func(k *talk, hello wire.ClientFrame) {
		if hello.Rooms[0].Since == nil {
			k.joined(first(0))
			k.event(1, 0)
			k.event(2, 10)
			_ = k.conn.Close(websocket.StatusCode(wire.CodeTooSlow), "")
			return
		}
		assert.Equal(t, uint64(20), since(t, hello).Seq)
		k.joined(continuity.Answer{Position: continuity.Position{Seq: 50}, Replay: make([]continuity.Entry, 1)})
		k.event(5, 20)
		k.event(5, 20)
	}))
	await(t, s, func(stats swarm.Stats) bool { return stats.Received == 4 })
	stats := finish(t, s, quiet, 5)
	assert.Equal(t, uint64(2), stats.Missing)
	assert.Equal(t, uint64(1), stats.Twice)
	assert.Equal(t, 1, stats.Reconnects)
	assert.Equal(t, map[string]int{"close 4508 too slow for too long": 1}, stats.Failures)
}

func TestTidings_SuspectsALoop(t *testing.T) {
	s := meet(t, play(t, func(k *talk, _ wire.ClientFrame) {
		for ok := true; ok; _, ok = k.next() {
			k.joined(first(10))
			k.event(3, 20)
		}
	}))
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.LoopsSuspected > 0 })
	assert.Equal(t, 1, stats.LoopsSuspected)
	assert.Zero(t, stats.Received)
}

func TestTidings_AsksAgainWhenDeniedForNow(t *testing.T) {
	s := meet(t, play(t, func(k *talk, _ wire.ClientFrame) {
		k.send(wire.AppendDenied(nil, theRoom, wire.DeniedRate, true, "too many"))
		join, _ := k.next()
		assert.Equal(t, wire.OpJoin, join.Op)
		k.joined(first(0))
	}))
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.Joined == 1 })
	assert.Equal(t, map[string]int{"denied rate_limit": 1}, stats.Failures)
	assert.Zero(t, stats.Failed)
}

func TestTidings_AnswersPingsAndKeepsItsPositionYoung(t *testing.T) {
	s := meet(t, play(t, func(k *talk, hello wire.ClientFrame) {
		if hello.Rooms[0].Since != nil {
			assert.Equal(t, wire.Position{Epoch: "epoch", Seq: 10, TS: 5000}, since(t, hello))
			k.joined(continuity.Answer{Position: continuity.Position{Seq: 10}})
			return
		}
		k.joined(first(10))
		k.send(wire.AppendPing(nil, 5000))
		pong, _ := k.next()
		assert.Equal(t, wire.OpPong, pong.Op)
		k.conn.CloseRead(t.Context()) // reads the answer
		assert.NoError(t, k.conn.Ping(t.Context()), "pings of WebSocket too")
		_ = k.conn.CloseNow()
	}))
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.Reconnects == 1 })
	assert.Equal(t, 1, stats.Joined)
}

func TestTidings_TakesASilentConnectionForDead(t *testing.T) {
	const ping = -9 // with the 10 s that clients add, one second
	s := meet(t, playWith(t, ping, func(k *talk, _ wire.ClientFrame) { k.joined(first(0)) }))
	await(t, s, func(stats swarm.Stats) bool { return stats.Failures["nothing received for too long"] > 0 })
}
