//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
)

// longHistory lets a busy room be resumed however long a busy machine takes to reconnect.
const longHistory = "--stream-history=100000"

func TestSub_MovesToTheOtherServerWithoutGapOrDuplicate(t *testing.T) {
	for name, c := range map[string]struct {
		signal os.Signal
		notes  []string // in this order
	}{
		"when its server is killed":  {syscall.SIGKILL, []string{"connected to %[1]s", "lost %[1]s", "connected to %[2]s"}},
		"when its server is drained": {syscall.SIGTERM, []string{"connected to %[1]s", "%[1]s goes within 20s; moving to %[2]s", "moved to %[2]s"}},
		// It sends nothing and closes nothing.
		"when its server is frozen": {syscall.SIGSTOP, []string{"connected to %[1]s", "lost %[1]s: nothing came for 3s", "connected to %[2]s"}},
	} {
		t.Run(name, func(t *testing.T) {
			nats := meshtest.Start(t)
			flags := []string{longHistory, "--drain=20s", "--ping=1s"}
			one, two := startServer(t, nats.URL, flags...), startServer(t, nats.URL, flags...)
			worker := newWorker(t, nats, "campaign:42")
			sub := startSub(t, nil, "campaign:42", "--url", one.url(), "--url", two.url())
			sub.await(t, wire.OpJoined, 1)
			stop := worker.publishSteadily(t)
			sub.await(t, wire.OpEvent, 100)

			one.signal(t, c.signal)
			sub.await(t, wire.OpJoined, 2)
			printed := len(sub.frames(t, wire.OpEvent))
			sub.await(t, wire.OpEvent, printed+100)
			stop()
			events := sub.await(t, wire.OpEvent, worker.published)

			assert.Equal(t, upTo(1, worker.published), numbers(t, events))
			for i := range events[1:] {
				assert.Equal(t, events[i].Seq, events[i+1].Prev)
			}
			joined := sub.frames(t, wire.OpJoined)
			require.Len(t, joined, 2)
			assert.Nil(t, joined[0].Recovered)
			if assert.NotNil(t, joined[1].Recovered) {
				assert.True(t, *joined[1].Recovered)
			}
			for i, note := range sub.stderr.lines() {
				if assert.Less(t, i, len(c.notes), note) {
					assert.Contains(t, note, fmt.Sprintf(c.notes[i]+"%[3]s", one.url(), two.url(), ""))
				}
			}
			assert.Equal(t, statusOK, sub.stop(t))
			if c.signal == syscall.SIGTERM {
				assert.Equal(t, statusOK, one.exit(t), "the server ends before its time when all clients have moved")
			}
		})
	}
}

func TestSub_ComesBackToAServerThatIsStartedAgain(t *testing.T) {
	nats := meshtest.Start(t)
	address := port.Address(t)
	server := startServer(t, nats.URL, "--drain=0s", "--http", address)
	worker := newWorker(t, nats, "campaign:42")
	sub := startSub(t, nil, "campaign:42", "--url", server.url())
	sub.await(t, wire.OpJoined, 1)
	worker.publish(t, 3)
	sub.await(t, wire.OpEvent, 3)

	server.signal(t, syscall.SIGTERM)
	require.Equal(t, statusOK, server.exit(t))
	worker.publish(t, 3)
	startServer(t, nats.URL, "--http", address)
	worker.publish(t, 3)
	assert.Equal(t, upTo(1, 9), numbers(t, sub.await(t, wire.OpEvent, 9)))
	sub.awaitNote(t, "closed with 4503")
}

func TestSub_AwayForTwoHundredEventsGetsExactlyThose(t *testing.T) {
	nats := meshtest.Start(t)
	server := startServer(t, nats.URL)
	worker := newWorker(t, nats, "campaign:42")
	other := newWorker(t, nats, "campaign:43")
	before := startSub(t, nil, "campaign:42", "--url", server.url())
	before.await(t, wire.OpJoined, 1)
	worker.publish(t, 10)
	before.await(t, wire.OpEvent, 10)
	require.Equal(t, statusOK, before.stop(t))
	_, position, found := strings.Cut(before.awaitNote(t, "campaign:42 stands at "), "stands at ")
	require.True(t, found)

	for range 200 {
		worker.publish(t, 1)
		other.publish(t, 1)
	}
	after := startSub(t, nil, "campaign:42", "--url", server.url(), "--since", position)
	joined := after.await(t, wire.OpJoined, 1)[0]
	if assert.NotNil(t, joined.Recovered) {
		assert.True(t, *joined.Recovered)
	}
	assert.Equal(t, 200, joined.Replay)
	events := after.await(t, wire.OpEvent, 200)
	worker.publish(t, 1)
	events = append(events[:200], after.await(t, wire.OpEvent, 201)[200:]...)
	assert.Equal(t, upTo(11, 211), numbers(t, events))
	assert.Equal(t, joined.Position.Seq, events[199].Seq)
	require.Equal(t, statusOK, after.stop(t))
}

