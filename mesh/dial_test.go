package mesh

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
)

func TestDial_RefusesWhatWaitingCannotMend(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(empty, []byte("nothing of use"), 0o600))
	url := "nats://127.0.0.1:1"
	for name, c := range map[string]struct {
		cfg  DialConfig
		says string
	}{
		"no address":        {DialConfig{}, "no NATS address"},
		"no URL":            {DialConfig{URL: "nats://[::1"}, "no URL"},
		"other scheme":      {DialConfig{URL: "http://127.0.0.1:4222"}, "want nats://"},
		"no scheme":         {DialConfig{URL: "127.0.0.1:4222"}, "127.0.0.1:4222"},
		"no host":           {DialConfig{URL: "nats://:4222"}, "no host"},
		"path":              {DialConfig{URL: "nats://h:4222/x"}, "nothing may follow"},
		"second is bad":     {DialConfig{URL: "nats://h:4222, ws://h:4222"}, "want nats://"},
		"secret in address": {DialConfig{URL: "nats://u:hunter2@h:4222"}, "credentials"},
		"secret and typo":   {DialConfig{URL: "nats://u:hunter2@h:port"}, "no URL"},
		"password alone":    {DialConfig{URL: url, Password: "hunter2"}, "without a user"},
		"two kinds":         {DialConfig{URL: url, User: "u", CredsFile: empty}, "both"},
		"no such creds":     {DialConfig{URL: url, CredsFile: filepath.Join(dir, "none")}, "no such file"},
		"creds are none":    {DialConfig{URL: url, CredsFile: empty}, "no user JWT"},
		"no such authority": {DialConfig{URL: url, TLS: TLSConfig{CAFile: filepath.Join(dir, "none")}}, "no such file"},
		"authority is none": {DialConfig{URL: url, TLS: TLSConfig{CAFile: empty}}, "no PEM"},
		"key is missing":    {DialConfig{URL: url, TLS: TLSConfig{CertFile: empty}}, "both or neither"},
		"key is none":       {DialConfig{URL: url, TLS: TLSConfig{CertFile: empty, KeyFile: empty}}, "certificate"},
		"inbox wildcard":    {DialConfig{URL: url, InboxPrefix: "_INBOX.>"}, "inbox"},
		"two servers":       {DialConfig{URL: url, Server: &Server{}}, "both"},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := Dial(within(t), c.cfg)
			if err == nil {
				nc.Close()
			}
			require.ErrorIs(t, err, ErrConfig)
			assert.Contains(t, err.Error(), c.says)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrBusy)
	_, err := Dial(ctx, DialConfig{URL: url})
	require.ErrorIs(t, err, ErrBusy)
}

func TestDial_ConnectsWhenTheServerComesLater(t *testing.T) {
	address := port.Address(t)
	var log lines
	connected := make(chan struct{}, 1)
	nc, err := Dial(within(t), DialConfig{URL: "nats://" + address, Log: log.logger(), OnConnect: func() { connected <- struct{}{} }})
	require.NoError(t, err)
	defer nc.Close()
	assert.False(t, nc.IsConnected())
	assert.Error(t, nc.Publish("x", nil), "nothing is kept for later")
	eventually(t, func() bool { return log.count("NATS cannot be reached") == 1 }, "says that it tries on")

	srv, err := StartServer(within(t), ServerConfig{Dir: t.TempDir(), Listen: address}, quiet())
	require.NoError(t, err)
	defer srv.Close()
	<-connected
	assert.Equal(t, 1, log.count("NATS cannot be reached"), "once, not for each attempt")
	require.NoError(t, nc.Publish("x", nil))
}

