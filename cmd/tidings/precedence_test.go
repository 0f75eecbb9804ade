package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPrecedence_DefaultFileEnvironmentFlag adds one source after the other and looks at which value wins.
func TestPrecedence_DefaultFileEnvironmentFlag(t *testing.T) {
	for _, c := range []struct {
		flag           string
		standard       string
		file, wantFile string
		env, wantEnv   string
		args           []string
		wantArgs       string
	}{
		{
			flag: "http", standard: ":8080",
			file: `":1"`, wantFile: ":1", env: ":2", wantEnv: ":2", args: []string{"--http", ":3"}, wantArgs: ":3",
		},
		{
			flag: "ping", standard: "25s",
			file: "1m", wantFile: "1m", env: "90m", wantEnv: "1h30m", args: []string{"--ping=500ms"}, wantArgs: "500ms",
		},
		{
			flag: "max-message", standard: "16KiB",
			file: "2048", wantFile: "2KiB", env: "1536", wantEnv: "1536B", args: []string{"--max-message", "1MiB"}, wantArgs: "1MiB",
		},
		{
			flag: "max-rooms", standard: "128",
			file: "1", wantFile: "1", env: "2", wantEnv: "2", args: []string{"--max-rooms", "3"}, wantArgs: "3",
		},
		{
			flag: "dev", standard: "false",
			file: "true", wantFile: "true", env: "false", wantEnv: "false", args: []string{"--dev"}, wantArgs: "true",
		},
		{
			flag: "log-level", standard: "info",
			file: "debug", wantFile: "debug", env: "warn", wantEnv: "warn", args: []string{"--log-level", "error"}, wantArgs: "error",
		},
		{
			flag: "public", standard: "[broadcast:*]", // a source replaces the list of a weaker one, it does not add to it
			file: "[a:1, a:2]", wantFile: "[a:1 a:2]", env: "b:1,b:2", wantEnv: "[b:1 b:2]",
			args: []string{"--public", "c:1,2", "--public", "c:3"}, wantArgs: "[c:1,2 c:3]",
		},
		{
			flag: "audience", standard: "",
			file: "x", wantFile: "x", env: "", wantEnv: "", args: []string{"--audience", "z"}, wantArgs: "z",
		},
	} {
		t.Run(c.flag, func(t *testing.T) {
			path := writeConfig(t, c.flag+": "+c.file+"\n")
			file := []string{"--config", path}
			env := []string{envName(c.flag) + "=" + c.env}

			assertPrinted(t, c.flag, c.standard, "", run(t, nil, "config", "print"))
			assertPrinted(t, c.flag, c.wantFile, path+":1: "+c.flag, run(t, nil, append(file, "config", "print")...))
			assertPrinted(t, c.flag, c.wantFile, path+":1: "+c.flag, run(t, []string{"TIDINGS_CONFIG=" + path}, "config", "print"))
			assertPrinted(t, c.flag, c.wantEnv, envName(c.flag), run(t, env, append(file, "config", "print")...))
			assertPrinted(t, c.flag, c.wantArgs, "--"+c.flag, run(t, env, append(append(file, "config", "print"), c.args...)...))
			assertPrinted(t, c.flag, c.wantArgs, "--"+c.flag, run(t, nil, append(append(file, "config", "print"), c.args...)...))
		})
	}
}

// assertPrinted compares one key of what config print wrote: its value, and the origin in its comment ("" for default).
func assertPrinted(t *testing.T, key, want, origin string, got result) {
	t.Helper()
	require.Equal(t, statusOK, got.status, got.stderr)
	values, comments := parsePrinted(t, got.stdout)
	if origin == "" {
		origin = "# default"
	} else {
		origin = "# from " + origin
	}
	assert.Equal(t, want, values[key])
	assert.Equal(t, origin, comments[key])
}

func TestPrecedence_TheFileNamedByTheFlagWins(t *testing.T) {
	one, two := writeConfig(t, "ping: 1m\n"), writeConfig(t, "ping: 2m\n")
	got := run(t, []string{"TIDINGS_CONFIG=" + one}, "config", "print", "--config", two)
	assertPrinted(t, "ping", "2m", two+":1: ping", got)
}

func TestPrecedence_OtherCommandsShareTheSettingsOfTheServer(t *testing.T) {
	path := writeConfig(t, "nats: nats://h:1\njwt-secret: "+testSecret+"\n")
	parser, err := newParser(&grammar{env: []string{"TIDINGS_CONFIG=" + path, "TIDINGS_AUDIENCE=app"}}, nil, nil)
	require.NoError(t, err)
	kctx, err := parser.Parse([]string{"token", "--sub", "alice"})
	require.NoError(t, err)
	token, ok := reflect.TypeAssert[*tokenCmd](kctx.Selected().Target.Addr())
	require.True(t, ok)
	assert.Equal(t, testSecret, string(token.JWTSecret))
	assert.Equal(t, "app", token.Audience)
	assert.Empty(t, strings.TrimSpace(token.Issuer))
}
