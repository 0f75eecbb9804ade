package swarm

import (
	"bytes"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tidingsmesh/tidings/edge/wire"
)

func TestAppendData_IsJSONOfThatSize(t *testing.T) {
	at := time.Unix(0, 1764005000123456789)
	for _, size := range []int{0, 30, 50, 60, 200, 5000} {
		b := AppendData([]byte("before"), 3, 17, at, size)[len("before"):]
		var data struct{ LT, Pad string }
		require.NoError(t, json.Unmarshal(b, &data), "%s", b)
		assert.Equal(t, "3.17.1764005000123456789", data.LT)
		if size >= 50 {
			assert.Len(t, b, size)
		}
		k, rest, ok := nextMark(b)
		require.True(t, ok)
		assert.Equal(t, mark{room: 3, n: 17, sent: at.UnixNano()}, k)
		_, _, ok = nextMark(rest)
		assert.False(t, ok)
	}
}

func FuzzNextMark(f *testing.F) {
	f.Add([]byte(`{"lt":"1.2.3"}{"lt":"4.5.6","pad":"xxx"}`))
	f.Add([]byte(`"lt":"1.2.","lt":"..","lt":"1.0.3","lt":"99999999999999999999.1.1","lt":"1.2.3"`))
	f.Add([]byte(`"lt":"`))
	f.Fuzz(func(t *testing.T, b []byte) {
		found := 0
		for rest := b; ; found++ {
			k, after, ok := nextMark(rest)
			if !ok {
				break
			}
			if k.n == 0 || k.room < 0 || k.sent < 0 {
				t.Fatalf("%+v of %q", k, rest)
			}
			rest = after
		}
		if found > bytes.Count(b, markPrefix) {
			t.Fatalf("%d marks in %q", found, b)
		}
	})
}

func FuzzCutFrame(f *testing.F) {
	f.Add([]byte{0x81, 2, 'h', 'i', 0x89, 0})
	f.Add([]byte{0x82, 126, 0, 3, 1, 2, 3})
	f.Add([]byte{0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, 9})
	f.Add([]byte{0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 1, 9})
	f.Add([]byte{0x81, 0x82, 0, 0, 0, 0, 1, 1})
	f.Add([]byte{0x09, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, size, err := cutFrame(b)
		if err != nil || size == 0 {
			return
		}
		if size > len(b) || size < 2+len(got.payload) {
			t.Fatalf("%d bytes of %d for a payload of %d", size, len(b), len(got.payload))
		}
		for n := range size { // a frame that is cut short is incomplete, never another one
			if _, part, err := cutFrame(b[:n]); part != 0 || err != nil {
				t.Fatalf("%d of %d bytes: size %d, %v", n, size, part, err)
			}
		}
	})
}

// What a client sends is what the server gets, of any length. The mask is undone as RFC 6455, section 5.3 says.
func TestAppendFrame_IsReadableByTheOtherSide(t *testing.T) {
	for _, length := range []int{0, 1, 125, 126, 127, 65535, 65536, 100_000} {
		payload := bytes.Repeat([]byte("abcdefg"), length/7+1)[:length]
		b := appendFrame([]byte{}, opBinary, payload, 0x01020304)
		b[1] &^= maskBit
		head := len(b) - length - 4
		require.Equal(t, []byte{1, 2, 3, 4}, b[head:head+4])
		body := b[head+4:]
		for i := range body {
			body[i] ^= byte(i&3) + 1
		}
		got, size, err := cutFrame(append(b[:head:head], body...))
		require.NoError(t, err)
		assert.Equal(t, len(b)-4, size)
		assert.Equal(t, opBinary, got.op)
		assert.True(t, bytes.Equal(payload, got.payload))
	}
}

