package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	testSecret = "0123456789abcdef0123456789abcdef" // 32 bytes, the least that is allowed
	// patience bounds every wait of these tests. Machines that run them may be busy.
	patience = 60 * time.Second
)

// result is what a user sees of one run.
type result struct {
	status         int
	stdout, stderr string
}

// run runs the command line in process, with no more environment than env.
func run(t *testing.T, env []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	m := Main{Args: args, Env: env, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr}
	status := m.Run(t.Context())
	return result{status, stdout.String(), stderr.String()}
}

// writeConfig writes a configuration file and returns its path.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tidings.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestMain_WithoutArgumentsExplainsItselfOnStandardError(t *testing.T) {
	got := run(t, nil)
	assert.Equal(t, statusUsage, got.status)
	assert.Empty(t, got.stdout)
	assert.Contains(t, got.stderr, "Usage: tidings <command>")
}

func TestMain_HelpSucceedsOnStandardOutput(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"sub", "-h"}, {"config", "print", "--help"}} {
		got := run(t, []string{"TIDINGS_NO_SUCH=1"}, args...)
		assert.Equal(t, statusOK, got.status, args)
		assert.Contains(t, got.stdout, "Usage: tidings", args)
		assert.Empty(t, got.stderr, args)
	}
}

func TestMain_VersionAnswersWhateverElseIsWrong(t *testing.T) {
	got := run(t, []string{"TIDINGS_NO_SUCH=1", "TIDINGS_CONFIG=/does/not/exist"}, "version")
	assert.Equal(t, statusOK, got.status)
	assert.Regexp(t, `^tidings \S+\ncommit  .+\ngo      go1\.\S+ \S+/\S+\n$`, got.stdout)
}

func TestMain_WrongCommandLinesAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":            {[]string{"serve", "--orign", "https://a"}, `tidings serve: unknown flag --orign, did you mean "--origin"?`},
		"flag of another command": {[]string{"version", "--http", ":1"}, `unknown flag --http`},
		"unknown command":         {[]string{"serv"}, `unexpected argument serv, did you mean "serve"?`},
		"no subcommand":           {[]string{"config"}, `expected one of "check", "print"`},
		"stray argument":          {[]string{"serve", "now"}, `unexpected argument now`},
		"missing value":           {[]string{"serve", "--jwt-key"}, `--jwt-key: missing value`},
		"missing flag":            {[]string{"token"}, `missing flags: --sub=USER`},
		"missing argument":        {[]string{"pub", "campaign:42"}, `expected "<type>"`},
		"no number":               {[]string{"serve", "--max-rooms", "many"}, `--max-rooms: "many" is no whole number`},
		"no size":                 {[]string{"serve", "--max-message", "16KB"}, `--max-message: "16KB" is no size; write 512B, 16KiB`},
		"size overflow":           {[]string{"serve", "--max-message", "9007199254740993TiB"}, `--max-message: "9007199254740993TiB" is too large`},
		"duration without unit":   {[]string{"serve", "--ping", "25"}, `--ping: "25" is no duration; write 250ms, 25s`},
		"negative duration":       {[]string{"serve", "--ping=-25s"}, `--ping: "-25s" is negative`},
		"not in the list":         {[]string{"serve", "--log-format", "xml"}, `--log-format must be one of "text","json" but got "xml"`},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, nil, c.args...)
			assert.Equal(t, statusUsage, got.status)
			assert.Empty(t, got.stdout)
			assert.Contains(t, got.stderr, c.want)
			assert.Regexp(t, `Run "tidings.* --help" for what it takes\.\n$`, got.stderr)
		})
	}
}

func TestServe_WithoutAKeyRefusesAndSaysHowToGiveOne(t *testing.T) {
	got := run(t, nil, "serve")
	assert.Equal(t, statusUsage, got.status)
	assert.Empty(t, got.stdout)
	for _, way := range []string{"no key to verify tokens with", "--jwt-secret", "TIDINGS_JWT_SECRET", "openssl rand -hex 32", "--jwt-key FILE", "--jwks URL", "--dev"} {
		assert.Contains(t, got.stderr, way)
	}
	assert.Contains(t, run(t, []string{"TIDINGS_JWT_SECRET="}, "serve").stderr, "no key to verify tokens with", "an empty secret is none")
}