func TestSub_AwayLongerThanTheHistoryIsToldSoWithTheReason(t *testing.T) {
	nats := meshtest.Start(t)
	server := startServer(t, nats.URL, "--stream-history=20")
	worker := newWorker(t, nats, "campaign:42")
	first := startSub(t, nil, "campaign:42", "--url", server.url())
	first.await(t, wire.OpJoined, 1)
	worker.publish(t, 1)
	first.await(t, wire.OpEvent, 1)
	require.Equal(t, statusOK, first.stop(t))
	_, position, _ := strings.Cut(first.awaitNote(t, "stands at "), "stands at ")

	for _, missed := range []struct{ more, all int }{{20, 20}, {1, 21}} {
		worker.publish(t, missed.more)
		sub := startSub(t, nil, "campaign:42", "--url", server.url(), "--since", position)
		joined := sub.await(t, wire.OpJoined, 1)[0]
		assert.NotNil(t, joined.Recovered)
		assert.Equal(t, joined.Reason != "", !*joined.Recovered)
		if missed.all > 20 {
			assert.Equal(t, "truncated", string(joined.Reason))
			assert.Positive(t, joined.Spread)
		}
		// It goes on from where the room is now.
		worker.publish(t, 1)
		meshtest.Eventually(t, func() bool {
			got := numbers(t, sub.frames(t, wire.OpEvent))
			return len(got) > 0 && got[len(got)-1] == worker.published
		}, "the event after the join")
		require.Equal(t, statusOK, sub.stop(t))
	}
}

func TestSub_JoinsTheRoomsItMayAndPrintsWhichItMayNot(t *testing.T) {
	nats := meshtest.Start(t)
	server := startServer(t, nats.URL)
	worker := newWorker(t, nats, "campaign:42")
	sub := startSub(t, nil, "campaign:42", "secret:7", "campaign:42", "--url", server.url())
	sub.await(t, wire.OpJoined, 1)
	denied := sub.await(t, wire.OpDenied, 1)[0]
	assert.Equal(t, "secret:7", denied.Room)
	assert.Equal(t, wire.DeniedForbidden, denied.Code)
	worker.publish(t, 2)
	sub.await(t, wire.OpEvent, 2)
	assert.Equal(t, statusOK, sub.stop(t))
	assert.Len(t, sub.frames(t, wire.OpWelcome), 1)
	assert.Len(t, sub.frames(t, wire.OpJoined), 1)
	assert.Equal(t, upTo(1, 2), numbers(t, sub.frames(t, wire.OpEvent)))
}

func TestSub_WhenEveryRoomIsDeniedFails(t *testing.T) {
	server := startServer(t, meshtest.Start(t).URL, "--log-level=debug")
	sub := startSub(t, nil, "secret:7", "secret:8", "--url", server.url())
	assert.Equal(t, statusFailed, sub.exit(t))
	assert.Len(t, sub.frames(t, wire.OpDenied), 2)
	assert.Contains(t, sub.awaitNote(t, "every room was denied"), "the token does not grant this room")
	meshtest.Eventually(t, func() bool { return server.logged("closing", "code", 1000.0) }, "a normal close")
}

func TestSub_ManyRoomsWithALargeTokenFitIntoTheLimitOfMessages(t *testing.T) {
	server := startServer(t, meshtest.Start(t).URL)
	var rooms []string
	for n := range 100 {
		rooms = append(rooms, fmt.Sprintf("campaign:%0100d", n))
	}
	grants := []string{"campaign:*"}
	for n := range 40 {
		grants = append(grants, fmt.Sprintf("filler:%0100d", n))
	}
	env := []string{"TIDINGS_TOKEN=" + testToken(t, "alice", grants...)}
	sub := startSub(t, env, append(rooms, "--url", server.url())...)
	sub.await(t, wire.OpJoined, 100)
	assert.Equal(t, statusOK, sub.stop(t))
}

