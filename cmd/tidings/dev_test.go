package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/subjects"
	"github.com/tidingsmesh/tidings/subjects/schema"
)

// served is a running serve.
type served struct {
	page  string // URL of the page, with a slash at its end
	admin string // URL of the operators' listener
	nats  string // URL of the embedded NATS
	hints string // everything it printed
	stop  func() // ends it and waits
}

var (
	pageURL  = regexp.MustCompile(`page +(https?://\S+/)`)
	adminURL = regexp.MustCompile(`(http://\S+)/readyz`)
	natsURL  = regexp.MustCompile(`--nats (nats://\S+)`)
)

// startDev runs serve --dev in process, at ports that were free, and returns when it can be used.
func startDev(t *testing.T, args ...string) *served {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	m := Main{
		Args: append([]string{
			"serve", "--dev", "--data", t.TempDir(), "--drain", "0s",
			"--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0",
		}, args...),
		Stdin: strings.NewReader(""), Stdout: write, Stderr: t.Output(),
	}
	ended := make(chan int, 1)
	go func() {
		ended <- m.Run(ctx)
		_ = write.Close()
	}()
	s := &served{stop: func() {
		cancel()
		_, _ = io.Copy(io.Discard, read)
		if status, ok := <-ended; ok {
			assert.Equal(t, statusOK, status)
			close(ended)
		}
	}}
	t.Cleanup(s.stop)

	for lines := bufio.NewScanner(read); lines.Scan(); {
		s.hints += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "Any NATS client") {
			break
		}
	}
	find := func(what *regexp.Regexp) string {
		found := what.FindStringSubmatch(s.hints)
		require.NotNil(t, found, "%s in %q", what, s.hints)
		return found[1]
	}
	s.page, s.admin, s.nats = find(pageURL), find(adminURL), find(natsURL)
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		assert.Equal(t, http.StatusOK, fetch(t, http.MethodGet, s.admin+"/readyz", "", nil).status)
	}, patience, 20*time.Millisecond)
	return s
}

// answer is what an HTTP request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// fetch makes one request on a connection of its own.
func fetch(t require.TestingT, method, url, body string, header http.Header) answer {
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Close = true
	maps.Copy(r.Header, header)
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header, string(text)}
}

var asJSON = http.Header{"Content-Type": {"application/json"}}

// publishBody is the body of POST /dev/publish.
func publishBody(t *testing.T, room, eventType, data string) string {
	t.Helper()
	text, err := json.Marshal(devRequest{Room: room, Type: eventType, Data: data})
	require.NoError(t, err)
	return string(text)
}

func TestDev_ThePageIsNeverServedWithoutTheFlag(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	logs, write := io.Pipe()
	m := Main{
		Args: []string{
			"serve", "--jwt-secret", testSecret, "--data", t.TempDir(), "--drain", "0s", "--log-format", "json",
			"--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0",
		},
		Stdin: strings.NewReader(""), Stdout: t.Output(), Stderr: write,
	}
	ended := make(chan int, 1)
	go func() {
		ended <- m.Run(ctx)
		_ = write.Close()
	}()
	defer func() {
		cancel()
		_, _ = io.Copy(io.Discard, logs)
		assert.Equal(t, statusOK, <-ended)
	}()
	var line struct{ Msg, HTTP string }
	for decoder := json.NewDecoder(logs); line.Msg != "serving"; {
		require.NoError(t, decoder.Decode(&line))
	}
	go func() { _, _ = io.Copy(io.Discard, logs) }()

	at := "http://" + line.HTTP
	for _, path := range []string{"/", "/index.html", "/dev/", "/dev/page.js", "/dev/session?user=alice", "/dev/catalogue"} {
		assert.Equal(t, http.StatusNotFound, fetch(t, http.MethodGet, at+path, "", nil).status, path)
	}
	got := fetch(t, http.MethodPost, at+"/dev/publish", publishBody(t, "campaign:42", "x", ""), asJSON)
	assert.Equal(t, http.StatusNotFound, got.status)
	assert.Equal(t, http.StatusOK, fetch(t, http.MethodGet, at+"/schemas/", "", nil).status)
}

func TestDev_AnswersCarryAStrictPolicyAndAreNotStored(t *testing.T) {
	s := startDev(t)
	for path, mediaType := range map[string]string{
		"":                       "text/html; charset=utf-8",
		"dev/page.css":           "text/css; charset=utf-8",
		"dev/page.js":            "text/javascript; charset=utf-8",
		"dev/client.js":          "text/javascript; charset=utf-8",
		"dev/icon.svg":           "image/svg+xml",
		"dev/session?user=alice": "application/json",
		"dev/session?user=carol": "application/json",
		"dev/catalogue":          "application/json",
		"dev/":                   "text/plain; charset=utf-8", // not found
		"dev/index.html":         "text/plain; charset=utf-8",
		"dev/publish":            "text/plain; charset=utf-8", // GET is not allowed
	} {
		got := fetch(t, http.MethodGet, s.page+path, "", nil)
		assert.Equal(t, mediaType, got.header.Get("Content-Type"), path)
		assert.Equal(t, "no-store", got.header.Get("Cache-Control"), path)
		assert.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"), path)
		assert.Equal(t, "no-referrer", got.header.Get("Referrer-Policy"), path)
		policy := got.header.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self' ws: wss:"} {
			assert.Contains(t, policy, directive, path)
		}
		assert.NotContains(t, policy, "unsafe", path)
	}
}