func TestCutResponse(t *testing.T) {
	var key [16]byte
	copy(key[:], "the sample nonce") // RFC 6455, section 1.3
	good := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nsec-websocket-accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\n\r\n"
	tests := map[string]struct {
		answer string
		size   int
		why    string
	}{
		"accepted":         {good + "\x81\x00", len(good), ""},
		"incomplete":       {good[:len(good)-1], 0, ""},
		"wrong key":        {strings.Replace(good, "s3pP", "s3pQ", 1), len(good), "bad handshake"},
		"refused":          {"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n\r\n", 50, "HTTP 429"},
		"something else":   {"220 ready\r\n\r\n", 13, "bad handshake"},
		"without an end":   {strings.Repeat("x", headLimit+1), 0, "bad handshake"},
		"nothing at all":   {"", 0, ""},
		"no status":        {"HTTP/1.1\r\n\r\n", 12, "bad handshake"},
		"no accept":        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", 36, "bad handshake"},
		"an older version": {"HTTP/1.0 101 Switching Protocols\r\n\r\n", 36, "bad handshake"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			size, why := cutResponse([]byte(tt.answer), key)
			assert.Equal(t, tt.why, why)
			assert.Equal(t, tt.size, size)
		})
	}
}

// What is read without decoding JSON is what JSON says.
func FuzzScanEvent(f *testing.F) {
	f.Add([]byte(`{"op":"event","room":"campaign:42","seq":1042,"prev":1037,"ts":1732390000123,"event":{"id":"x"}}`))
	f.Add([]byte(`{"op":"event","room":"campaign:\u0034","seq":1,"prev":0,"ts":1,"event":{}}`))
	f.Add([]byte(`{"op":"event","seq":1,"room":"campaign:4","prev":0,"ts":1,"event":{}}`))
	f.Add([]byte(`{"op":"event","room":"campaign:42","seq":1042,"prev":1037,"ts":1732390000123,"event":{}}`))
	f.Add([]byte(`{"op":"event","room":"","seq":0,"prev":0,"ts":0,"event": [1] }`))
	f.Add(wire.AppendEvent(nil, `kind:"quoted"`, 7, 6, 5, []byte(`{}`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := scanEvent(b)
		if !ok || !json.Valid(b) {
			return
		}
		frame, err := wire.DecodeServer(b)
		if err != nil {
			return // numbers past what the protocol allows
		}
		if bytes.Count(b, []byte(`"`)) > 16 || !utf8.Valid(b) {
			return // a member may be given twice; JSON repairs what is not UTF-8
		}
		got := wire.ServerFrame{Op: wire.OpEvent, Room: string(e.room), Seq: e.seq, Prev: e.prev, TS: e.ts, Event: frame.Event}
		assert.Equal(t, frame, got)
	})
}

func TestScanEvent_ReadsWhatEdgesWrite(t *testing.T) {
	b := wire.AppendEvent(nil, "campaign:42", 1042, 1037, 1732390000123, []byte(`{"id":"evt-7"}`))
	e, ok := scanEvent(b)
	require.True(t, ok)
	assert.Equal(t, event{[]byte("campaign:42"), 1042, 1037, 1732390000123}, e)
	for n := range b[:bytes.Index(b, []byte(`{"id"`))] {
		_, ok := scanEvent(b[:n])
		assert.False(t, ok, "%s", b[:n])
	}
}

// A member that is told numbers in any order counts what a set of them would.
func TestMember_CountsLikeASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Uint64Range(1, 30), 1, 60).Draw(t, "numbers")
		var m member
		var missing int64
		twice, late := 0, 0
		seen := make(map[uint64]bool)
		highest, repeats, lates := uint64(0), 0, 0
		for _, n := range numbers {
			switch {
			case seen[n]:
				repeats++
			case n < highest:
				lates++
			}
			seen[n] = true
			highest = max(highest, n)
			v := m.take(n)
			missing += v.missing
			if v.twice {
				twice++
			}
			if v.late {
				late++
			}
		}
		lowest := highest
		for n := range seen {
			lowest = min(lowest, n)
		}
		if want := int64(highest-lowest+1) - int64(len(seen)); missing != want {
			t.Fatalf("missing %d, want %d", missing, want)
		}
		if twice != repeats || late != lates || m.first != lowest || m.last != highest {
			t.Fatalf("twice %d, late %d, from %d to %d; want %d, %d, %d, %d", twice, late, m.first, m.last, repeats, lates, lowest, highest)
		}
		open := int64(0)
		for _, s := range m.open {
			open += s.size()
		}
		if open != missing {
			t.Fatalf("%d numbers are open, %d missing", open, missing)
		}
	})
}