func TestSub_ATokenThatIsRefusedOrExpiresEndsIt(t *testing.T) {
	server := startServer(t, meshtest.Start(t).URL, "--leeway=0s")
	signed := func(secret string, lasts time.Duration) func() string {
		return func() string {
			token, err := authz.Sign([]byte(secret), authz.TokenClaims{Subject: "alice", Rooms: []string{"campaign:*"}, Expires: time.Now().Add(lasts)})
			require.NoError(t, err)
			return token
		}
	}
	for name, c := range map[string]struct {
		token func() string // made when it is shown: it has to be good for so long
		want  string
	}{
		"expires while connected": {signed(testSecret, 3*time.Second), "token expired"},
		"expired":                 {signed(testSecret, -time.Minute), "expired"},
		"signed by someone else":  {signed(strings.Repeat("x", 32), time.Hour), "signature"},
		"no token at all":         {func() string { return "rubbish" }, "token refused"},
	} {
		t.Run(name, func(t *testing.T) {
			token := c.token()
			sub := startSub(t, []string{"TIDINGS_TOKEN=" + token}, "campaign:42", "--url", server.url())
			assert.Equal(t, statusFailed, sub.exit(t))
			note := sub.awaitNote(t, "closed with 4401: token rejected")
			assert.Contains(t, note, c.want)
			assert.Contains(t, note, "get a new one and give it as TIDINGS_TOKEN")
			assert.NotContains(t, note, token)
		})
	}
}

func TestSub_WaitsAsLongAsTheServerSaysWhenALimitIsReached(t *testing.T) {
	server := startServer(t, meshtest.Start(t).URL, "--max-per-user=1")
	first := startSub(t, nil, "campaign:42", "--url", server.url())
	first.await(t, wire.OpJoined, 1)
	second := startSub(t, nil, "campaign:42", "--url", server.url())
	assert.Regexp(t, `limit of connections per user is 1; trying ws://\S+ in 3[01]\.\ds$`, second.awaitNote(t, "closed with 4429"))
	assert.Equal(t, statusOK, second.stop(t), "an interrupt does not wait")
}

func TestSub_AnInterruptClosesNormally(t *testing.T) {
	nats := meshtest.Start(t)
	server := startServer(t, nats.URL, "--log-level=debug")
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer func() { _ = read.Close() }()
	env := []string{"TIDINGS_TOKEN=" + testToken(t, "alice", "campaign:*")}
	sub := startProcess(t, env, write, "sub", "campaign:42", "--url", server.url())
	require.NoError(t, write.Close())
	first := json.NewDecoder(read)
	for range 2 {
		require.NoError(t, first.Decode(&wire.ServerFrame{}))
	}
	sub.signal(t, os.Interrupt)
	assert.Equal(t, statusOK, sub.exit(t))
	assert.Len(t, sub.stderr.lines(), 2, "connected and where it stands")
	meshtest.Eventually(t, func() bool { return server.logged("closing", "code", 1000.0) }, "a normal close")
}

func TestSub_EndsQuietlyWhenNobodyReadsItsOutput(t *testing.T) {
	nats := meshtest.Start(t)
	server := startServer(t, nats.URL, "--log-level=debug")
	worker := newWorker(t, nats, "campaign:42")
	read, write, err := os.Pipe()
	require.NoError(t, err)
	env := []string{"TIDINGS_TOKEN=" + testToken(t, "alice", "campaign:*")}
	sub := startProcess(t, env, write, "sub", "campaign:42", "--url", server.url())
	require.NoError(t, write.Close())
	first := json.NewDecoder(read)
	for range 2 {
		require.NoError(t, first.Decode(&wire.ServerFrame{}))
	}
	require.NoError(t, read.Close())
	worker.publish(t, 1)
	assert.Equal(t, statusOK, sub.exit(t))
	assert.NotContains(t, strings.Join(sub.stderr.lines(), "\n"), "pipe")
	meshtest.Eventually(t, func() bool { return server.logged("closing", "code", 1000.0) }, "a normal close")
}