func TestDev_ThePageNeedsNothingFromElsewhere(t *testing.T) {
	files, err := devFiles.ReadDir("dev")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	elsewhere := regexp.MustCompile(`https?://[^\s"'<>]+|style="|\son[a-z]+="|innerHTML|eval\(`)
	for _, f := range files {
		assert.NotEmpty(t, devTypes[filepath.Ext(f.Name())], f.Name())
		text, err := devFiles.ReadFile("dev/" + f.Name())
		require.NoError(t, err)
		for _, found := range elsewhere.FindAllString(string(text), -1) {
			assert.Equal(t, "http://www.w3.org/2000/svg", found, f.Name())
		}
	}
}

func TestDev_SessionsHoldTokensThatTheServerAccepts(t *testing.T) {
	for name, c := range map[string]ServeConfig{
		"a secret":            {},
		"audience and issuer": {Audience: "tidings", Issuer: "https://id.example"},
	} {
		t.Run(name, func(t *testing.T) {
			c.JWTSecret = testSecret
			verifier, err := authz.NewVerifier(c.tokens(), discard)
			require.NoError(t, err)
			for _, person := range devPeople {
				got := record(&devSessions{config: c}, http.MethodGet, "/dev/session?user="+person.Name)
				require.Equal(t, http.StatusOK, got.status, got.body)
				var session devSession
				require.NoError(t, json.Unmarshal([]byte(got.body), &session))
				p, err := verifier.Verify(t.Context(), session.Token, time.Now())
				require.NoError(t, err)
				assert.Equal(t, person.Name, p.Subject)
				assert.Equal(t, person.Rooms, session.Rooms)
				assert.WithinDuration(t, p.Expires, session.Expires, 0)
			}
		})
	}
}

// --dev has a secret of its own beside the keys of a provider, whose private halves it does not know.
func TestDev_BesideOtherKeysItsTokensAreAccepted(t *testing.T) {
	public, _, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))

	s := startDev(t, "--jwt-key", file)
	var session devSession
	require.NoError(t, json.Unmarshal([]byte(fetch(t, http.MethodGet, s.page+"dev/session?user=bob", "", nil).body), &session))
	conn, _, err := websocket.Dial(within(t), strings.Replace(s.page, "http", "ws", 1)+"ws", &websocket.DialOptions{ //nolint:bodyclose // after an upgrade there is none
		Subprotocols: []string{"tidings.v1"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + session.Token}},
	})
	require.NoError(t, err)
	require.NoError(t, conn.CloseNow())
}

func TestDev_AnUnknownUserGetsNoToken(t *testing.T) {
	got := record(&devSessions{config: ServeConfig{JWTSecret: testSecret}}, http.MethodGet, "/dev/session?user=mallory")
	assert.Equal(t, http.StatusNotFound, got.status)
	assert.JSONEq(t, `{"error":"no user \"mallory\"; there are alice and bob"}`, got.body)
}

func TestDev_EveryExampleFitsItsSchemaAndNoneIsMissing(t *testing.T) {
	registry, err := schema.Load("")
	require.NoError(t, err)
	list, err := devCatalogue(append(registry.Types(), "own_type"))
	require.NoError(t, err)
	require.Len(t, list, len(subjects.Catalogue())+1)
	for _, item := range list {
		if item.Type == "own_type" {
			assert.Empty(t, item.Example)
			continue
		}
		e := subjects.Event{ID: "1", Source: "/test", Type: item.Type, Data: item.Example}
		require.NoError(t, e.Validate())
		assert.NotEmpty(t, item.Example, item.Type)
		assert.NoError(t, registry.Check(e))
	}
}

