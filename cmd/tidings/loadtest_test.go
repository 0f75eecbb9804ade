//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
)

// brief are flags that make a scenario take a second or two.
var brief = []string{"--clients", "20", "--duration", "1s", "--warmup", "200ms", "--repeat", "1"}

// loadtest runs a scenario against s, with further flags, and returns the folder of its report beside what a user sees.
func loadtest(t *testing.T, s *served, args ...string) (result, string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "report")
	env := []string{"TIDINGS_URL=ws" + strings.TrimPrefix(s.page, "http") + "ws", "TIDINGS_NATS=" + s.nats, "TIDINGS_OUT=" + out}
	return run(t, env, append(append([]string{"loadtest", "run"}, args...), brief...)...), out
}

// outcome is the report's data.
func outcome(t *testing.T, folder string) *report.Result {
	t.Helper()
	r, err := report.Load(filepath.Join(folder, reportData))
	require.NoError(t, err)
	return r
}

func TestLoadtest_NeedsNothingButAServerForTryingOut(t *testing.T) {
	s := startDev(t)
	got, out := loadtest(t, s, "wide", "--slo", "none")
	require.Equal(t, statusOK, got.status, got.stderr)

	r := outcome(t, out)
	require.Len(t, r.Runs, 1)
	assert.Equal(t, "wide", r.Scenario)
	assert.Equal(t, []string{"tidings", "loadtest", "run", "wide", "--clients", "20"}, r.Args[:6])
	assert.Equal(t, 20, r.Runs[0].Connect.Succeeded)
	assert.Equal(t, r.Runs[0].Publish.Acked*20, r.Runs[0].Deliver.Received)
	require.Len(t, r.Runs[0].Processes, 1, "found by its ports; NATS is inside")
	assert.Equal(t, os.Getpid(), r.Runs[0].Processes[0].PID)

	page, err := os.ReadFile(filepath.Join(out, reportPage))
	require.NoError(t, err)
	assert.Contains(t, string(page), "<svg")
	assert.Contains(t, got.stdout, filepath.Join(out, reportPage))
	assert.Contains(t, got.stdout, "20 clients in 1 room")
	assert.Regexp(t, `(?s)^prepare, 0/20 connected\n.*measure \ds/1s, 20/20 connected.*\ndone, 20/20 connected\n$`, got.stderr)
	assert.NotContains(t, got.stderr, "\x1b", "no terminal, no escapes")
}

func TestLoadtest_ObjectivesDecideTheStatus(t *testing.T) {
	s := startDev(t)
	objectives := func(text string) string {
		path := filepath.Join(t.TempDir(), "slo.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	got, _ := loadtest(t, s, "wide", "--slo", objectives("missing: 0\n"))
	assert.Equal(t, statusOK, got.status, got.stderr)
	assert.Contains(t, got.stdout, "PASSED")

	got, out := loadtest(t, s, "wide", "--slo", objectives("latency-p50: below 1us\n"))
	assert.Equal(t, statusFailed, got.status)
	assert.Contains(t, got.stdout, "FAILED")
	assert.Contains(t, got.stderr, "tidings loadtest run: the objectives are missed")
	assert.NotEmpty(t, outcome(t, out).Runs)
}

func TestLoadtest_TokensComeFromASecretOrACommand(t *testing.T) {
	s := startDev(t, "--jwt-secret", testSecret, "--audience", "tidings", "--issuer", "https://id.example.com")
	got, out := loadtest(t, s, "narrow", "--rooms", "4", "--rate", "40", "--slo", "none",
		"--jwt-secret", testSecret, "--audience", "tidings", "--issuer", "https://id.example.com")
	require.Equal(t, statusOK, got.status, got.stderr)
	text, err := os.ReadFile(filepath.Join(out, reportData))
	require.NoError(t, err)
	assert.NotContains(t, string(text), testSecret)

	// The page's own tokens for alice are as good for everybody as she may have connections.
	session := fetch(t, http.MethodGet, s.page+"dev/session?user=alice", "", nil)
	var alice devSession
	require.NoError(t, json.Unmarshal([]byte(session.body), &alice))
	mine := filepath.Join(t.TempDir(), "mine.yaml")
	require.NoError(t, os.WriteFile(mine, []byte("clients: 1\ngroups: [{kind: settlement, rooms: 1, rate: 10}]\n"), 0o600))
	got, out = loadtest(t, s, mine, "--slo", "none", "--token-command", `while read -r line; do echo "`+alice.Token+`"; done`)
	require.Equal(t, statusOK, got.status, got.stderr)
	assert.Equal(t, "mine", outcome(t, out).Scenario)

	got, _ = loadtest(t, s, "wide", "--token-command", "echo one")
	assert.Equal(t, statusFailed, got.status)
	assert.Contains(t, got.stderr, `"echo one" wrote 1 tokens for 20 lines; it has to write one for each`)
	got, _ = loadtest(t, s, "wide", "--token-command", "echo no >&2; exit 3")
	assert.Contains(t, got.stderr, "exit status 3: no")
}

func TestLoadtest_WhatIsNotThereEndsWithAReport(t *testing.T) {
	s := startDev(t)
	nobody := "ws://127.0.0.1:1/ws"
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no server to ask for tokens": {[]string{"wide", "--url", nobody}, "connection refused"},
		"no server":                   {[]string{"wide", "--url", nobody, "--jwt-secret", testSecret}, "none of 20 clients got in: refused (20)"},
		"another secret":              {[]string{"wide", "--jwt-secret", testSecret}, "none of 20 clients got in: close 4401"},
		"no NATS":                     {[]string{"wide", "--nats", "nats://127.0.0.1:1"}, "publisher: NATS at nats://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			got, out := loadtest(t, s, c.args...)
			assert.Equal(t, statusFailed, got.status)
			assert.Contains(t, got.stderr, c.want)
			assert.Contains(t, got.stdout, "ended early")
			assert.Contains(t, outcome(t, out).Runs[0].Error, c.want)
		})
	}
}

