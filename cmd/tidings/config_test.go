package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// parsePrinted reads the output of config print: values by key (lists as Go prints them), and the comment of each.
func parsePrinted(t *testing.T, out string) (values, comments map[string]string) {
	t.Helper()
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(out), &document))
	values, comments = map[string]string{}, map[string]string{}
	content := document.Content[0].Content
	for i := 0; i < len(content); i += 2 {
		key, value := content[i], content[i+1]
		if value.Kind == yaml.SequenceNode {
			var list []string
			require.NoError(t, value.Decode(&list))
			values[key.Value] = fmt.Sprint(list)
		} else {
			values[key.Value] = value.Value
		}
		comments[key.Value] = key.HeadComment + value.LineComment
	}
	return values, comments
}

func TestConfigPrint_SecretsAreRedacted(t *testing.T) {
	path := writeConfig(t, "jwt-secret: "+testSecret+"\nnats-user: w\nnats-password: hunter2\nnats: nats://worker:hunter2@a:4222,tls://s3cr3tt0ken@b:4222,nats://c:4222\njwks: https://u:hunter2@id.example/keys?v=1&key=hunter2\n")
	got := run(t, nil, "config", "print", "--config", path)
	require.Equal(t, statusOK, got.status, got.stderr)
	values, _ := parsePrinted(t, got.stdout)
	assert.Equal(t, redacted, values["jwt-secret"])
	assert.Equal(t, redacted, values["nats-password"])
	assert.Equal(t, "nats://[redacted]@a:4222,tls://[redacted]@b:4222,nats://c:4222", values["nats"])
	assert.Equal(t, "https://[redacted]@id.example/keys?[redacted]", values["jwks"])
	for _, secret := range []string{testSecret, "hunter2", "s3cr3tt0ken", "worker"} {
		assert.NotContains(t, got.stdout+got.stderr, secret)
	}
}

func TestConfigPrint_OutputIsAFileThatSetsTheSame(t *testing.T) {
	first := run(t, nil, "config", "print", "--http", ":1", "--public", "", "--origin", "https://a", "--origin", "https://b", "--edge-name", "1", "--issuer", "a: b # c")
	require.Equal(t, statusOK, first.status, first.stderr)
	second := run(t, nil, "config", "print", "--config", writeConfig(t, first.stdout))
	require.Equal(t, statusOK, second.status, second.stderr)
	want, _ := parsePrinted(t, first.stdout)
	got, _ := parsePrinted(t, second.stdout)
	assert.Equal(t, want, got)
}

func TestConfigCheck_AcceptsWhatServeWouldAccept(t *testing.T) {
	for name, args := range map[string][]string{
		"secret":         {"--jwt-secret", testSecret},
		"dev":            {"--dev"},
		"jwks":           {"--jwks", "https://id.example/keys"},
		"external NATS":  {"--dev", "--nats", "nats://a:4222, tls://b:4222", "--nats-user", "u", "--nats-password", "p", "--nats-inbox", "_INBOX_edge", "--stream-replicas", "3"},
		"ports of any":   {"--dev", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats-listen", ":0"},
		"two addresses":  {"--dev", "--http", "127.0.0.1:7000", "--admin", "127.0.0.2:7000"},
		"odd origins":    {"--dev", "--origin", "http://[::1]:5173", "--origin", "https://xn--bcher-kva.example", "--origin", "http://localhost"},
		"several at all": {"--jwt-secret", testSecret, "--jwks", "https://id.example/keys", "--origin", "https://app.example:8443", "--drain", "0s"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, nil, append([]string{"config", "check"}, args...)...)
			assert.Equal(t, statusOK, got.status, got.stderr)
			assert.Equal(t, "The configuration is valid.\n", got.stdout)
		})
	}
}

