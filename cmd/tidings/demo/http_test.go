package demo

import (
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/loadtest/runner/child"
)

// site is the handler of a demo whose edges have not been started, at a port of its own.
type site struct {
	*stage
	control *control
	handler http.Handler
	url     string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{stage: newStage(t)}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s.control = &control{worker: s.worker, secret: []byte(strings.Repeat("s", 32)), requests: newRequests()}
	for _, name := range []string{"edge-1", "edge-2"} {
		s.control.edges = append(s.control.edges, newEdge(name, "1"+name[5:], child.New(child.Config{Name: name}), log))
	}
	server := httptest.NewUnstartedServer(nil)
	var err error
	s.handler, err = newHandler(s.control, hostsOf(server.Listener.Addr()), log)
	require.NoError(t, err)
	server.Config.Handler = s.handler
	server.Start()
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// reply is what a request got.
type reply struct {
	status int
	header http.Header
	body   string
}

func (s *site) ask(t *testing.T, method, path, body string, header http.Header) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Close = true
	maps.Copy(r.Header, header)
	if host := header.Get("Host"); host != "" {
		r.Host = host
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return reply{response.StatusCode, response.Header, string(text)}
}

var asJSON = http.Header{"Content-Type": {"application/json"}}

func (s *site) post(t *testing.T, path, body string, into any) {
	t.Helper()
	got := s.ask(t, http.MethodPost, path, body, asJSON)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.NoError(t, json.Unmarshal([]byte(got.body), into))
}

func TestControl_SaysInWordsWhatIsWrong(t *testing.T) {
	s := newSite(t)
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for name, c := range map[string]struct {
		method, path, body string
		header             http.Header
		status             int
		words              string
	}{
		"no burst":            {"POST", "/demo/burst", `{}`, asJSON, 400, "count is 0; want 1 to 1000 events"},
		"burst too large":     {"POST", "/demo/burst", `{"count":1001}`, asJSON, 400, "count is 1001; want 1 to 1000"},
		"burst negative":      {"POST", "/demo/burst", `{"count":-1}`, asJSON, 400, "count is -1"},
		"burst of text":       {"POST", "/demo/burst", `{"count":"x"}`, asJSON, 400, `an object as in {"count":100}`},
		"burst of a fraction": {"POST", "/demo/burst", `{"count":1.5}`, asJSON, 400, `an object as in {"count":100}`},
		"unknown field":       {"POST", "/demo/burst", `{"cuont":1}`, asJSON, 400, `unknown field "cuont"`},
		"no JSON":             {"POST", "/demo/burst", `count=1`, asJSON, 400, `an object as in`},
		"two values":          {"POST", "/demo/burst", `{"count":1}{}`, asJSON, 400, `something follows the object`},
		"empty body":          {"POST", "/demo/burst", ``, asJSON, 400, `an object as in`},
		"a form":              {"POST", "/demo/burst", `count=1`, form, 415, "must be application/json"},
		"a large body":        {"POST", "/demo/burst", `{"count":` + strings.Repeat(" ", maxBody) + `1}`, asJSON, 413, "larger than 4096 bytes"},
		"no pane":             {"POST", "/demo/token", `{}`, asJSON, 400, `no such pane: ""; there are a and b`},
		"another pane":        {"POST", "/demo/token", `{"pane":"c"}`, asJSON, 400, `no such pane: "c"`},
		"ttl too short":       {"POST", "/demo/token", `{"pane":"a","ttl":4}`, asJSON, 400, "ttl is 4; want 5 to 86400 seconds"},
		"ttl too long":        {"POST", "/demo/token", `{"pane":"a","ttl":9223372036854775807}`, asJSON, 400, "want 5 to 86400 seconds"},
		"no rate":             {"POST", "/demo/clock", `{}`, asJSON, 400, "rate must be one of [0 60 3600]"},
		"another rate":        {"POST", "/demo/clock", `{"rate":61}`, asJSON, 400, "rate must be one of"},
		"outlast of nobody":   {"POST", "/demo/outlast", `{"pane":"z"}`, asJSON, 400, `no such pane: "z"`},
		"no such edge":        {"POST", "/demo/edges/edge-3/kill", ``, nil, 404, `no edge "edge-3"`},
		"kill what starts":    {"POST", "/demo/edges/edge-1/kill", ``, nil, 409, "edge-1 is starting"},
		"drain what starts":   {"POST", "/demo/edges/edge-2/drain", ``, nil, 409, "edge-2 is starting"},
		"kill by reading":     {"GET", "/demo/edges/edge-1/kill", ``, nil, 405, "takes POST, not GET"},
		"burst by reading":    {"GET", "/demo/burst", ``, nil, 405, "takes POST, not GET"},
		"config by writing":   {"PUT", "/demo/config", `{}`, asJSON, 405, "takes GET, not PUT"},
		"page by writing":     {"POST", "/", `{}`, asJSON, 405, "takes GET, not POST"},
		"query by reading":    {"GET", "/graphql", ``, nil, 405, "takes POST, not GET"},
		"nothing there":       {"GET", "/demo/", ``, nil, 404, `nothing at "/demo/"`},
		"no listing":          {"GET", "/web/", ``, nil, 404, `nothing at`},
		"no way up":           {"GET", "/..%2fdemo.go", ``, nil, 404, `nothing at`},
		"another site":        {"POST", "/demo/burst", `{"count":1}`, http.Header{"Content-Type": {"application/json"}, "Origin": {"https://evil.example"}}, 403, "another origin"},
		"another port":        {"POST", "/demo/edges/edge-1/kill", ``, http.Header{"Origin": {"http://127.0.0.1:1"}}, 403, "another origin"},
		"fetch metadata":      {"POST", "/graphql", `{}`, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403, "another origin"},
		"a foreign name":      {"GET", "/demo/config", ``, http.Header{"Host": {"evil.example"}}, 421, `not known as "evil.example"; ask for it as 127.0.0.1, localhost`},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.ask(t, c.method, c.path, c.body, c.header)
			assert.Equal(t, c.status, got.status)
			assert.Equal(t, "application/json", got.header.Get("Content-Type"))
			var problem struct{ Error string }
			require.NoError(t, json.Unmarshal([]byte(got.body), &problem), got.body)
			assert.Contains(t, problem.Error, c.words)
			if c.status == http.StatusMethodNotAllowed {
				assert.NotEmpty(t, got.header.Get("Allow"))
			}
		})
	}
	assert.Len(t, s.events(t), 1, "nothing of that was published")
}

