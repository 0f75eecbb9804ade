package edge_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

// pollURL is where polls are answered.
func (n *node) pollURL() string {
	return "http" + strings.TrimSuffix(strings.TrimPrefix(n.url(), "ws"), "/ws") + "/poll"
}

// answer is what a poll was answered with.
type answer struct {
	status int
	header http.Header
	frames []wire.ServerFrame // of 200
	code   wire.Code          // of others
	reason string
	err    error
}

// ask polls; it is for any goroutine.
func (n *node) ask(ctx context.Context, method, url, body string, header http.Header) (a answer) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	r.Header = header
	response, err := n.http.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	return answerOf(response)
}

// answerOf reads a response to its end.
func answerOf(response *http.Response) (a answer) {
	a.status, a.header = response.StatusCode, response.Header
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil || len(text) == 0:
		a.err = err
	case a.status == http.StatusOK:
		a.err = json.Unmarshal(text, &a.frames)
	default:
		var refused struct {
			Code   wire.Code
			Reason string
		}
		a.err = json.Unmarshal(text, &refused)
		a.code, a.reason = refused.Code, refused.Reason
	}
	return a
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func list(t testing.TB, refs ...wire.RoomRef) string {
	t.Helper()
	if refs == nil {
		return "[]"
	}
	b, err := json.Marshal(refs)
	require.NoError(t, err)
	return string(b)
}

// poll polls with a token for the rooms and waits for the answer.
func (n *node) poll(t testing.TB, refs ...wire.RoomRef) answer {
	t.Helper()
	return n.pollAs(t, token(t, names(refs)...), refs...)
}

func (n *node) pollAs(t testing.TB, token string, refs ...wire.RoomRef) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a := n.ask(ctx, http.MethodPost, n.pollURL(), list(t, refs...), bearer(token))
	require.NoError(t, a.err)
	return a
}

func names(refs []wire.RoomRef) []string {
	var names []string
	for _, ref := range refs {
		names = append(names, ref.Room)
	}
	return names
}

// parked polls beside the test and returns once the poll waits in its rooms.
func (n *node) parked(t testing.TB, ctx context.Context, token string, refs ...wire.RoomRef) <-chan answer { //nolint:revive // t goes first in helpers
	t.Helper()
	joins := n.metric(t, "tidings_edge_joins_total")
	body := list(t, refs...)
	out := make(chan answer, 1)
	go func() { out <- n.ask(ctx, http.MethodPost, n.pollURL(), body, bearer(token)) }()
	n.await(t, joins+float64(len(refs)), "tidings_edge_joins_total")
	return out
}

// receive waits for the answer to a parked poll.
func receive(t testing.TB, parked <-chan answer) answer {
	t.Helper()
	select {
	case a := <-parked:
		require.NoError(t, a.err)
		return a
	case <-time.After(patience):
		require.Fail(t, "the poll is not answered")
		return answer{}
	}
}

// ops are the frames of an answer by their names.
func (a answer) ops() (ops []wire.Op) {
	for _, f := range a.frames {
		ops = append(ops, f.Op)
	}
	return ops
}

// refused wants a refusal and returns its reason.
func (a answer) refused(t testing.TB, status int) string {
	t.Helper()
	assert.Equal(t, status, a.status, a.reason)
	assert.EqualValues(t, 4000+status, a.code)
	assert.Equal(t, "application/json", a.header.Get("Content-Type"))
	assert.Equal(t, "no-store", a.header.Get("Cache-Control"))
	return a.reason
}

// polling is what a client keeps between polls: positions, and what it was told by them.
type polling struct {
	at   map[string]wire.Position
	seqs map[string][]uint64
}

func (c *polling) refs() (refs []wire.RoomRef) {
	for room, at := range c.at {
		refs = append(refs, wire.RoomRef{Room: room, Since: &at})
	}
	return refs
}

