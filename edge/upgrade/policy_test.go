package upgrade_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/upgrade"
)

// refuseToken is a Check that refuses the token "refuse".
func refuseToken(_ context.Context, r *upgrade.Request) *upgrade.Refusal {
	if r.Token == "refuse" {
		return &upgrade.Refusal{Status: http.StatusTooManyRequests, Reason: "too_many", Message: "come back", RetryAfter: 1500 * time.Millisecond}
	}
	return nil
}

func TestAcceptor_ChecksOrigins(t *testing.T) { bothWays(t, testChecksOrigins) }

func testChecksOrigins(t *testing.T) {
	t.Helper()
	t.Parallel()
	listed := []string{"https://app.example.org", "http://localhost:5173", "https://[2001:db8::1]:8443", "chrome-extension://abc"}
	tests := []struct {
		origins []string
		origin  string
		allowed bool
	}{
		{listed, "https://app.example.org", true},
		{listed, "https://app.example.org:443", true},
		{listed, "HTTPS://App.Example.Org", true},
		{listed, "http://app.example.org", false},
		{listed, "https://app.example.org:80", false},
		{listed, "https://app.example.org.evil.org", false},
		{listed, "https://evil-app.example.org", false},
		{listed, "https://app.example.org@evil.org", false},
		{listed, "https://sub.app.example.org", false},
		{listed, "https://app.example.org/", false},
		{listed, "https://app.example.org:0443", false},
		{listed, "https://app.example.org:+443", false},
		{listed, "https://app.example.org:", false},
		{listed, "https:app.example.org", false},
		{listed, "//app.example.org", false},
		{listed, "http://localhost:5173", true},
		{listed, "http://localhost", false},
		{listed, "https://[2001:DB8:0::1]:8443", true},
		{listed, "https://[2001:db8::1%25eth0]:8443", false},
		{listed, "https://[2001:db8::1]8443", false},
		{listed, "https://[::ffff:1.2.3.4", false},
		{listed, "chrome-extension://abc", true},
		{listed, "chrome-extension://abd", false},
		{listed, "http://server.example.com", false}, // the own host is not listed
		{listed, "null", false},
		{[]string{"null"}, "null", true},
		{[]string{"null"}, "https://app.example.org", false},
		{[]string{"*"}, "null", true},
		{[]string{"*"}, "https://anything", true},
		{nil, "null", false},
		{nil, "chrome-extension://server.example.com", false},
	}
	for _, test := range tests {
		t.Run(test.origin, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(cfg *upgrade.Config) { cfg.Origins = test.origins })
			client := s.dial(t)
			send(t, client, with("Origin: http://server.example.com", "Origin: "+test.origin), false)
			want := http.StatusForbidden
			if test.allowed {
				want = http.StatusSwitchingProtocols
			}
			assert.Equal(t, want, readAnswer(t, client).StatusCode)
		})
	}
}

func TestAcceptor_LetsCheckDecideAndPassAValueOn(t *testing.T) {
	bothWays(t, testLetsCheckDecideAndPassAValueOn)
}