func TestControl_TellsWhereTheEdgesAre(t *testing.T) {
	s := newSite(t)
	for host, want := range map[string]string{"": "ws://127.0.0.1:12/ws", "LOCALHOST:99": "ws://localhost:12/ws"} {
		header := http.Header{}
		if host != "" {
			header.Set("Host", host)
		}
		var config struct {
			Room                  string
			Edges                 []struct{ Name, URL string }
			History, RestartAfter int
		}
		require.NoError(t, json.Unmarshal([]byte(s.ask(t, "GET", "/demo/config", "", header).body), &config))
		assert.Equal(t, "campaign:demo", config.Room)
		require.Len(t, config.Edges, 2)
		assert.Equal(t, "edge-2", config.Edges[1].Name)
		assert.Equal(t, want, config.Edges[1].URL)
		assert.Equal(t, 4000, config.RestartAfter)
		assert.Greater(t, config.History, maxBurst)
		var edges []status
		require.NoError(t, json.Unmarshal([]byte(s.ask(t, "GET", "/demo/edges", "", header).body), &edges))
		assert.Equal(t, want, edges[1].URL)
		assert.Equal(t, starting, edges[1].State)
		assert.Zero(t, edges[1].PID)
	}
}

func TestControl_PublishesWhatItIsAskedFor(t *testing.T) {
	s := newSite(t)
	var got span
	s.post(t, "/demo/burst", `{"count":100}`, &got)
	assert.Equal(t, span{First: 2, Last: 101}, got)
	var clock struct{ Rate float64 }
	s.post(t, "/demo/clock", `{"rate":3600}`, &clock)
	assert.InDelta(t, 3600, clock.Rate, 0)
	assert.InDelta(t, 3600, s.world.snapshot().campaign.Rate, 0)
	numbered(t, s.events(t), 1)
	var o overrun
	s.post(t, "/demo/outlast", `{"pane":"b"}`, &o)
	assert.Equal(t, span{First: 103, Last: 103 + history}, o.span)
}