// take takes an answer as docs/protocol.md has it.
func (c *polling) take(t testing.TB, a answer) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.reason)
	require.Equal(t, wire.OpWelcome, a.frames[0].Op)
	left, end := map[string]int{}, map[string]wire.Position{}
	for _, f := range a.frames[1:] {
		at := c.at[f.Room]
		switch f.Op {
		case wire.OpJoined:
			require.NotNil(t, f.Recovered, "it has a position: %+v", f)
			require.True(t, *f.Recovered, "%+v", f)
			left[f.Room], end[f.Room] = f.Replay, *f.Position
			if f.Replay == 0 {
				c.at[f.Room] = *f.Position
			}
		case wire.OpEvent:
			if left[f.Room] == 0 {
				require.LessOrEqual(t, f.Prev, at.Seq, "a gap")
			}
			require.Greater(t, f.Seq, at.Seq, "twice or out of order")
			var event struct{ ID string }
			require.NoError(t, json.Unmarshal(f.Event, &event))
			c.at[f.Room] = wire.Position{Epoch: at.Epoch, Seq: f.Seq, ID: event.ID, TS: f.TS}
			c.seqs[f.Room] = append(c.seqs[f.Room], f.Seq)
			if left[f.Room] > 0 {
				if left[f.Room]--; left[f.Room] == 0 {
					require.Equal(t, end[f.Room].Seq, f.Seq)
					c.at[f.Room] = end[f.Room]
				}
			}
		case wire.OpPing:
			for room, at := range c.at {
				at.TS = max(at.TS, f.TS)
				c.at[room] = at
			}
		default:
			require.Fail(t, "not expected", "%+v", f)
		}
	}
	for room, n := range left {
		require.Zero(t, n, "announced and not there, in %s", room)
	}
}

// first polls rooms for the first time.
func (n *node) first(t testing.TB, rooms ...subjects.Room) *polling {
	t.Helper()
	c := &polling{at: map[string]wire.Position{}, seqs: map[string][]uint64{}}
	var refs []wire.RoomRef
	for _, r := range rooms {
		refs = append(refs, wire.RoomRef{Room: r.String()})
	}
	a := n.poll(t, refs...)
	require.Equal(t, http.StatusOK, a.status, a.reason)
	for _, f := range a.frames[1:] {
		require.Equal(t, wire.OpJoined, f.Op)
		require.Nil(t, f.Recovered)
		c.at[f.Room] = *f.Position
	}
	require.Len(t, c.at, len(rooms))
	return c
}

func TestPoll_ThePlainCourse(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		a, b := room(t), room(t)
		c := n.first(t, a, b)

		// What was missed comes at once, as far as the edge has heard of it.
		missed := w.publish(t, a, 3, 10)
		first := n.poll(t, c.refs()...)
		c.take(t, first)
		for len(c.seqs[a.String()]) < len(missed) {
			c.take(t, n.poll(t, c.refs()...))
		}
		assert.Equal(t, missed, c.seqs[a.String()])
		welcome := first.frames[0]
		assert.NotEmpty(t, welcome.Session)
		assert.InDelta(t, 3600, welcome.TTL, 60)
		assert.EqualValues(t, 25, welcome.Ping)
		assert.Equal(t, "application/json", first.header.Get("Content-Type"))
		assert.Equal(t, "no-store", first.header.Get("Cache-Control"))

		// Then an event wakes it, in whichever room, and the other one is answered, too.
		polls := n.metric(t, "tidings_edge_polls_total", "200")
		parked := n.parked(t, t.Context(), token(t, a.String(), b.String()), c.refs()...)
		seq := w.publish(t, b, 1, 10)
		woken := receive(t, parked)
		c.take(t, woken)
		assert.Equal(t, seq, c.seqs[b.String()])
		assert.Equal(t, []wire.Op{wire.OpWelcome, wire.OpJoined, wire.OpJoined, wire.OpEvent}, woken.ops())
		n.await(t, 0, "tidings_edge_connections")
		n.await(t, 0, "tidings_edge_queued_bytes")
		n.await(t, polls+1, "tidings_edge_polls_total", "200")
		assert.Zero(t, n.metric(t, "tidings_edge_connections_opened_total"), "polls are counted as such")
	})
}

func TestPoll_GETIsTheSameAsPOST(t *testing.T) {
	n := newWorld(t).start(t)
	r := room(t)
	for _, rooms := range []string{`["` + r.String() + `"]`, ` [ {"room":"` + r.String() + `","since":null,"more":[1]} ] `} {
		a := n.ask(t.Context(), http.MethodGet, n.pollURL()+"?rooms="+url.QueryEscape(rooms), "", bearer(token(t, r.String())))
		require.NoError(t, a.err)
		assert.Equal(t, []wire.Op{wire.OpWelcome, wire.OpJoined}, a.ops(), a.reason)
	}
}

