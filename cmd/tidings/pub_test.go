package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
	"github.com/tidingsmesh/tidings/subjects"
)

// startNATS runs an embedded NATS with the stream of rooms; it returns its address and the stream.
func startNATS(t *testing.T) (string, jetstream.Stream) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	server, err := mesh.StartServer(t.Context(), mesh.ServerConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0"}, log)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	nc, err := mesh.Dial(t.Context(), mesh.DialConfig{Server: server, Name: t.Name(), Log: log})
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	_, err = mesh.EnsureStream(t.Context(), nc, mesh.DefaultStreamConfig(), log)
	require.NoError(t, err)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), subjects.StreamName)
	require.NoError(t, err)
	return server.ClientURL(), stream
}

// stored is the event at a sequence of the stream.
func stored(t *testing.T, stream jetstream.Stream, seq uint64) subjects.Event {
	t.Helper()
	msg, err := stream.GetMsg(t.Context(), seq)
	require.NoError(t, err)
	room, err := subjects.ParseSubject(msg.Subject)
	require.NoError(t, err)
	e, err := subjects.DecodeEvent(msg.Header, msg.Data, subjects.Meta{Room: room, Seq: seq, Time: msg.Time, Stream: subjects.StreamName})
	require.NoError(t, err)
	return e
}

func TestPub_PrintsTheSequenceOfTheStoredEvent(t *testing.T) {
	address, stream := startNATS(t)
	env := []string{"TIDINGS_NATS=" + address}

	got := run(t, env, "pub", "campaign:42", "dice_rolled", `{"eyes": [6, 1.50]}`, "--id", "roll-1")
	require.Equal(t, statusOK, got.status, got.stderr)
	assert.Equal(t, "1\n", got.stdout)
	assert.Empty(t, got.stderr)
	e := stored(t, stream, 1)
	assert.Equal(t, "roll-1", e.ID)
	assert.Equal(t, "dice_rolled", e.Type)
	assert.JSONEq(t, `{"eyes":[6,1.50]}`, string(e.Data))

	got = run(t, env, "pub", "campaign:42", "dice_rolled", "--id", "roll-1")
	assert.Equal(t, result{statusOK, "1\n", "The stream holds event roll-1 already; nothing was stored again.\n"}, got)

	got = run(t, env, "pub", "settlement:Zürich", "dice_rolled")
	assert.Equal(t, result{statusOK, "2\n", ""}, got)
	assert.Nil(t, stored(t, stream, 2).Data)
}

func TestPub_ReadsDataFromStandardInput(t *testing.T) {
	address, stream := startNATS(t)
	var stdout, stderr bytes.Buffer
	m := Main{
		Args:   []string{"pub", "campaign:42", "dice_rolled", "-", "--nats", address},
		Stdin:  strings.NewReader("\n{\"eyes\": 6}\n"),
		Stdout: &stdout, Stderr: &stderr,
	}
	require.Equal(t, statusOK, m.Run(t.Context()), stderr.String())
	assert.Equal(t, "1\n", stdout.String())
	assert.JSONEq(t, `{"eyes":6}`, string(stored(t, stream, 1).Data))
}

func TestPub_RefusesWhatAnEdgeWouldQuarantine(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nonsense room":       {[]string{"campaign", "x"}, `"campaign" has no ':'`},
		"empty type":          {[]string{"campaign:42", ""}, "type"},
		"no JSON":             {[]string{"campaign:42", "x", "{eyes: 6}"}, "the data is not one JSON value"},
		"two values":          {[]string{"campaign:42", "x", "1 2"}, "the data is not one JSON value"},
		"against the schema":  {[]string{"campaign:42", "entity_updated", `{"id": 7}`}, `see the schema of "entity_updated" at /schemas/`},
		"wait beyond dedup":   {[]string{"campaign:42", "x", "--wait", "1h"}, "--wait: 1h is above the most, 25s"},
		"credentials in URL":  {[]string{"campaign:42", "x", "--nats", "nats://w:hunter2@h"}, `--nats: "nats://[redacted]@h" holds credentials`},
		"two credentials":     {[]string{"campaign:42", "x", "--nats-user", "w", "--nats-creds", "/none"}, "--nats-creds: excludes --nats-user"},
		"password of no one":  {[]string{"campaign:42", "x", "--nats-password", "hunter2"}, "--nats-password: needs --nats-user"},
		"authorities missing": {[]string{"campaign:42", "x", "--nats-ca", "/none"}, "--nats-ca: open /none"},
		"half a certificate":  {[]string{"campaign:42", "x", "--nats-cert", "/none"}, "--nats-cert: needs --nats-key"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, nil, append([]string{"pub"}, c.args...)...)
			assert.Equal(t, statusUsage, got.status)
			assert.Empty(t, got.stdout)
			assert.Contains(t, got.stderr, c.want)
			assert.NotContains(t, got.stderr, "hunter2")
		})
	}
}

func TestPub_ChecksAnApplicationsOwnTypesByItsSchemas(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ship_sailed.json"), []byte(`{"type": "object", "required": ["harbour"]}`), 0o600))
	got := run(t, nil, "pub", "campaign:42", "ship_sailed", `{"id": "s-9"}`, "--schemas", dir)
	assert.Equal(t, statusUsage, got.status)
	assert.Contains(t, got.stderr, "harbour")
	got = run(t, nil, "pub", "campaign:42", "ship_sailed", "{}", "--schemas", filepath.Join(dir, "none"))
	assert.Equal(t, statusUsage, got.status)
	assert.Contains(t, got.stderr, "schema folder: open")
}

func TestPub_WithoutAServerFailsAndSaysSo(t *testing.T) {
	got := run(t, nil, "pub", "campaign:42", "x", "--nats", "nats://"+port.Address(t), "--wait", "1s")
	assert.Equal(t, statusFailed, got.status)
	assert.Empty(t, got.stdout)
	assert.Contains(t, got.stderr, "NATS cannot be reached, trying on")
	assert.Contains(t, got.stderr, "tidings pub: publish to campaign:42: mesh: no server answers")
	assert.NotContains(t, got.stderr, "--help", "the command line was right")
}

func TestPub_TooLargeAnEventFailsAndNamesTheLimit(t *testing.T) {
	address, _ := startNATS(t)
	got := run(t, nil, "pub", "campaign:42", "x", `"`+strings.Repeat("x", 65<<10)+`"`, "--nats", address)
	assert.Equal(t, statusFailed, got.status)
	assert.Contains(t, got.stderr, "max_msg_size")
}