func TestLoadtest_AServerWithoutDevSaysWhatToGive(t *testing.T) {
	server := http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	ln, err := listen(t.Context(), "http", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		assert.NoError(t, server.Close())
		assert.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	got := run(t, nil, "loadtest", "run", "wide", "--url", "ws://"+ln.Addr().String()+"/ws", "--out", t.TempDir())
	assert.Equal(t, statusFailed, got.status)
	assert.Contains(t, got.stderr, "it gives out no tokens: 404 Not Found")
	assert.Contains(t, got.stderr, "Give its secret as TIDINGS_JWT_SECRET, or a --token-command")
}

func TestLoadtest_WrongSettingsAreNamedBeforeAnythingStarts(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte("clients: 10\ngroups:\n  - kind: wide\n    rums: 1\n"), 0o600))
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown scenario":          {[]string{"wyde"}, `did you mean wide?`},
		"a wrong file":              {[]string{broken}, broken + `:4: `},
		"no clients":                {[]string{"wide", "--clients", "0"}, "clients"},
		"no WebSocket":              {[]string{"wide", "--url", "http://127.0.0.1:8080/"}, `is no WebSocket address`},
		"TLS":                       {[]string{"wide", "--url", "wss://example.com/ws"}, "speak no TLS"},
		"no NATS address":           {[]string{"wide", "--nats", "localhost"}, "is no NATS address"},
		"two sources of tokens":     {[]string{"wide", "--jwt-secret", testSecret, "--token-command", "cat"}, "excludes --jwt-secret"},
		"a fault without a command": {[]string{"storm"}, "--fault-command: the scenario has a kill: give a command that does it"},
		"no objectives":             {[]string{"wide", "--slo", "/does/not/exist"}, "--slo: "},
		"a rate that is none":       {[]string{"wide", "--rate", "fast"}, `"fast" is no number of 0 or more`},
		"no process":                {[]string{"wide", "--pid", "0"}, "0 is no process"},
		"no such reports":           {nil, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"loadtest", "run"}, c.args...)
			if c.args == nil {
				args = []string{"loadtest", "compare", "a.json", "b.json"}
			}
			got := run(t, nil, args...)
			assert.Equal(t, statusUsage, got.status)
			assert.Empty(t, got.stdout)
			assert.Contains(t, got.stderr, c.want)
			assert.NoFileExists(t, reportPage)
		})
	}
}

func TestLoadtest_ComparesTwoReports(t *testing.T) {
	s := startDev(t)
	_, before := loadtest(t, s, "wide", "--slo", "none")
	_, after := loadtest(t, s, "wide", "--slo", "none")
	got := run(t, nil, "loadtest", "compare", before, filepath.Join(after, reportData))
	require.Equal(t, statusOK, got.status, got.stderr)
	assert.Contains(t, got.stdout, "latency, p95")
}