func TestPoll_AQuietOneIsAnsweredWithAYoungerPosition(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.Ping = time.Second })
		c := n.first(t, room(t))
		before := time.Now()
		for range 2 {
			a := n.poll(t, c.refs()...)
			assert.Equal(t, []wire.Op{wire.OpWelcome, wire.OpJoined, wire.OpPing}, a.ops())
			c.take(t, a)
		}
		assert.GreaterOrEqual(t, time.Since(before), 2*time.Second, "it was parked")
		for _, at := range c.at {
			assert.GreaterOrEqual(t, at.TS, before.Add(2*time.Second).UnixMilli(), "so long was it the newest")
		}
		assert.Equal(t, []wire.Op{wire.OpWelcome, wire.OpPing}, n.poll(t).ops(), "without rooms it keeps in touch")
	})
}

// While NATS is away nobody knows what a room has. Then no ping says that there is nothing.
func TestPoll_WhatCannotBeAnsweredIsLeftOut(t *testing.T) {
	w := newWorld(t)
	n := w.start(t, func(s *settings) { s.edge.Limits.Ping = time.Second })
	r := room(t)
	c := n.first(t, r)
	n.await(t, 0, "tidings_mesh_rooms")
	w.nats.Stop()
	a := n.pollAs(t, token(t, r.String()), append(c.refs(), wire.RoomRef{Room: "no room"})...)
	assert.Equal(t, []wire.Op{wire.OpWelcome, wire.OpDenied}, a.ops())
}

func TestPoll_NothingIsMissingOverManyPollsAtTwoEdges(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		const events = 300
		edges := []*node{w.start(t), w.start(t)}
		r, other := room(t), room(t)
		c := edges[0].first(t, r, other)
		published := make(chan []uint64, 1)
		go func() {
			var seqs []uint64
			for range events {
				ack, err := w.publisher.Publish(t.Context(), r, event(100))
				if !assert.NoError(t, err) {
					break
				}
				seqs = append(seqs, ack.Seq)
			}
			published <- seqs
		}()
		polls := 0
		for ; len(c.seqs[r.String()]) < events; polls++ {
			c.take(t, edges[polls%2].poll(t, c.refs()...))
		}
		assert.Equal(t, <-published, c.seqs[r.String()])
		t.Logf("%d events in %d polls", events, polls)
	})
}

func TestPoll_WhatIsTooLongIsReadByTheNextOne(t *testing.T) {
	const buffer = 64 << 10
	for name, limit := range map[string]func(*edge.Limits){
		"for one client":  func(l *edge.Limits) { l.ClientBuffer = buffer },
		"for all of them": func(l *edge.Limits) { l.TotalBuffer = buffer },
	} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, w *world) {
				n := w.start(t, func(s *settings) { limit(&s.edge.Limits) })
				a, b := room(t), room(t)
				c := n.first(t, a, b)
				missed := map[string][]uint64{
					a.String(): slices.Concat(w.publish(t, a, 20, 10<<10), w.publish(t, a, 1, 60<<10), w.publish(t, a, 100, 10)),
					b.String(): w.publish(t, b, 20, 10<<10),
				}
				polls := 0
				for ; len(c.seqs[a.String()]) < 121 || len(c.seqs[b.String()]) < 20; polls++ {
					got := n.poll(t, c.refs()...)
					size := 0
					for _, f := range got.frames {
						size += len(f.Event)
					}
					assert.LessOrEqual(t, size, buffer+16<<10)
					before := len(c.seqs[a.String()]) + len(c.seqs[b.String()])
					c.take(t, got)
					require.Greater(t, len(c.seqs[a.String()])+len(c.seqs[b.String()]), before, "no poll is in vain")
				}
				assert.Equal(t, missed, c.seqs)
				assert.Greater(t, polls, 5)
				n.await(t, 0, "tidings_edge_queued_bytes")
			})
		})
	}
}

