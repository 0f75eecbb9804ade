package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