func TestLoadtest_ScenariosAreListedAndPrintedToStartFrom(t *testing.T) {
	got := run(t, nil, "loadtest", "scenarios")
	require.Equal(t, statusOK, got.status)
	for _, name := range scenario.Bundled() {
		assert.Regexp(t, `(?m)^`+name+` +\S.*\S$`, got.stdout)

		printed := run(t, nil, "loadtest", "scenarios", name)
		require.Equal(t, statusOK, printed.status)
		_, err := scenario.Read(name+".yaml", strings.NewReader(printed.stdout))
		assert.NoError(t, err)
	}
	got = run(t, nil, "loadtest", "scenarios", "strom")
	assert.Equal(t, statusUsage, got.status)
	assert.Contains(t, got.stderr, "did you mean storm?")
}

func TestDevTokens_AreForWhoeverAsks(t *testing.T) {
	s := startDev(t, "--jwt-secret", testSecret)
	ask := func(body string) answer { return fetch(t, http.MethodPost, s.page+"dev/tokens", body, asJSON) }
	got := ask(`{"for":[{"sub":"carol","rooms":["campaign:1","settlement:*"]},{"sub":"dave"}]}`)
	require.Equal(t, http.StatusOK, got.status, got.body)
	var tokens devTokensAnswer
	require.NoError(t, json.Unmarshal([]byte(got.body), &tokens))
	require.Len(t, tokens.Tokens, 2)

	for body, status := range map[string]int{
		`{"for":[]}`:           http.StatusBadRequest,
		`nothing`:              http.StatusBadRequest,
		`{"for":[{"sub":""}]}`: http.StatusUnprocessableEntity,
		`{"for":[{"sub":"carol","rooms":["campaign"]}]}`:                        http.StatusUnprocessableEntity,
		`{"for":[` + strings.Repeat(`{"sub":"a"},`, maxDevTokens) + `{}]}`:      http.StatusBadRequest,
		`{"for":[{"sub":"` + strings.Repeat("a", maxDevTokensBody) + `"}]}`:     http.StatusRequestEntityTooLarge,
		`{"for":[{"sub":"carol","rooms":["campaign:1"]},{"sub":"\u0000dave"}]}`: http.StatusUnprocessableEntity,
	} {
		assert.Equal(t, status, ask(body).status, "%.60s", body)
	}
	assert.Equal(t, http.StatusUnsupportedMediaType, fetch(t, http.MethodPost, s.page+"dev/tokens", `{}`, nil).status)
	foreign := http.Header{"Content-Type": {"application/json"}, "Sec-Fetch-Site": {"cross-site"}}
	assert.Equal(t, http.StatusForbidden, fetch(t, http.MethodPost, s.page+"dev/tokens", `{}`, foreign).status)
}

func TestProgress_FitsTheTerminal(t *testing.T) {
	escapes := regexp.MustCompile(`\x1b\[[0-9;]*m`)
	s := runner.Snapshot{
		Run: 2, Runs: 3, Phase: runner.PhaseMeasure, Elapsed: 12 * time.Second, Length: 30 * time.Second,
		Clients: 10_000, Connected: 9_998, Failed: 2, PublishedPerSecond: 10, ReceivedPerSecond: 99_980,
		P50: 12_340 * time.Microsecond, P99: 101 * time.Millisecond, CPU: 1.204, RSS: 44 << 20, Harness: 0.31, Fault: "kill",
		Errors: map[string]int{"refused": 7, "a reason that is much longer than any terminal is wide, and nobody wants to see all of it": 9},
	}
	for _, width := range []int{narrowest, usualTerminal, widest} {
		lines := progressLines(s, width)
		for _, line := range lines {
			assert.LessOrEqual(t, len([]rune(escapes.ReplaceAllString(line, ""))), width, line)
		}
		all := escapes.ReplaceAllString(strings.Join(lines, "\n"), "")
		for _, want := range []string{"run 2 of 3, measure", "9998 of 10000 clients, 2 fa", "12.34 ms", "1.20 CPUs, 44 MiB", "31 % busy", "kill"} {
			assert.Contains(t, all, want)
		}
	}
	assert.Equal(t, "run 2/3 measure 12s/30s, 9998/10000 connected, 10/s published, 100.0k/s received, p50 12.34 ms p99 101.00 ms, fault: kill, "+
		"errors: a reason that is much longer than any terminal is wide, and nobody wants to see all of it ×9, refused ×7", plainLine(s))
}

func TestProgress_WithoutATerminalIsALinePerChange(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, false)
	for i := range 3 {
		for range 10 {
			p.update(runner.Snapshot{Phase: []runner.Phase{runner.PhaseConnect, runner.PhaseMeasure, runner.PhaseDone}[i], Clients: 5})
		}
	}
	p.end()
	assert.Equal(t, "connect, 0/5 connected\nmeasure, 0/5 connected\ndone, 0/5 connected\n", out.String())
}