func TestPoll_ContinuityThatCannotBeProvedIsToldAtOnce(t *testing.T) {
	n := newWorld(t).start(t)
	r := room(t)
	c := n.first(t, r)
	at := c.at[r.String()]
	for reason, since := range map[string]wire.Position{
		"epoch": {Epoch: "another", Seq: at.Seq, TS: at.TS}, "behind": {Epoch: at.Epoch, Seq: at.Seq + 1000, TS: at.TS}, "position": {},
	} {
		a := n.poll(t, wire.RoomRef{Room: r.String(), Since: &since})
		require.Equal(t, []wire.Op{wire.OpWelcome, wire.OpJoined}, a.ops())
		f := a.frames[1]
		require.NotNil(t, f.Recovered)
		assert.False(t, *f.Recovered)
		assert.EqualValues(t, reason, f.Reason)
		assert.Positive(t, f.Spread)
		assert.NotZero(t, f.Position.Seq)
	}
}

func TestPoll_DeniedRoomsAreToldAtOnceTogetherWithTheOthers(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.Rooms = 2 })
		r, r2, r3 := room(t), room(t), room(t)
		c := n.first(t, r)
		refs := append(c.refs(), wire.RoomRef{Room: "secret:1"}, wire.RoomRef{Room: "no room"})
		a := n.pollAs(t, token(t, r.String()), refs...)
		require.ElementsMatch(t, []wire.Op{wire.OpWelcome, wire.OpDenied, wire.OpDenied, wire.OpJoined}, a.ops())
		codes := map[string]string{}
		for _, f := range a.frames {
			codes[f.Room] = f.Code
		}
		assert.Equal(t, map[string]string{"": "", r.String(): "", "secret:1": wire.DeniedForbidden, "no room": wire.DeniedBadRoom}, codes)

		// One fewer than the limit, as many, one more.
		for more, denied := range [][]wire.RoomRef{{}, {{Room: r2.String()}}, {{Room: r2.String()}, {Room: r3.String()}}} {
			a := n.poll(t, append([]wire.RoomRef{{Room: r.String()}}, denied...)...)
			var codes []string
			for _, f := range a.frames {
				if f.Op == wire.OpDenied {
					codes = append(codes, f.Code)
				}
			}
			if more == 2 {
				assert.Equal(t, []string{wire.DeniedLimit}, codes)
			} else {
				assert.Empty(t, codes)
			}
		}
	})
}

func TestPoll_BadRequestsAreToldWhatIsWrong(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.Message, s.edge.Limits.Rooms = 1000, 1 })
		good := bearer(token(t, "k:*"))
		for name, c := range map[string]struct{ method, query, body, reason string }{
			"no JSON":               {"POST", "", "{{", "rooms: invalid character"},
			"cut":                   {"POST", "", `["k:1"`, "unexpected end"},
			"no body":               {"POST", "", "", "rooms is missing"},
			"an object":             {"POST", "", `{"rooms":[]}`, "rooms is an object, want an array"},
			"null":                  {"POST", "", "null", "rooms is null"},
			"two lists":             {"POST", "", `[][]`, "rooms: invalid character"},
			"more than a list":      {"POST", "", `[],"op":"join"`, "rooms: invalid character"},
			"elements are numbers":  {"POST", "", `[7]`, "a number, want a name or an object"},
			"since is a string":     {"POST", "", `[{"room":"k:1","since":"x"}]`, "since is not a position"},
			"no query":              {"GET", "", "", "rooms=…"},
			"twice":                 {"GET", "?rooms=[]&rooms=[]", "", "once"},
			"broken escape":         {"GET", "?rooms=%5", "", "percent-encoded"},
			"empty":                 {"GET", "?rooms=", "", "rooms is missing"},
			"no list in the query":  {"GET", "?rooms=k:1", "", "rooms: invalid character"},
			"a token in the query,": {"GET", "?token=x", "", "rooms=…"},
		} {
			a := n.ask(t.Context(), c.method, n.pollURL()+c.query, c.body, good)
			require.NoError(t, a.err, name)
			assert.Contains(t, a.refused(t, http.StatusBadRequest), c.reason, name)
		}
		for size, status := range map[int]int{999: 200, 1000: 200, 1001: 413} {
			body := `["k:1"` + strings.Repeat(" ", size-7) + "]"
			for _, a := range []answer{
				n.ask(t.Context(), "POST", n.pollURL(), body, good),
				n.ask(t.Context(), "GET", n.pollURL()+"?rooms="+url.QueryEscape(body), "", good),
			} {
				require.NoError(t, a.err)
				assert.Equal(t, status, a.status, "%d bytes: %s", size, a.reason)
				if status != 200 {
					assert.Contains(t, a.refused(t, status), "limit of bytes of a poll is 1000")
				}
			}
		}
		a := n.ask(t.Context(), "PUT", n.pollURL(), "[]", good)
		require.NoError(t, a.err)
		assert.Equal(t, http.StatusMethodNotAllowed, a.status)
		assert.Equal(t, wire.CodeProtocol, a.code)
		assert.Equal(t, "GET, POST, OPTIONS", a.header.Get("Allow"))
		n.await(t, 0, "tidings_edge_connections")
	})
}