func testLetsCheckDecideAndPassAValueOn(t *testing.T) {
	t.Helper()
	t.Parallel()
	type principal struct{ name string }
	check := func(ctx context.Context, r *upgrade.Request) *upgrade.Refusal {
		deadline, ok := ctx.Deadline()
		assert.True(t, ok)
		assert.WithinDuration(t, time.Now().Add(patience/2), deadline, patience/2)
		r.Value = principal{r.Token + " " + r.Host}
		switch r.Token {
		case "expired":
			return &upgrade.Refusal{Status: http.StatusUnauthorized, Reason: "token_expired", Message: "token expired"}
		case "nothing":
			return &upgrade.Refusal{Reason: "nothing"}
		case "busy":
			return &upgrade.Refusal{Status: http.StatusServiceUnavailable, Reason: "busy", Message: "busy", RetryAfter: time.Minute}
		}
		return refuseToken(ctx, r)
	}
	s := serve(t, func(cfg *upgrade.Config) { cfg.Check = check })

	client := s.dial(t)
	send(t, client, plus("Authorization: Bearer good"), false)
	assert.Equal(t, http.StatusSwitchingProtocols, readAnswer(t, client).StatusCode)
	assert.Equal(t, principal{"good server.example.com"}, s.delivered(t).Request.Value)

	for _, test := range []struct {
		token, reason, body, retry, authenticate string
		status                                   int
	}{
		{"expired", "token_expired", "token expired\n", "", "Bearer", 401},
		{"refuse", "too_many", "come back\n", "2", "", 429},
		{"busy", "busy", "busy\n", "60", "", 503},
		{"nothing", "nothing", "\n", "", "", 403},
	} {
		client := s.dial(t)
		send(t, client, plus("Authorization: Bearer "+test.token), false)
		got := readAnswer(t, client)
		assert.Equal(t, test.status, got.StatusCode)
		assert.Equal(t, test.body, got.body)
		assert.Equal(t, test.retry, got.Header.Get("Retry-After"))
		assert.Equal(t, test.authenticate, got.Header.Get("WWW-Authenticate"))
		assert.Equal(t, test.reason, s.refused(t))
	}
}

func TestAcceptor_LogsRefusalsEscapedAndCutWithoutCredentials(t *testing.T) {
	t.Parallel()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var log bytes.Buffer
	s := serveOn(t, ln, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), nil)
	client := s.dial(t)
	send(t, client, with("/ws", "/ws?token=SECRET", "http://server.example.com\r\n",
		"http://evil\xff\xe2\x80\xa8"+strings.Repeat("x", 1000)+"\r\nAuthorization: Bearer SECRET\r\nCookie: SECRET\r\n"), false)
	assert.Equal(t, http.StatusForbidden, readAnswer(t, client).StatusCode)
	s.refused(t)

	assert.Equal(t, 1, strings.Count(log.String(), "\n"))
	assert.Contains(t, log.String(), "reason=origin status=403 ")
	assert.Contains(t, log.String(), "path=/ws host=server.example.com")
	assert.Contains(t, log.String(), `evil\xff\u2028xxx`)
	assert.NotContains(t, log.String(), "SECRET")
	assert.Less(t, log.Len(), 600)
}

func TestNew_NamesTheSettingThatIsWrong(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*upgrade.Config){
		"path":             func(c *upgrade.Config) { c.Path = "ws" },
		"/a b":             func(c *upgrade.Config) { c.Path = "/a b" },
		"//ws":             func(c *upgrade.Config) { c.Path = "//ws" },
		"subprotocol":      func(c *upgrade.Config) { c.Subprotocol = "a,b" },
		"max head bytes":   func(c *upgrade.Config) { c.MaxHeadBytes = 255 },
		"max headers":      func(c *upgrade.Config) { c.MaxHeaders = 0 },
		"timeout":          func(c *upgrade.Config) { c.Timeout = 0 },
		"max pending":      func(c *upgrade.Config) { c.MaxPending = 0 },
		"Deliver":          func(c *upgrade.Config) { c.Deliver = nil },
		"https://a/b":      func(c *upgrade.Config) { c.Origins = []string{"https://ok", "https://a/b"} },
		"app.example.org":  func(c *upgrade.Config) { c.Origins = []string{"app.example.org"} },
		"https://*.a.org":  func(c *upgrade.Config) { c.Origins = []string{"https://*.a.org"} },
		`origin ""`:        func(c *upgrade.Config) { c.Origins = []string{""} },
		"https://a:100000": func(c *upgrade.Config) { c.Origins = []string{"https://a:100000"} },
	} {
		cfg := upgrade.DefaultConfig()
		cfg.Deliver = func(upgrade.Conn) {}
		require.NoError(t, cfg.Validate())
		change(&cfg)
		_, err := upgrade.New(cfg, slog.New(slog.DiscardHandler))
		require.ErrorIs(t, err, upgrade.ErrConfig)
		assert.Contains(t, err.Error(), want)
	}
}
