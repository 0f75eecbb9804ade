package wire_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/continuity"
)

var (
	clientOps = []wire.Op{wire.OpHello, wire.OpJoin, wire.OpLeave, wire.OpToken, wire.OpPong}
	serverOps = []wire.Op{
		wire.OpWelcome, wire.OpJoined, wire.OpDenied, wire.OpEvent, wire.OpLag, wire.OpTokenOK, wire.OpDrain, wire.OpPing,
	}
	denials = []string{wire.DeniedForbidden, wire.DeniedBadRoom, wire.DeniedLimit, wire.DeniedRate}
)

const nasty = "a:\"\\/\b\f\n\r\t\x00\x1f\x7f<&>\u00e9\u2028\u2029\U0001F30D"

type serverFrame struct {
	name  string
	frame []byte
	want  wire.ServerFrame
}

// serverFrames is every frame that an edge sends, in the variants that a client has to tell apart.
func serverFrames() []serverFrame {
	const (
		epoch = "dsc9kqm2yo"
		ts    = 1732390000123
	)
	event := `{"specversion":"1.0","id":"evt-7","source":"/workers/rules","type":"settlement_updated",` +
		`"time":"2024-11-23T19:26:40.123Z","data":{"id":"42","changes":{"population":1200}}}`
	here := continuity.Position{Epoch: epoch, Seq: 1042, ID: "evt-7", TS: ts}
	fence := continuity.Position{Epoch: epoch, Seq: 2000, TS: ts}
	replay := []continuity.Entry{{Seq: 1040}, {Seq: 1041}, {Seq: 1042}}
	yes, no := true, false

	at := func(p continuity.Position) *wire.Position {
		q := wire.PositionOf(p)
		return &q
	}
	cases := []serverFrame{
		{
			"welcome", wire.AppendWelcome(nil, "k3v5xq7ma2bncd4e", "edge-1", 3600, 25),
			wire.ServerFrame{Op: wire.OpWelcome, Session: "k3v5xq7ma2bncd4e", Edge: "edge-1", TTL: 3600, Ping: 25},
		},
		{
			"joined: first time", wire.AppendJoined(nil, "campaign:42", continuity.Answer{Position: here, First: true}, 500),
			wire.ServerFrame{Op: wire.OpJoined, Room: "campaign:42", Position: at(here)},
		},
		{
			"joined: first time, room without events", wire.AppendJoined(nil, "campaign:43", continuity.Answer{Position: fence, First: true}, 500),
			wire.ServerFrame{Op: wire.OpJoined, Room: "campaign:43", Position: at(fence)},
		},
		{
			"joined: recovered with replay", wire.AppendJoined(nil, "campaign:42", continuity.Answer{Position: here, Replay: replay}, 500),
			wire.ServerFrame{Op: wire.OpJoined, Room: "campaign:42", Position: at(here), Recovered: &yes, Replay: 3},
		},
		{
			"joined: recovered, nothing missed", wire.AppendJoined(nil, "campaign:42", continuity.Answer{Position: here}, 500),
			wire.ServerFrame{Op: wire.OpJoined, Room: "campaign:42", Position: at(here), Recovered: &yes},
		},
	}
	for _, reason := range continuity.Reasons() {
		cases = append(cases, serverFrame{
			"joined: not recovered, " + string(reason),
			wire.AppendJoined(nil, "campaign:42", continuity.Answer{Position: here, Reason: reason}, 20000),
			wire.ServerFrame{Op: wire.OpJoined, Room: "campaign:42", Position: at(here), Recovered: &no, Reason: reason, Spread: 20000},
		})
	}
	for _, code := range denials {
		retryable := code == wire.DeniedRate
		cases = append(cases, serverFrame{
			"denied: " + code, wire.AppendDenied(nil, "campaign:9", code, retryable, "why, for people"),
			wire.ServerFrame{Op: wire.OpDenied, Room: "campaign:9", Code: code, Retryable: retryable, Message: "why, for people"},
		})
	}
	return append(
		cases,
		serverFrame{
			"denied: a room name that needs every escape", wire.AppendDenied(nil, nasty, wire.DeniedBadRoom, false, "control character"),
			wire.ServerFrame{Op: wire.OpDenied, Room: nasty, Code: wire.DeniedBadRoom, Message: "control character"},
		},
		serverFrame{
			"event", wire.AppendEvent(nil, "campaign:42", 1042, 1037, ts, []byte(event)),
			wire.ServerFrame{Op: wire.OpEvent, Room: "campaign:42", Seq: 1042, Prev: 1037, TS: ts, Event: json.RawMessage(event)},
		},
		serverFrame{
			"event: predecessor not known", wire.AppendEvent(nil, "campaign:42", 1042, 0, ts, []byte(`{}`)),
			wire.ServerFrame{Op: wire.OpEvent, Room: "campaign:42", Seq: 1042, TS: ts, Event: json.RawMessage(`{}`)},
		},
		serverFrame{"lag", wire.AppendLag(nil, "campaign:42"), wire.ServerFrame{Op: wire.OpLag, Room: "campaign:42"}},
		serverFrame{
			"token_ok: all rooms kept", wire.AppendTokenOK(nil, 3600, nil),
			wire.ServerFrame{Op: wire.OpTokenOK, TTL: 3600, Dropped: []string{}},
		},
		serverFrame{
			"token_ok: rooms dropped", wire.AppendTokenOK(nil, 60, []string{"campaign:42", "settlement:7"}),
			wire.ServerFrame{Op: wire.OpTokenOK, TTL: 60, Dropped: []string{"campaign:42", "settlement:7"}},
		},
		serverFrame{"drain", wire.AppendDrain(nil, 10000), wire.ServerFrame{Op: wire.OpDrain, Within: 10000}},
		serverFrame{"ping", wire.AppendPing(nil, ts), wire.ServerFrame{Op: wire.OpPing, TS: ts}},
	)
}