func TestSchedule_RingsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOf(rapid.Int64Range(0, 100)).Draw(t, "times")
		var s schedule
		for _, at := range times {
			s.add(alarm{at: at})
		}
		before, n := int64(-1), 0
		for now := int64(0); now <= 100; now++ {
			for a, ok := s.next(now); ok; a, ok = s.next(now) {
				if a.at > now || a.at < before {
					t.Fatalf("at %d after %d, now %d", a.at, before, now)
				}
				before, n = a.at, n+1
			}
			if due := s.due(1000); due <= now {
				t.Fatalf("%d is due at %d", due, now)
			}
		}
		if n != len(times) {
			t.Fatalf("%d of %d", n, len(times))
		}
	})
}

func TestPace_TakesSoManyPerSecond(t *testing.T) {
	const second = int64(time.Second)
	p := pace{rate: 2.5, from: 10 * second}
	taken := 0
	for now := 10 * second; now < 20*second; {
		taken += p.take(now)
		now = p.due(20*second, true)
	}
	assert.Equal(t, 24, taken, "the 25th is due at the end")
	assert.Equal(t, 1, p.take(20*second))
	assert.Zero(t, (&pace{}).take(second))
}

func TestBackoff_DoublesAtMostFiveTimes(t *testing.T) {
	for try, most := range map[int32]time.Duration{1: 1, 2: 2, 3: 4, 6: 32, 7: 32, 1000: 32} {
		longest := time.Duration(0)
		for range 2000 {
			longest = max(longest, backoff(try))
		}
		assert.Less(t, longest, most*time.Second)
		assert.Greater(t, longest, most*time.Second*8/10)
	}
}

func TestReasonOf_NamesWhatThisMachineLacks(t *testing.T) {
	assert.Equal(t, ReasonFiles, reasonOf(syscall.EMFILE))
	assert.Equal(t, ReasonPorts, reasonOf(syscall.EADDRNOTAVAIL))
}

// Whatever a server says, the dialects of other servers end the connection at worst.
func FuzzDialects(f *testing.F) {
	f.Add([]byte(`0{"pingInterval":25000,"pingTimeout":20000}`))
	f.Add([]byte(`42["e",{"lt":"0.1.2"}]`))
	f.Add([]byte(`430["joined"]`))
	f.Add([]byte("{}\n" + `{"push":{"channel":"one","pub":{"data":{"lt":"0.1.2"},"offset":7}}}`))
	f.Add([]byte(`{"id":2,"subscribe":{"epoch":"e","offset":1,"publications":[{"data":{"lt":"0.1.2"}}]}}`))
	f.Add([]byte(`{"id":4294967295,"error":{"code":1}}`))
	f.Add([]byte("INFO {\"nonce\":\"n\"}\r\nPONG\r\nMSG room.one 1 14\r\n{\"lt\":\"0.1.2\"}\r\n-ERR 'x'\r\n"))
	f.Add([]byte("MSG a 1 -5\r\nMSG a 1 99999999999999999999\r\nHMSG\r\n"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		for _, name := range []string{"socketio", "centrifuge", "nats"} {
			w := &worker{
				set: &setup{Servers: make([]server, 1)}, dialect: dialects[name](), rooms: []string{"one"}, heard: make([]uint64, 1),
				joinTime: newHistogram(), latency: newHistogram(), reconnect: newHistogram(),
			}
			w.sums.Failures = make(map[string]int)
			c := &client{w: w, fd: -1, token: "a.b.c AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", members: make([]member, 1)}
			c.opened()
			w.dialect.message(c, b)
			w.dialect.message(c, b)
		}
	})
}