func TestControl_ItsTokensAreOfThePaneAndItsRooms(t *testing.T) {
	s := newSite(t)
	cfg := authz.DefaultConfig()
	cfg.Secret = s.control.secret
	verifier, err := authz.NewVerifier(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for body, want := range map[string]time.Duration{`{"pane":"b"}`: time.Hour, `{"pane":"b","ttl":5}`: 5 * time.Second} {
		var got struct {
			Token   string
			Expires time.Time
		}
		before := time.Now().Truncate(time.Second)
		s.post(t, "/demo/token", body, &got)
		p, err := verifier.Verify(t.Context(), got.Token, before)
		require.NoError(t, err)
		assert.Equal(t, "demo-b", p.Subject)
		assert.WithinDuration(t, p.Expires, got.Expires, 0)
		assert.WithinRange(t, got.Expires, before.Add(want), time.Now().Add(want))
	}
}

func TestPage_FilesAreAskedForAgainAndMostlyUnchanged(t *testing.T) {
	s := newSite(t)
	got := s.ask(t, "GET", "/", "", nil)
	require.Equal(t, http.StatusOK, got.status)
	assert.Equal(t, "text/html; charset=utf-8", got.header.Get("Content-Type"))
	assert.Equal(t, "no-cache", got.header.Get("Cache-Control"))
	assert.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
	again := s.ask(t, "GET", "/", "", http.Header{"If-None-Match": {got.header.Get("ETag")}})
	assert.Equal(t, http.StatusNotModified, again.status)
	assert.Empty(t, again.body)
	assert.Equal(t, http.StatusOK, s.ask(t, "HEAD", "/", "", nil).status)
	assert.Equal(t, http.StatusNotFound, s.ask(t, "GET", "/index.html", "", nil).status, "it has one address")

	policy := got.header.Get("Content-Security-Policy")
	assert.Contains(t, policy, "connect-src 'self' ws://127.0.0.1:11 http://127.0.0.1:11 ws://127.0.0.1:12 http://127.0.0.1:12;")
	assert.Contains(t, policy, "default-src 'none'; script-src 'self'; style-src 'self';")
	assert.NotContains(t, policy, "unsafe")
}

func TestGuard_TheOwnPageMayPost(t *testing.T) {
	s := newSite(t)
	got := s.ask(t, "POST", "/demo/burst", `{"count":1}`, http.Header{
		"Content-Type": {"application/json"}, "Origin": {s.url}, "Sec-Fetch-Site": {"same-origin"},
	})
	assert.Equal(t, http.StatusOK, got.status, got.body)
}

// address is a listener's, as net.Addr.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

func TestHosts_AreThoseAtWhichTheListenerAnswers(t *testing.T) {
	assert.Equal(t, hosts{"127.0.0.1", "localhost"}, hostsOf(address("127.0.0.1:80")))
	assert.Equal(t, hosts{"::1", "localhost"}, hostsOf(address("[::1]:80")))
	assert.Equal(t, hosts{"192.0.2.7"}, hostsOf(address("192.0.2.7:80")))
	assert.Subset(t, hostsOf(address("[::]:80")), hosts{"localhost", "127.0.0.1", "::1"})
	assert.Equal(t, []string{"http://[::1]:80", "http://localhost:80"}, hosts{"::1", "localhost"}.origins("80"))
}