func TestServerFrames_RoundTrip(t *testing.T) {
	seen := map[wire.Op]bool{}
	for _, c := range serverFrames() {
		t.Run(c.name, func(t *testing.T) {
			got, err := wire.DecodeServer(c.frame)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
			assert.NotContains(t, string(c.frame), "\n", "a frame is one line")
			seen[got.Op] = true
		})
	}
	for _, op := range serverOps {
		assert.True(t, seen[op], "no case for %q", op)
	}
}

func TestServerFrames_AppendBehindWhatIsThere(t *testing.T) {
	got := wire.AppendLag([]byte("before"), "a:1")
	assert.Equal(t, `before{"op":"lag","room":"a:1"}`, string(got))
}

func TestJoined_TellsAFirstJoinFromARecovery(t *testing.T) {
	first := wire.AppendJoined(nil, "a:1", continuity.Answer{First: true}, 500)
	again := wire.AppendJoined(nil, "a:1", continuity.Answer{}, 500)
	lost := wire.AppendJoined(nil, "a:1", continuity.Answer{Reason: continuity.ReasonExpired}, 500)
	assert.NotContains(t, string(first), "recovered")
	assert.Contains(t, string(again), `"recovered":true,"replay":0`)
	assert.NotContains(t, string(again), "spread", "nothing is refetched")
	assert.Contains(t, string(lost), `"recovered":false,"reason":"expired","spread":500`)
	assert.NotContains(t, string(lost), "replay")
}

func TestDecodeServer_PassesOverWhatItDoesNotKnow(t *testing.T) {
	got, err := wire.DecodeServer([]byte(`{"op":"revoked","room":"a:1","until":[1,{"x":null}]}`))
	require.NoError(t, err)
	assert.Equal(t, wire.ServerFrame{Op: "revoked", Room: "a:1"}, got)
}

func TestDecodeServer_RefusesWhatIsNoFrame(t *testing.T) {
	for _, text := range []string{"", "[]", `"ping"`, `{"op":"ping"`, `{"op":"ping"} {}`, `{"op":1}`, `{"op":"event","seq":-1}`} {
		_, err := wire.DecodeServer([]byte(text))
		assert.Error(t, err, text)
	}
}

// The codec has its own string writer; encoding/json is the oracle for what it means.
func FuzzServerStrings(f *testing.F) {
	for _, s := range []string{
		"", "campaign:42", nasty, "\xff", "a\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80", "\ufffd", "x\xe2\x80", strings.Repeat("\x01", 300),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		oracle, err := json.Marshal(s)
		require.NoError(t, err)
		var want string
		require.NoError(t, json.Unmarshal(oracle, &want))
		for _, frame := range [][]byte{
			wire.AppendLag(nil, s),
			wire.AppendDenied(nil, s, s, true, s),
			wire.AppendEvent(nil, s, 1, 0, 0, []byte("{}")),
			wire.AppendJoined(nil, s, continuity.Answer{Position: continuity.Position{Epoch: s, ID: s, Seq: 1}}, 1),
			wire.AppendWelcome(nil, s, s, 1, 1),
			wire.AppendTokenOK(nil, 1, []string{s, s}),
		} {
			require.True(t, utf8.Valid(frame))
			require.True(t, json.Valid(frame), "%s", frame)
			require.False(t, bytes.ContainsAny(frame, "\r\n"))
			got, err := wire.DecodeServer(frame)
			require.NoError(t, err)
			switch got.Op {
			case wire.OpWelcome:
				require.Equal(t, []string{want, want}, []string{got.Session, got.Edge})
			case wire.OpTokenOK:
				require.Equal(t, []string{want, want}, got.Dropped)
			case wire.OpDenied:
				require.Equal(t, []string{want, want, want}, []string{got.Room, got.Code, got.Message})
			case wire.OpJoined:
				require.Equal(t, []string{want, want, want}, []string{got.Room, got.Position.Epoch, got.Position.ID})
			default:
				require.Equal(t, want, got.Room)
			}
		}
	})
}

func TestSilent_FramesSayNothingNew(t *testing.T) {
	for _, c := range serverFrames() {
		want := c.want.Op == wire.OpWelcome || c.want.Op == wire.OpJoined && c.want.Recovered != nil && *c.want.Recovered && c.want.Replay == 0
		assert.Equal(t, want, wire.Silent(c.frame), c.name)
		assert.Equal(t, c.want.Op == wire.OpEvent, wire.IsEvent(c.frame), c.name)
		assert.Equal(t, c.want.Op == wire.OpPing, wire.IsPing(c.frame), c.name)
	}
	spoof := wire.AppendEvent(nil, "k:1", 1, 0, 0, []byte(`{"a":{"b":1,"recovered":true,"replay":0}}`))
	assert.False(t, wire.Silent(spoof))
}