// Whether a body arrives is the network's doing: another try may help.
func TestPoll_ABodyThatDoesNotArriveMayBeSentAgain(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.SlowTimeout = time.Second })
		for name, end := range map[string]func(c *wireConn) error{
			"cut": func(c *wireConn) error {
				half, ok := c.Conn.(interface{ CloseWrite() error })
				require.True(t, ok)
				return half.CloseWrite()
			},
			"late": func(*wireConn) error { return nil },
		} {
			c := n.connect(t)
			c.put(t, "POST /poll HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer "+token(t, "k:1")+
				"\r\nContent-Length: 1000\r\n\r\n[")
			require.NoError(t, end(c), name)
			response, err := http.ReadResponse(c.in, nil)
			require.NoError(t, err, name)
			a := answerOf(response)
			require.NoError(t, a.err, name)
			require.NoError(t, response.Body.Close(), name)
			assert.Contains(t, a.refused(t, http.StatusRequestTimeout), "the body of the poll did not arrive", name)
			info, _ := a.code.Info()
			assert.True(t, info.Reconnect, name)
		}
	})
}

func TestPoll_BadTokensAreRefusedWithoutATrace(t *testing.T) {
	n := newWorld(t).start(t)
	for name, bad := range badTokens(t) {
		if strings.Contains(bad, "\n") || len(bad) > 7000 {
			continue // no header has that, or no head has room for it
		}
		a := n.ask(t.Context(), "POST", n.pollURL(), `["k:1"]`, bearer(bad))
		require.NoError(t, a.err, name)
		reason := a.refused(t, http.StatusUnauthorized)
		assert.NotContains(t, reason, bad, name)
		assert.Equal(t, "Bearer", a.header.Get("WWW-Authenticate"), name)
		for part := range strings.SplitSeq(bad, ".") {
			if len(part) > 8 {
				assert.NotContains(t, n.log.String(), part, name)
			}
		}
	}
	for _, header := range []http.Header{{}, {"Authorization": {"Basic YTpi"}}, {"Cookie": {"token=" + token(t, "k:*")}}} {
		a := n.ask(t.Context(), "POST", n.pollURL(), `["k:1"]`, header)
		require.NoError(t, a.err)
		assert.Contains(t, a.refused(t, http.StatusUnauthorized), "no token")
	}
	twice := n.ask(t.Context(), "POST", n.pollURL(), `["k:1"]`, http.Header{"Authorization": {"Bearer " + token(t, "k:*"), "Bearer x"}})
	require.NoError(t, twice.err)
	twice.refused(t, http.StatusBadRequest)
}

func TestPoll_ATokenThatEndsMeanwhileEndsThePoll(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.auth.Leeway = 2 * time.Second; s.edge.Limits.Ping = patience })
		r := room(t)
		c := n.first(t, r)
		a := n.pollAs(t, tokenOf(t, "alice", time.Now().Add(time.Second), r.String()), c.refs()...)
		assert.Contains(t, a.refused(t, http.StatusUnauthorized), "token expired")
		n.await(t, 0, "tidings_edge_connections")
		n.await(t, 1, "tidings_edge_polls_total", "401")
	})
}