func TestDev_PublishStoresTheEventAsItWasTyped(t *testing.T) {
	s := startDev(t)
	nc := connect(t, s.nats)
	room := subjects.Room{Kind: "settlement", ID: "Zürich"}
	live, err := nc.SubscribeSync(room.Live())
	require.NoError(t, err)
	require.NoError(t, nc.Flush())

	got := fetch(t, http.MethodPost, s.page+"dev/publish", publishBody(t, room.String(), "dice_rolled", `{"eyes": [6, 1.50, 12345678901234567890]}`), asJSON)
	require.Equal(t, http.StatusOK, got.status, got.body)
	var stored devPublished
	require.NoError(t, json.Unmarshal([]byte(got.body), &stored))

	m, err := live.NextMsgWithContext(within(t))
	require.NoError(t, err)
	e, err := subjects.DecodeEvent(m.Header, m.Data, subjects.Meta{Room: room})
	require.NoError(t, err)
	assert.Equal(t, stored.ID, e.ID)
	assert.Equal(t, "dice_rolled", e.Type)
	assert.Equal(t, `{"eyes":[6,1.50,12345678901234567890]}`, string(e.Data), "numbers keep their digits") //nolint:testifylint // the very text matters
	assert.NotZero(t, stored.Seq)
}

func TestDev_PublishSaysInWordsWhatIsWrong(t *testing.T) {
	s := startDev(t, "--stream-max-message", "2KiB")
	for name, c := range map[string]struct {
		body   string
		header http.Header
		status int
		field  string
		words  string
	}{
		"no room":         {publishBody(t, "campaign", "x", ""), asJSON, http.StatusUnprocessableEntity, "room", `has no ':'`},
		"no type":         {publishBody(t, "campaign:42", "", ""), asJSON, http.StatusUnprocessableEntity, "type", "type is empty"},
		"no JSON":         {publishBody(t, "campaign:42", "x", "{eyes: 6}"), asJSON, http.StatusUnprocessableEntity, "data", "the data is not one JSON value: invalid character 'e'"},
		"two values":      {publishBody(t, "campaign:42", "x", "1 2"), asJSON, http.StatusUnprocessableEntity, "data", "not one JSON value"},
		"not the schema":  {publishBody(t, "campaign:42", "settlement_updated", `{"id": 7}`), asJSON, http.StatusUnprocessableEntity, "data", "settlement_updated: at data/id: got number, want string"},
		"no data":         {publishBody(t, "campaign:42", "settlement_updated", ""), asJSON, http.StatusUnprocessableEntity, "data", "want object"},
		"too large":       {publishBody(t, "campaign:42", "x", `"`+strings.Repeat("x", 4<<10)+`"`), asJSON, http.StatusRequestEntityTooLarge, "data", "max_msg_size"},
		"body too large":  {publishBody(t, "campaign:42", "x", strings.Repeat(" ", maxDevBody)), asJSON, http.StatusRequestEntityTooLarge, "data", "larger than 262144 bytes"},
		"not an object":   {`[1]`, asJSON, http.StatusBadRequest, "", "one JSON object with room, type and data"},
		"data not text":   {`{"room":"campaign:42","type":"x","data":{}}`, asJSON, http.StatusBadRequest, "", "all of them text"},
		"a form":          {"room=campaign:42", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, http.StatusUnsupportedMediaType, "", "application/json"},
		"no content type": {publishBody(t, "campaign:42", "x", ""), nil, http.StatusUnsupportedMediaType, "", "application/json"},
	} {
		t.Run(name, func(t *testing.T) {
			got := fetch(t, http.MethodPost, s.page+"dev/publish", c.body, c.header)
			assert.Equal(t, c.status, got.status)
			var problem devProblem
			require.NoError(t, json.Unmarshal([]byte(got.body), &problem), got.body)
			assert.Equal(t, c.field, problem.Field)
			assert.Contains(t, problem.Error, c.words)
		})
	}
}

func TestDev_PublishTakesNothingFromPagesOfOtherOrigins(t *testing.T) {
	s := startDev(t)
	for name, c := range map[string]struct {
		header http.Header
		status int
	}{
		"fetch metadata of another site": {http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		"fetch metadata of a subdomain":  {http.Header{"Sec-Fetch-Site": {"same-site"}}, http.StatusForbidden},
		"another origin":                 {http.Header{"Origin": {"https://evil.example"}}, http.StatusForbidden},
		"another port":                   {http.Header{"Origin": {"http://127.0.0.1:1"}}, http.StatusForbidden},
		"no origin to tell":              {http.Header{"Origin": {"null"}}, http.StatusForbidden},
		"the page itself":                {http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {strings.TrimSuffix(s.page, "/")}}, http.StatusOK},
		"no browser":                     {http.Header{}, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			c.header.Set("Content-Type", "application/json")
			got := fetch(t, http.MethodPost, s.page+"dev/publish", publishBody(t, "campaign:42", "x", ""), c.header)
			assert.Equal(t, c.status, got.status, got.body)
		})
	}
}

// connect is a plain NATS client.
func connect(t *testing.T, address string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(address)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// within bounds what a test waits for.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

var discard = slog.New(slog.DiscardHandler)

// record asks a handler without a network.
func record(h http.Handler, method, target string) answer {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return answer{w.Code, w.Header(), w.Body.String()}
}