func TestDial_ComesBackAndTells(t *testing.T) {
	cfg := ServerConfig{Dir: t.TempDir(), Listen: port.Address(t)}
	srv, err := StartServer(within(t), cfg, quiet())
	require.NoError(t, err)
	defer func() { srv.Close() }()

	told := make(chan string, 8)
	nc, err := Dial(within(t), DialConfig{
		URL: srv.ClientURL(), OnConnect: func() { told <- "up" }, OnReconnect: func() { told <- "up again" },
		OnDisconnect: func(error) { told <- "down" },
	})
	require.NoError(t, err)
	sub, err := nc.SubscribeSync("x")
	require.NoError(t, err)
	assert.Equal(t, "up", <-told)
	srv.Close()
	assert.Equal(t, "down", <-told)
	srv, err = StartServer(within(t), cfg, quiet())
	require.NoError(t, err)
	assert.Equal(t, "up again", <-told)
	require.NoError(t, nc.Publish("x", nil))
	_, err = sub.NextMsgWithContext(within(t))
	require.NoError(t, err, "subscriptions come back too")

	nc.Close()
	select {
	case what := <-told:
		t.Fatal("closing is no disconnect: " + what)
	default:
	}
}

// startGuarded runs a server that knows one user and lets a permission be missing.
func startGuarded(t *testing.T, password string) *server.Server {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, Users: []*server.User{{
		Username: "u", Password: password,
		Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"secret.>"}}},
	}}})
	require.NoError(t, err)
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	require.True(t, srv.ReadyForConnections(30*time.Second))
	return srv
}

func TestDial_RefusedCredentialsAreLoggedOnceAndTriedOn(t *testing.T) {
	srv := startGuarded(t, "right")
	var log lines
	nc, err := Dial(within(t), DialConfig{URL: srv.ClientURL(), User: "u", Password: "wrong", Log: log.logger()})
	require.NoError(t, err)
	defer nc.Close()
	eventually(t, func() bool { return log.count("NATS refuses these credentials") == 1 }, "logged")
	eventually(t, func() bool { v, _ := srv.Varz(nil); return v.TotalConnections >= 4 }, "several attempts")
	assert.Equal(t, 1, log.count("NATS refuses these credentials"))
	assert.NotContains(t, log.String(), "wrong")
	assert.False(t, nc.IsClosed())
	assert.False(t, nc.IsConnected())
}

func TestDial_MissingPermissionIsLoggedOnce(t *testing.T) {
	srv := startGuarded(t, "right")
	var log lines
	nc, err := Dial(within(t), DialConfig{URL: srv.ClientURL(), User: "u", Password: "right", Log: log.logger()})
	require.NoError(t, err)
	defer nc.Close()
	for range 5 {
		require.NoError(t, nc.Publish("secret.x", nil))
	}
	require.NoError(t, nc.Flush())
	eventually(t, func() bool { return log.count("NATS does not permit this subject") > 0 }, "logged")
	assert.Equal(t, 1, log.count("NATS does not permit this subject"))
	assert.Contains(t, log.String(), "secret.x")
}

func TestDial_TellsOfDroppedMessages(t *testing.T) {
	srv := startServer(t)
	nc := dial(t, srv)
	slow := make(chan string, 8)
	var log lines
	reader, err := Dial(within(t), DialConfig{Server: srv, Log: log.logger(), OnSlow: func(s *nats.Subscription) { slow <- s.Subject }})
	require.NoError(t, err)
	defer reader.Close()
	_, err = reader.ChanSubscribe("x", make(chan *nats.Msg, 1))
	require.NoError(t, err)
	require.NoError(t, reader.Flush())
	for range 10 {
		require.NoError(t, nc.Publish("x", nil))
	}
	require.NoError(t, nc.Flush())
	assert.Equal(t, "x", <-slow)
	assert.Equal(t, 1, log.count("messages dropped before they were read"))
}

func TestDial_PrivateInbox(t *testing.T) {
	srv := startServer(t)
	nc, err := Dial(within(t), DialConfig{Server: srv, InboxPrefix: "_INBOX_edge"})
	require.NoError(t, err)
	defer nc.Close()
	assert.True(t, strings.HasPrefix(nc.NewInbox(), "_INBOX_edge."))
	_, err = EnsureStream(within(t), nc, DefaultStreamConfig(), quiet())
	require.NoError(t, err)
}