func TestPoll_AnotherTokenIsJudgedAnew(t *testing.T) {
	n := newWorld(t).start(t)
	r := room(t)
	c := n.first(t, r)
	w := n.world.publish(t, r, 1, 10)
	a := n.pollAs(t, token(t, "other:*"), c.refs()...)
	assert.Equal(t, []wire.Op{wire.OpWelcome, wire.OpDenied}, a.ops(), "a right that was taken away")
	c.take(t, n.poll(t, c.refs()...))
	assert.Equal(t, w, c.seqs[r.String()])
}

func TestPoll_AParkedOneCountsForItsUser(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.PerUser = 2; s.edge.Limits.Ping = patience })
		r := room(t)
		c := n.first(t, r)
		n.await(t, 0, "tidings_edge_connections")
		ctx, leave := context.WithCancel(t.Context())
		one := n.parked(t, ctx, token(t, r.String()), c.refs()...)
		two := n.join(t, r) // a WebSocket counts as well
		a := n.poll(t, c.refs()...)
		assert.Regexp(t, "^retry_after=30; .*connections per user is 2", a.refused(t, http.StatusTooManyRequests))
		assert.Equal(t, "30", a.header.Get("Retry-After"))
		leave()
		left := <-one
		require.ErrorIs(t, left.err, context.Canceled, "%+v", left)
		n.await(t, 1, "tidings_edge_connections")
		n.await(t, 1, "tidings_edge_polls_total", "0")
		assert.Equal(t, http.StatusOK, n.poll(t, wire.RoomRef{Room: r.String()}).status, "there is a place again")
		two.bye(t)
	})
}

func TestPoll_ConnectionsCountForTheirAddressOnce(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.PerAddress = 2; s.edge.Limits.Ping = patience })
		r := room(t)
		c := n.first(t, r)
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		one := n.parked(t, ctx, token(t, r.String()), c.refs()...)
		two := n.parked(t, ctx, token(t, r.String()), c.refs()...)
		a := n.poll(t, c.refs()...)
		assert.Regexp(t, "^retry_after=30; .*connections per address is 2", a.refused(t, http.StatusTooManyRequests))
		leave()
		<-one
		<-two
		meshtest.Eventually(t, func() bool { return n.poll(t, wire.RoomRef{Room: r.String()}).status == http.StatusOK }, "places are free again")
	})
}

func TestPoll_OriginsAndPreflight(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		const app = "https://app.example.org"
		n := w.start(t, func(s *settings) { s.edge.Origins = []string{app} })
		from := func(origin string) http.Header {
			h := bearer(token(t, "k:*"))
			h.Set("Origin", origin)
			return h
		}
		for _, origin := range []string{"https://evil.example.org", "http://app.example.org", "null", ""} {
			for _, method := range []string{"OPTIONS", "GET", "POST"} {
				a := n.ask(t.Context(), method, n.pollURL()+"?rooms=[]", "", from(origin))
				require.NoError(t, a.err)
				assert.Contains(t, a.refused(t, http.StatusForbidden), "origin", "%s %q", method, origin)
				assert.Empty(t, a.header.Get("Access-Control-Allow-Origin"))
				assert.Equal(t, "Origin", a.header.Get("Vary"))
			}
		}
		preflight := n.ask(t.Context(), "OPTIONS", n.pollURL(), "", http.Header{
			"Origin": {app}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization"},
		})
		require.NoError(t, preflight.err)
		assert.Equal(t, http.StatusNoContent, preflight.status)
		assert.Equal(t, app, preflight.header.Get("Access-Control-Allow-Origin"))
		assert.Equal(t, "GET, POST", preflight.header.Get("Access-Control-Allow-Methods"))
		assert.Contains(t, preflight.header.Get("Access-Control-Allow-Headers"), "Authorization")

		good := n.ask(t.Context(), "POST", n.pollURL(), `["k:1"]`, from(app))
		require.NoError(t, good.err)
		assert.Equal(t, http.StatusOK, good.status)
		assert.Equal(t, app, good.header.Get("Access-Control-Allow-Origin"))
		bad := n.ask(t.Context(), "POST", n.pollURL(), `{`, from(app))
		require.NoError(t, bad.err)
		bad.refused(t, http.StatusBadRequest)
		assert.Equal(t, app, bad.header.Get("Access-Control-Allow-Origin"), "the page may read what is wrong")
	})
}