func TestSub_AnAddressWhereNoServerIsFails(t *testing.T) {
	server := startServer(t, meshtest.Start(t).URL)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, server.url(), http.StatusFound)
		} else {
			_, _ = w.Write([]byte("<html>hello</html>"))
		}
	}))
	defer web.Close()
	elsewhere := "ws" + strings.TrimPrefix(web.URL, "http")
	for name, c := range map[string]struct{ url, want string }{
		"another path":      {"ws://" + server.http + "/socket", "refused with HTTP 404 Not Found"},
		"the other port":    {"ws://" + server.admin + "/ws", "refused with HTTP 404 Not Found"},
		"another server":    {elsewhere + "/?token=abc", "refused with HTTP 200 OK; is the address right? A server answers at /ws"},
		"a redirect":        {elsewhere + "/moved", `it points to "ws://` + server.http + `/ws"; give the address itself`},
		"a second that is ": {elsewhere, "is the address right?"},
	} {
		t.Run(name, func(t *testing.T) {
			sub := startSub(t, nil, "campaign:42", "--url", c.url, "--url", server.url())
			assert.Equal(t, statusFailed, sub.exit(t))
			assert.Empty(t, sub.stdout.lines())
			note := sub.awaitNote(t, "tidings sub: "+showURL(c.url)+": ")
			assert.Contains(t, note, c.want)
			assert.NotContains(t, note, "abc")
		})
	}
}

func TestSub_WaitsForAServerThatIsNotThereYet(t *testing.T) {
	address := port.Address(t)
	sub := startSub(t, nil, "campaign:42", "--url", "ws://"+address+"/ws")
	assert.Regexp(t, `connection refused; trying ws://\S+ in (0\.\d|1\.0)s$`, sub.awaitNote(t, "lost ws://"+address))
	startServer(t, meshtest.Start(t).URL, "--http", address)
	sub.await(t, wire.OpJoined, 1)
	assert.Equal(t, statusOK, sub.stop(t))
}

func TestSub_RefusesWhatCannotWorkBeforeItConnects(t *testing.T) {
	token := []string{"TIDINGS_TOKEN=abc"}
	position := `{"epoch":"e","seq":7}`
	for name, c := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"no token":              {nil, []string{"campaign:42"}, "no token to show: give --token or, better, TIDINGS_TOKEN"},
		"how to get a token":    {nil, []string{"campaign:42"}, `"tidings token --sub alice --room campaign:42" signs one`},
		"no room":               {token, nil, `expected "<room> ..."`},
		"nonsense room":         {token, []string{"campaign"}, `"campaign" has no ':'`},
		"HTTP address":          {token, []string{"campaign:42", "--url", "http://h/ws"}, `--url: "http://h/ws" is no WebSocket address; write ws://host:port/ws or wss://host/ws`},
		"no address":            {token, []string{"campaign:42", "--url", "localhost:8080"}, `is no WebSocket address`},
		"no host":               {token, []string{"campaign:42", "--url", "ws:///ws"}, `is no WebSocket address`},
		"credentials":           {token, []string{"campaign:42", "--url", "ws://a:hunter2@h/ws"}, `--url: "ws://[redacted]@h/ws" holds credentials`},
		"address in variable":   {append(token, "TIDINGS_URL=ws://h/ws,h"), []string{"campaign:42"}, `TIDINGS_URL: "h" is no WebSocket address`},
		"empty list":            {append(token, "TIDINGS_URL="), []string{"campaign:42"}, `TIDINGS_URL: is an empty list`},
		"position of two rooms": {token, []string{"campaign:42", "campaign:43", "--since", position}, "--since: is a position in one room, but 2 are given"},
		"position no JSON":      {token, []string{"campaign:42", "--since", "1042"}, `--since: is no position like {"epoch":"…","seq":1042,"id":"…","ts":1732390000123}`},
		"position of a frame":   {token, []string{"campaign:42", "--since", `{"op":"joined","position":{}}`}, `unknown field "op"`},
		"position cut off":      {token, []string{"campaign:42", "--since", `{"epoch":"e","seq":7`}, "unexpected EOF"},
		"two positions":         {token, []string{"campaign:42", "--since", position + position}, "has something behind the position"},
		"no epoch":              {token, []string{"campaign:42", "--since", `{"seq":7}`}, "needs epoch and seq"},
		"no sequence":           {token, []string{"campaign:42", "--since", `{"epoch":"e"}`}, "needs epoch and seq"},
		"sequence 0":            {token, []string{"campaign:42", "--since", `{"epoch":"e","seq":0}`}, "seq is 0, want 1 to 9007199254740992"},
		"negative sequence":     {token, []string{"campaign:42", "--since", `{"epoch":"e","seq":-7}`}, "number -7"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, c.env, append([]string{"sub"}, c.args...)...)
			assert.Equal(t, statusUsage, got.status)
			assert.Empty(t, got.stdout)
			assert.Contains(t, got.stderr, c.want)
			assert.NotContains(t, got.stderr, "hunter2")
		})
	}
}