func TestConfigCheck_RefusesWhatCannotWork(t *testing.T) {
	dir := t.TempDir()
	notPEM := filepath.Join(dir, "not.pem")
	require.NoError(t, os.WriteFile(notPEM, []byte("nothing"), 0o600))
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"address without port":      {[]string{"--http", "localhost"}, `--http: "localhost" is no address`},
		"address with a name":       {[]string{"--admin", ":http"}, `--admin: ":http" has no port`},
		"port too large":            {[]string{"--http", ":65536"}, `--http: ":65536" has no port from 0 to 65535`},
		"origin with a path":        {[]string{"--origin", "https://a/b"}, `--origin: "https://a/b" is no origin`},
		"origin with a wildcard":    {[]string{"--origin", "https://*.a"}, `is no origin`},
		"origin with half a port":   {[]string{"--origin", "https://a:"}, `--origin: "https://a:" is no origin`},
		"origin with a wrong port":  {[]string{"--origin", "https://a:99999"}, `is no origin`},
		"origin with a padded port": {[]string{"--origin", "https://a:0443"}, `is no origin`},
		"origin not in punycode":    {[]string{"--origin", "https://bücher.example"}, `punycode`},
		"origin in capitals":        {[]string{"--origin", "https://App.example"}, `in lower case`},
		"one port for two":          {[]string{"--http", "127.0.0.1:7000", "--admin", ":7000"}, `--admin: 127.0.0.1:7000 and :7000 are one port`},
		"one port for NATS too":     {[]string{"--admin", "127.0.0.1:7000", "--nats-listen", "127.0.0.1:7000"}, `--nats-listen: 127.0.0.1:7000 and 127.0.0.1:7000 are one port`},
		"any origin":                {[]string{"--origin", "*"}, `is no origin`},
		"edge name with a dot":      {[]string{"--edge-name", "a.b"}, `--edge-name: "a.b" is not`},
		"half of TLS":               {[]string{"--tls-cert", notPEM}, `--tls-cert: needs --tls-key`},
		"other half of TLS":         {[]string{"--tls-key", notPEM}, `--tls-key: needs --tls-cert`},
		"TLS without PEM":           {[]string{"--tls-cert", notPEM, "--tls-key", notPEM}, `--tls-cert: tls: failed to find any PEM data`},
		"epoll with TLS":            {[]string{"--transport", "epoll", "--tls-cert", notPEM, "--tls-key", notPEM}, `--transport: epoll`},
		"both kinds of NATS":        {[]string{"--nats", "nats://u:hunter2@a", "--nats-listen", ":1"}, `--nats-listen: excludes --nats`},
		"NATS by HTTP":              {[]string{"--nats", "http://u:hunter2@a:4222"}, `--nats: "http://[redacted]@a:4222" is no NATS address`},
		"credentials in the URL":    {[]string{"--nats", "nats://u:hunter2@a"}, `--nats: "nats://[redacted]@a" holds credentials`},
		"credentials for no one":    {[]string{"--nats-creds", notPEM}, `--nats-creds: belongs to --nats`},
		"credentials missing":       {[]string{"--nats", "nats://a", "--nats-creds", dir + "/x"}, `--nats-creds: open`},
		"no data folder":            {[]string{"--data", ""}, `--data: the embedded NATS needs a folder`},
		"short secret":              {[]string{"--jwt-secret", "hunter2"}, `--jwt-secret: unusable shared secret: 7 bytes, at least 32 are needed`},
		"key file missing":          {[]string{"--jwt-key", dir + "/none.pem"}, `none.pem: no such file`},
		"key file a folder":         {[]string{"--jwt-key", dir}, `is a directory`},
		"JWKS without scheme":       {[]string{"--jwks", "id.example"}, `--jwks: invalid token configuration: the JWKS URL id.example must look like`},
		"JWKS by plain HTTP":        {[]string{"--jwks", "http://u:hunter2@id.example"}, `is http; use https`},
		"nonsense public pattern":   {[]string{"--public", "everything"}, `--public: invalid room pattern`},
		"leeway beyond a minute":    {[]string{"--leeway", "61s"}, `--leeway: 1m1s is above the most, 1m`},
		"schemas missing":           {[]string{"--schemas", dir + "/none"}, `--schemas: schema folder: open`},
		"two replicas":              {[]string{"--nats", "nats://a", "--stream-replicas", "2"}, `--stream-replicas: 2 is not 1, 3 or 5`},
		"replicas of one server":    {[]string{"--stream-replicas", "3"}, `--stream-replicas: more than 1 needs a cluster`},
		"buffer below an event":     {[]string{"--client-buffer", "32KiB"}, `--client-buffer: 32KiB cannot hold one event`},
		"total below a client":      {[]string{"--total-buffer", "128KiB"}, `--total-buffer: 128KiB is below --client-buffer, 256KiB`},
		"message limit of nothing":  {[]string{"--max-message", "0"}, `--max-message: 0B is below the least, 1KiB`},
		"history of nothing":        {[]string{"--stream-history", "0"}, `--stream-history: 0 is below the least, 1`},
		"a stream kept for seconds": {[]string{"--stream-max-age", "1s"}, `--stream-max-age: 1s is below the least, 1m`},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, nil, append([]string{"config", "check", "--dev"}, c.args...)...)
			assert.Equal(t, statusUsage, got.status)
			assert.Empty(t, got.stdout)
			assert.Contains(t, got.stderr, c.want)
			assert.NotContains(t, got.stderr, "hunter2", "a message must not tell a secret")
		})
	}
}

func TestConfigCheck_ReportsAllProblemsAtOnce(t *testing.T) {
	got := run(t, []string{"TIDINGS_ADMIN=x"}, "config", "check", "--http", "y", "--config", writeConfig(t, "max-rooms: 0\n"))
	assert.Equal(t, statusUsage, got.status)
	for _, want := range []string{"--http: ", "TIDINGS_ADMIN: ", "tidings.yaml:1: max-rooms: ", "no key to verify tokens with"} {
		assert.Contains(t, got.stderr, want)
	}
	assert.Equal(t, 1, strings.Count(got.stderr, "Run \"tidings config check --help\""))
}
