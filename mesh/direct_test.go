package mesh

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/subjects"
)

// store publishes n messages to subject and returns their sequences.
func store(t testing.TB, nc *nats.Conn, subject string, n int) []uint64 {
	t.Helper()
	seqs := make([]uint64, n)
	for i := range seqs {
		m, err := nc.RequestWithContext(within(t), subject, []byte(`{"n":`+strconv.Itoa(i)+`}`))
		require.NoError(t, err)
		ack, err := decodeAck(m, subjects.StreamName)
		require.NoError(t, err)
		seqs[i] = ack.Seq
	}
	return seqs
}

func seqsOf(msgs []Stored) []uint64 {
	var seqs []uint64
	for _, m := range msgs {
		seqs = append(seqs, m.Seq)
	}
	return seqs
}

func TestDirect_BatchPagesThroughOneRoom(t *testing.T) {
	_, nc := startStream(t, DefaultStreamConfig())
	r := newDirectReader(nc, subjects.StreamName)
	var want []uint64
	for range 20 {
		want = append(want, store(t, nc, "room.a.b", 1)...)
		store(t, nc, "room.a.other", 1)
	}

	var got []uint64
	for from, pages := uint64(0), 0; ; pages++ {
		msgs, pending, last, err := r.batch(within(t), "room.a.b", from, 7, 1<<20)
		require.NoError(t, err)
		got = append(got, seqsOf(msgs)...)
		assert.Equal(t, len(want)-len(got), int(pending))
		assert.Equal(t, msgs[len(msgs)-1].Seq, last)
		for i, m := range msgs {
			assert.Equal(t, "room.a.b", m.Subject)
			assert.WithinDuration(t, time.Now(), m.Time, time.Minute)
			if i > 0 {
				assert.Equal(t, msgs[i-1].Seq, m.Prev)
			}
		}
		if pending == 0 {
			assert.Equal(t, 2, pages)
			break
		}
		from = last + 1
	}
	assert.Equal(t, want, got)
}

func TestDirect_BatchStopsAtBytesButBringsOne(t *testing.T) {
	_, nc := startStream(t, DefaultStreamConfig())
	seqs := store(t, nc, "room.a.b", 5)
	msgs, pending, last, err := newDirectReader(nc, subjects.StreamName).batch(within(t), "room.a.b", 0, 100, 1)
	require.NoError(t, err)
	assert.Equal(t, seqs[:1], seqsOf(msgs))
	assert.Equal(t, uint64(4), pending)
	assert.Equal(t, seqs[0], last)
}

func TestDirect_BatchOfNothingIsEmpty(t *testing.T) {
	_, nc := startStream(t, DefaultStreamConfig())
	r := newDirectReader(nc, subjects.StreamName)
	seqs := store(t, nc, "room.a.b", 3)
	for subject, from := range map[string]uint64{"room.a.none": 0, "room.a.b": seqs[2] + 1, "room.b.b": 1 << 40} {
		msgs, pending, last, err := r.batch(within(t), subject, from, 10, 1<<20)
		require.NoError(t, err)
		assert.Empty(t, msgs)
		assert.Zero(t, pending)
		assert.Zero(t, last)
	}
}

func TestDirect_MultiLastSaysHowFarItSaw(t *testing.T) {
	_, nc := startStream(t, DefaultStreamConfig())
	r := newDirectReader(nc, subjects.StreamName)
	store(t, nc, "room.a.1", 3)
	two := store(t, nc, "room.a.2", 2)
	fence := store(t, nc, subjects.Fence("e"), 1)[0]
	names := []string{"room.a.1", "room.a.2", "room.a.none", subjects.Fence("e")}

	msgs, upTo, err := r.multiLast(within(t), names, 0)
	require.NoError(t, err)
	assert.Equal(t, []uint64{3, two[1], fence}, seqsOf(msgs))
	assert.Equal(t, fence, upTo)

	msgs, upTo, err = r.multiLast(within(t), names, fence)
	require.NoError(t, err)
	assert.Equal(t, []uint64{fence}, seqsOf(msgs))
	assert.Equal(t, fence, upTo)

	_, _, err = r.multiLast(within(t), []string{"room.a.none"}, 0)
	require.Error(t, err, "an answer without a message says nothing about its freshness")
	assert.True(t, isNotFound(err))
}

