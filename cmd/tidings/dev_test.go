package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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
	}, 30*time.Second, 20*time.Millisecond)
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
	live, err := nc.SubscribeSync("live.>")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())

	got := fetch(t, http.MethodPost, s.page+"dev/publish", publishBody(t, "settlement:Zürich", "dice_rolled", `{"eyes": [6, 1.50, 12345678901234567890]}`), asJSON)
	require.Equal(t, http.StatusOK, got.status, got.body)
	var stored devPublished
	require.NoError(t, json.Unmarshal([]byte(got.body), &stored))

	m, err := live.NextMsgWithContext(within(t))
	require.NoError(t, err)
	room, err := subjects.ParseLive(m.Subject)
	require.NoError(t, err)
	assert.Equal(t, "settlement:Zürich", room.String())
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

// The commands that are printed are run as they are, by a shell in another folder, against the binary that printed them.
func TestDev_PrintedCommandsWork(t *testing.T) {
	folder := t.TempDir()
	binary := filepath.Join(folder, "bin of mine", "tidings") // a path that needs quotes
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	ctx, cancel := context.WithCancel(t.Context())
	server := exec.CommandContext(ctx, binary, "serve", "--dev", "--data", "data", "--drain", "0s",
		"--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0")
	server.Dir, server.Env, server.Stderr = folder, []string{"PATH=" + os.Getenv("PATH")}, t.Output()
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	stdout, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	defer func() {
		cancel()
		_ = server.Wait() // it was interrupted
	}()
	var token, sub, pub string
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		switch line := strings.TrimSpace(lines.Text()); {
		case strings.HasPrefix(line, "export TIDINGS_TOKEN=") && token == "":
			token = line
		case strings.Contains(line, "tidings' sub "):
			sub = line
		case strings.Contains(line, "tidings' pub "):
			pub = line
		}
		if strings.HasPrefix(lines.Text(), "Any NATS client") {
			break
		}
	}
	require.NotEmpty(t, token)
	shell := func(ctx context.Context, script string) *exec.Cmd {
		c := exec.CommandContext(ctx, "sh", "-c", script)
		c.Dir, c.Env, c.Stderr = t.TempDir(), []string{"PATH=" + os.Getenv("PATH")}, t.Output()
		return c
	}

	watch := shell(ctx, token+"\nexec "+sub)
	watch.Cancel = func() error { return watch.Process.Signal(os.Interrupt) }
	frames, err := watch.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, watch.Start())
	seen := bufio.NewScanner(frames)
	line := func(op string) string {
		for seen.Scan() {
			if strings.Contains(seen.Text(), `"op":"`+op+`"`) {
				return seen.Text()
			}
		}
		return ""
	}
	require.Contains(t, line("joined"), `"room":"campaign:42"`)

	out, err = shell(within(t), pub).Output()
	require.NoError(t, err)
	seq := strings.TrimSpace(string(out))
	assert.Regexp(t, `^[0-9]+$`, seq)
	assert.Contains(t, line("event"), `"seq":`+seq+`,`)
	cancel()
	_ = watch.Wait() // it was interrupted
}

func TestDev_HintsNameWhatCanBeReached(t *testing.T) {
	for name, c := range map[string]struct {
		config           ServeConfig
		http, nats       string
		page, socket, to string
	}{
		"all interfaces": {
			ServeConfig{},
			"[::]:8080", "nats://0.0.0.0:4222",
			"http://localhost:8080/", "ws://localhost:8080/ws", "--nats nats://localhost:4222\n",
		},
		"one address": {
			ServeConfig{},
			"192.0.2.7:80", "nats://127.0.0.1:4222",
			"http://192.0.2.7:80/", "ws://192.0.2.7:80/ws", "--nats nats://127.0.0.1:4222\n",
		},
		"IPv6": {
			ServeConfig{},
			"[::1]:8080", "nats://[::1]:4222",
			"http://[::1]:8080/", "'ws://[::1]:8080/ws'", "--nats 'nats://[::1]:4222'\n",
		},
		"TLS": {
			ServeConfig{TLSCert: "cert.pem"},
			"0.0.0.0:443", "nats://127.0.0.1:4222",
			"https://localhost:443/", "wss://localhost:443/ws", "--nats nats://127.0.0.1:4222\n",
		},
		"an external NATS with a login": {
			ServeConfig{NATS: "tls://a:4222,tls://b:4222", NATSLogin: NATSLogin{NATSUser: "it's me", NATSPassword: "hunter2", NATSCA: "/etc/ca.pem", NATSInbox: "_INBOX_worker"}},
			"127.0.0.1:8080", "tls://a:4222,tls://b:4222",
			"http://127.0.0.1:8080/", "ws://127.0.0.1:8080/ws",
			`--nats tls://a:4222,tls://b:4222 --nats-user 'it'\''s me' --nats-ca /etc/ca.pem --nats-inbox _INBOX_worker # with TIDINGS_NATS_PASSWORD set` + "\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.JWTSecret = testSecret
			var out strings.Builder
			require.NoError(t, c.config.printDev(&out, "/opt/my tidings", listening(c.http), listening("127.0.0.1:9090"), c.nats))
			hints := out.String()
			assert.Contains(t, hints, "page        "+c.page+"\n")
			assert.Contains(t, hints, "'/opt/my tidings' sub campaign:42 --url "+c.socket+"\n")
			assert.Contains(t, hints, `'/opt/my tidings' pub campaign:42 settlement_updated '{"id":"17","version":1}' `+c.to)
			assert.Contains(t, hints, "http://127.0.0.1:9090/readyz")
			assert.NotContains(t, hints, "hunter2")
			assert.NotContains(t, hints, testSecret)
		})
	}
}

// listening is an address as a listener has it.
type listening string

func (listening) Network() string  { return "tcp" }
func (a listening) String() string { return string(a) }

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
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
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