func TestPoll_AClientThatLeavesIsForgottenAtOnce(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		// The time for reading a request is far shorter than a poll is parked.
		n := w.start(t, func(s *settings) { s.edge.Limits.Ping, s.edge.Limits.SlowTimeout = patience, time.Second })
		r := room(t)
		c := n.first(t, r)
		ctx, leave := context.WithCancel(t.Context())
		gone := n.parked(t, ctx, token(t, r.String()), c.refs()...)
		stays := n.parked(t, t.Context(), token(t, r.String()), c.refs()...)
		leave()
		<-gone
		n.await(t, 1, "tidings_edge_connections")
		seqs := w.publish(t, r, 1, 10)
		c.take(t, receive(t, stays))
		assert.Equal(t, seqs, c.seqs[r.String()])
		n.await(t, 0, "tidings_edge_connections")
		n.await(t, 0, "tidings_mesh_rooms")
	})
}

func TestPoll_IsParkedForLongerThanARequestMayTake(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.Ping, s.edge.Limits.SlowTimeout = 3*time.Second, time.Second })
		c := n.first(t, room(t))
		a := n.poll(t, c.refs()...)
		assert.Equal(t, []wire.Op{wire.OpWelcome, wire.OpJoined, wire.OpPing}, a.ops())
	})
}

// takesLittle makes what waits unread in the kernel small.
func (c *wireConn) takesLittle(t testing.TB) {
	t.Helper()
	conn := c.Conn
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	require.True(t, ok)
	require.NoError(t, tcp.SetReadBuffer(4<<10))
}

// What a client does not read costs bounded memory for a bounded time, and delays nobody.
func TestPoll_AClientThatDoesNotReadItsAnswerDelaysNobody(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) {
			s.edge.Limits.SlowTimeout = time.Second
			s.edge.Limits.ClientBuffer = 8 << 20 // more than the sockets between them take
		})
		r := room(t)
		c := n.first(t, r)
		seqs := w.publish(t, r, 110, 60<<10)
		body := list(t, c.refs()...)
		deaf := n.connect(t)
		deaf.takesLittle(t)
		deaf.put(t, "POST /poll HTTP/1.1\r\nHost: edge.test\r\nAuthorization: Bearer "+token(t, r.String())+
			"\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
		n.await(t, 1, "tidings_edge_polls_total", "200")
		assert.LessOrEqual(t, n.metric(t, "tidings_edge_queued_bytes"), float64(9<<20))
		for len(c.seqs[r.String()]) < len(seqs) {
			c.take(t, n.poll(t, c.refs()...))
		}
		assert.Equal(t, seqs, c.seqs[r.String()])
		n.await(t, 0, "tidings_edge_connections")
		n.await(t, 0, "tidings_edge_queued_bytes")
	})
}

func TestPoll_DrainAnswersParkedOnesAndRefusesOthers(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Drain = patience; s.edge.Limits.Ping = patience })
		r := room(t)
		c := n.first(t, r)
		parked := n.parked(t, t.Context(), token(t, r.String()), c.refs()...)
		stays := n.join(t, r) // the edge does not end before it
		n.stop()
		stays.want(t, wire.OpDrain)
		a := receive(t, parked)
		assert.Equal(t, []wire.Op{wire.OpWelcome, wire.OpJoined, wire.OpDrain}, a.ops())
		assert.NotEmpty(t, n.poll(t, c.refs()...).refused(t, http.StatusServiceUnavailable))
		stays.bye(t)
		require.NoError(t, n.ended(t))
	})
}

func TestPoll_WithoutTimeToDrainItIsClosed(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.Ping = patience })
		r := room(t)
		c := n.first(t, r)
		parked := n.parked(t, t.Context(), token(t, r.String()), c.refs()...)
		n.stop()
		if a := receive(t, parked); a.status == http.StatusOK {
			assert.Equal(t, wire.OpDrain, a.ops()[2])
		} else {
			a.refused(t, http.StatusServiceUnavailable)
		}
		require.NoError(t, n.ended(t))
	})
}

func TestPoll_CanBeSwitchedOff(t *testing.T) {
	n := newWorld(t).start(t, func(s *settings) { s.edge.PollPath = "" })
	response, err := n.http.Get(n.pollURL())
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusNotFound, response.StatusCode)
}