func TestDirect_MultiLastContinuesAnAnswerThatIsTooLarge(t *testing.T) {
	_, nc := startStream(t, DefaultStreamConfig())
	body := []byte(strings.Repeat("x", 60<<10))
	names := make([]string, 0, 150)
	for i := range 150 { // 9 MB, three pages
		names = append(names, fmt.Sprintf("room.a.%d", i))
		_, err := nc.RequestWithContext(within(t), names[i], body)
		require.NoError(t, err)
	}
	msgs, upTo, err := newDirectReader(nc, subjects.StreamName).multiLast(within(t), names, 0)
	require.NoError(t, err)
	assert.Len(t, msgs, 150)
	assert.Equal(t, uint64(150), upTo)
}

func TestDirect_MultiLastRefusesTooManySubjects(t *testing.T) {
	_, nc := startStream(t, DefaultStreamConfig())
	r := newDirectReader(nc, subjects.StreamName)
	_, _, err := r.multiLast(within(t), make([]string, maxMultiSubjects+1), 0)
	require.ErrorIs(t, err, errTooManySubjects)

	for i := range 1025 { // the server's own limit, reached by a wildcard
		require.NoError(t, nc.Publish(fmt.Sprintf("room.w.%d", i), nil))
	}
	store(t, nc, "room.a.b", 1)
	_, _, err = r.multiLast(within(t), []string{"room.w.*"}, 0)
	require.ErrorIs(t, err, errTooManySubjects)
}

func TestDirect_SaysWhenNobodyAnswers(t *testing.T) {
	srv := startServer(t)
	nc := dial(t, srv)
	r := newDirectReader(nc, "NONE")
	_, _, _, err := r.batch(within(t), "room.a.b", 0, 10, 1<<20)
	require.ErrorIs(t, err, ErrUnavailable)

	// Somebody subscribes but stays silent.
	_, err = nc.Subscribe("$JS.API.DIRECT.GET.NONE", func(*nats.Msg) {})
	require.NoError(t, err)
	r.idle = 20 * time.Millisecond
	_, _, _, err = r.batch(within(t), "room.a.b", 0, 10, 1<<20)
	require.ErrorIs(t, err, ErrUnavailable)

	r.idle = time.Hour
	ctx, cancel := context.WithCancelCause(within(t))
	cancel(ErrBusy)
	_, _, _, err = r.batch(ctx, "room.a.b", 0, 10, 1<<20)
	require.ErrorIs(t, err, ErrBusy)
}

// TestDirect_BrokenChains answers reads in the stream's place, with each way in
// which a batch can be incomplete.
func TestDirect_BrokenChains(t *testing.T) {
	type reply struct{ seq, prev uint64 }
	for name, c := range map[string]struct {
		replies []reply
		end     nats.Header
	}{
		"hole":          {[]reply{{3, 0}, {7, 5}}, nats.Header{hdrLast: {"7"}, hdrPending: {"0"}}},
		"starts late":   {[]reply{{5, 3}}, nats.Header{hdrLast: {"5"}, hdrPending: {"0"}}},
		"tail lost":     {[]reply{{3, 0}, {5, 3}}, nats.Header{hdrLast: {"7"}, hdrPending: {"0"}}},
		"backwards":     {[]reply{{5, 0}, {3, 5}}, nats.Header{hdrLast: {"3"}, hdrPending: {"0"}}},
		"all lost":      {nil, nats.Header{hdrLast: {"7"}, hdrPending: {"0"}}},
		"end is unsure": {[]reply{{3, 0}}, nats.Header{hdrPending: {"0"}}},
		"no count":      {[]reply{{3, 0}}, nats.Header{hdrLast: {"3"}}},
		"before from":   {[]reply{{1, 0}}, nats.Header{hdrLast: {"1"}, hdrPending: {"0"}}},
	} {
		t.Run(name, func(t *testing.T) {
			nc := dial(t, startServer(t))
			_, err := nc.Subscribe("$JS.API.DIRECT.GET.FAKE", func(m *nats.Msg) {
				for _, r := range c.replies {
					_ = nc.PublishMsg(&nats.Msg{Subject: m.Reply, Data: []byte("x"), Header: nats.Header{
						hdrSubject: {"room.a.b"}, hdrSequence: {strconv.FormatUint(r.seq, 10)},
						hdrLast: {strconv.FormatUint(r.prev, 10)}, hdrTime: {"2026-01-02T03:04:05Z"},
					}})
				}
				c.end[hdrStatus] = []string{"204"}
				_ = nc.PublishMsg(&nats.Msg{Subject: m.Reply, Header: c.end})
			})
			require.NoError(t, err)
			_, _, _, err = newDirectReader(nc, "FAKE").batch(within(t), "room.a.b", 2, 10, 1<<20)
			require.ErrorIs(t, err, errBrokenBatch)
		})
	}
}

// handmade publishes with header blocks that no client library would send.
type handmade struct {
	conn net.Conn
	in   *bufio.Reader
}

func newHandmade(t testing.TB, srv *Server) *handmade {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.ClientURL(), "nats://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	h := &handmade{conn: conn, in: bufio.NewReader(conn)}
	_, err = h.in.ReadString('\n') // INFO
	require.NoError(t, err)
	_, err = fmt.Fprint(conn, "CONNECT {\"headers\":true,\"verbose\":true}\r\n")
	require.NoError(t, err)
	h.ok(t)
	return h
}

func (h *handmade) ok(t testing.TB) {
	t.Helper()
	h.await(t, "+OK\r\n")
}

// await reads the line that must come next, beside the server's pings.
func (h *handmade) await(t testing.TB, want string) {
	t.Helper()
	for {
		line, err := h.in.ReadString('\n')
		require.NoError(t, err)
		if line == "PING\r\n" {
			_, err := fmt.Fprint(h.conn, "PONG\r\n")
			require.NoError(t, err)
			continue
		}
		require.Equal(t, want, line)
		return
	}
}

// publish returns when the server has handed the message on. It says +OK before that already, but
// answers a ping after.
func (h *handmade) publish(t testing.TB, subject, block, payload string) {
	t.Helper()
	_, err := fmt.Fprintf(h.conn, "HPUB %s %d %d\r\n%s%s\r\nPING\r\n", subject, len(block), len(block)+len(payload), block, payload)
	require.NoError(t, err)
	h.ok(t)
	h.await(t, "PONG\r\n")
}

// forgeries are header blocks by which a publisher tries to pass as the stream.
// The server stores all of them.
var forgeries = map[string]struct {
	block    string
	readable bool // whether the client library gets to see the server's headers
}{
	"earlier values":       {"NATS/1.0\r\nNats-Sequence: 7777\r\nNats-Last-Sequence: 7776\r\nNats-Subject: room.x.y\r\nNats-Num-Pending: 9\r\n\r\n", true},
	"inline status":        {"NATS/1.0 204 EOB\r\n\r\n", true},
	"status header":        {"NATS/1.0\r\nStatus: 204\r\nDescription: EOB\r\n\r\n", true},
	"block that ends late": {"NATS/1.0\r\nX: y", true},
	"no colon":             {"NATS/1.0\r\nnonsense\r\n\r\n", false},
	"no version":           {"nonsense\r\n\r\n", false},
	"ends twice":           {"NATS/1.0\r\nNats-Sequence: 7777\r\nNats-Last-Sequence: 0\r\nNats-Time-Stamp: 2026-01-02T03:04:05Z\r\n\r\nx: y\r\n\r\n", false},
	"end marker, twice":    {"NATS/1.0\r\nStatus: 204\r\nNats-Last-Sequence: 7777\r\nNats-Num-Pending: 0\r\n\r\nx: y\r\n\r\n", false},
	"padded, ends twice":   {"NATS/1.0\r\n" + strings.Repeat("a:b\r\n", 150) + "Nats-Sequence:7777\r\nNats-Last-Sequence:0\r\nNats-Time-Stamp:2026-01-02T03:04:05Z\r\n\r\nx: y\r\n\r\n", false},
}

func TestDirect_ForgedHeadersAreNotBelieved(t *testing.T) {
	for name, forgery := range forgeries {
		t.Run(name, func(t *testing.T) {
			srv, nc := startStream(t, DefaultStreamConfig())
			live := make(chan *nats.Msg, 8)
			_, err := nc.ChanSubscribe("live.>", live)
			require.NoError(t, err)
			require.NoError(t, nc.Flush())
			worker := newHandmade(t, srv)
			payload := ""
			if !strings.Contains(forgery.block, "204") {
				payload = "forged"
			}

			// +OK says that a message was read; it is stored a moment later.
			forge := func(seq uint64) {
				worker.publish(t, "room.a.b", forgery.block, payload)
				eventually(t, func() bool {
					info, err := FetchStreamInfo(within(t), nc, subjects.StreamName)
					return err == nil && info.LastSeq == seq
				}, "stored")
			}
			first := store(t, nc, "room.a.b", 1)[0]
			forge(first + 1)
			forge(first + 2)
			last := store(t, nc, "room.a.b", 1)[0]
			want := []uint64{first, first + 1, first + 2, last}

			for _, seq := range want {
				m := <-live
				got, prev, _, ok := parseLive(m)
				if seq != first && seq != last && !forgery.readable {
					assert.False(t, ok)
					continue
				}
				require.True(t, ok)
				assert.Equal(t, seq, got)
				assert.Equal(t, seq-1, prev)
			}

			r := newDirectReader(nc, subjects.StreamName)
			var got []Stored
			for from := uint64(0); ; {
				msgs, pending, end, err := r.batch(within(t), "room.a.b", from, 100, 1<<20)
				require.NoError(t, err)
				got = append(got, msgs...)
				if pending == 0 {
					break
				}
				from = end + 1
			}
			assert.Equal(t, want, seqsOf(got))
			for _, m := range got {
				assert.Equal(t, "room.a.b", m.Subject)
				between := m.Seq != first && m.Seq != last
				assert.Equal(t, between && !forgery.readable, m.Unreadable)
				if between {
					assert.Equal(t, payload, string(m.Data))
				}
			}

			forge(last + 1)
			fence := store(t, nc, subjects.Fence("e"), 1)[0]
			msgs, upTo, err := r.multiLast(within(t), []string{"room.a.b", subjects.Fence("e")}, 0)
			require.NoError(t, err)
			assert.Equal(t, []uint64{fence - 1, fence}, seqsOf(msgs))
			assert.Equal(t, "room.a.b", msgs[0].Subject)
			assert.Equal(t, fence, upTo)
		})
	}
}

// FuzzParseLive appends the stream's headers to any header block, as the server
// does, and demands that its sequence is read or nothing is.
func FuzzParseLive(f *testing.F) {
	for _, forgery := range forgeries {
		f.Add([]byte(forgery.block))
	}
	f.Add([]byte("NATS/1.0\r\nA: b\r\n\r\n"))
	srv := startServer(f)
	nc := dial(f, srv)
	_, err := EnsureStream(within(f), nc, DefaultStreamConfig(), quiet())
	require.NoError(f, err)
	live := make(chan *nats.Msg, 1)
	_, err = nc.ChanSubscribe("live.>", live)
	require.NoError(f, err)
	require.NoError(f, nc.Flush())
	acks, err := nc.SubscribeSync("ack")
	require.NoError(f, err)
	require.NoError(f, nc.Flush())
	worker := newHandmade(f, srv)
	var last uint64
	f.Fuzz(func(t *testing.T, block []byte) {
		if len(block) < len("NATS/1.0\r\n\r\n") || len(block) > 4096 {
			return // the server wants a block, and its own limits are not at issue
		}
		worker.publish(t, "room.a.b ack", string(block), "x")
		m, err := acks.NextMsgWithContext(within(t)) // stored or refused
		require.NoError(t, err)
		ack, err := decodeAck(m, subjects.StreamName)
		if err != nil || ack.Duplicate {
			return
		}
		seq, prev, _, ok := parseLive(<-live)
		if ok {
			assert.Equal(t, ack.Seq, seq)
			assert.Equal(t, last, prev)
		}
		last = ack.Seq
	})
}

func BenchmarkDirect_BatchOfQuietRoom(b *testing.B) {
	_, nc := startStream(b, DefaultStreamConfig())
	store(b, nc, "room.a.b", 1)
	r := newDirectReader(nc, subjects.StreamName)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := r.batch(b.Context(), "room.a.b", 1, 256, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDirect_MultiLast1000(b *testing.B) {
	_, nc := startStream(b, DefaultStreamConfig())
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("room.a.%d", i)
		store(b, nc, names[i], 1)
	}
	r := newDirectReader(nc, subjects.StreamName)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.multiLast(b.Context(), names, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseLive(b *testing.B) {
	_, nc := startStream(b, DefaultStreamConfig())
	sub, err := nc.SubscribeSync("live.>")
	require.NoError(b, err)
	store(b, nc, "room.a.b", 1)
	m, err := sub.NextMsg(10 * time.Second)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, ok := parseLive(m); !ok {
			b.Fatal("not parsed")
		}
	}
}
