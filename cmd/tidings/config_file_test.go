package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConfigFile_WrongFilesAreNamedWithTheirLine(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":       {"http: :1\njwt_secret: x\n", `FILE:2: unknown key "jwt_secret"; did you mean jwt-secret?`},
		"nothing near":      {"frobnicate: 1\n", `FILE:1: unknown key "frobnicate"` + "\n"},
		"key of the flag":   {"config: other.yaml\n", `FILE:1: unknown key "config"`},
		"key of another":    {"since: 1\n", `FILE:1: unknown key "since"`},
		"given twice":       {"ping: 1s\nhttp: :1\nping: 2s\n", `FILE:3: ping: given before, at FILE:1: ping`},
		"list for one":      {"ping: [1s, 2s]\n", `FILE:1: ping: takes one value, not a list`},
		"nested":            {"nats:\n  listen: :1\n", `FILE:1: nats: takes no nested keys`},
		"nested in a list":  {"origin:\n  - a: b\n", `FILE:1: origin: takes no nested keys`},
		"no value":          {"issuer:\n", `FILE:1: issuer: has no value`},
		"wrong value":       {"\n\nping: 25\n", `FILE:3: ping: "25" is no duration`},
		"not in the list":   {"log-level: loud\n", `FILE:1: log-level: "loud" is none of debug, info, warn, error`},
		"out of bounds":     {"max-rooms: 0\n", `FILE:1: max-rooms: 0 is below the least, 1`},
		"element of a list": {"origin:\n  - https://a.example\n  - b.example\n", `FILE:1: origin: "b.example" is no origin`},
		"no mapping":        {"- http\n", `FILE:1: expected lines of the form key: value`},
		"plain text":        {"http\n", `FILE:1: expected lines of the form key: value`},
		"no YAML":           {"http: [\n", `FILE: yaml: line`},
		"two documents":     {"http: :1\n---\nhttp: :2\n", `FILE: holds more than one YAML document`},
		"merge key":         {"<<: {ping: 1s}\n", `FILE:1: unknown key "<<"`},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeConfig(t, c.text)
			got := run(t, []string{"TIDINGS_JWT_SECRET=" + testSecret}, "config", "check", "--config", path)
			assert.Equal(t, statusUsage, got.status)
			assert.Contains(t, got.stderr, strings.ReplaceAll(c.want, "FILE", path))
		})
	}
}

func TestConfigFile_EverythingWrongIsReportedAtOnce(t *testing.T) {
	path := writeConfig(t, "htpp: :1\nping: [1s]\nissuer:\n")
	got := run(t, nil, "serve", "--config", path)
	assert.Equal(t, statusUsage, got.status)
	assert.Equal(t, strings.ReplaceAll(`tidings serve:
  FILE:1: unknown key "htpp"; did you mean http?
  FILE:2: ping: takes one value, not a list
  FILE:3: issuer: has no value; leave the line out to keep the default
Run "tidings serve --help" for what it takes.
`, "FILE", path), got.stderr)
}

func TestConfigFile_EmptyFilesSetNothing(t *testing.T) {
	for _, text := range []string{"", "# only a comment\n", "---\n", "{}\n"} {
		got := run(t, []string{"TIDINGS_CONFIG=" + writeConfig(t, text)}, "config", "print")
		assert.Equal(t, statusOK, got.status, "%q: %s", text, got.stderr)
		assert.NotContains(t, got.stdout, "# from", text)
	}
}

func TestConfigFile_ValuesAreTakenAsWritten(t *testing.T) {
	path := writeConfig(t, "edge-name: 007\naudience: no\ndev: yes\nissuer: &i https://id.example\njwks: *i\npublic: broadcast:*\n")
	got := run(t, nil, "config", "print", "--config", path)
	require.Equal(t, statusOK, got.status, got.stderr)
	for _, want := range []string{`edge-name: "007" #`, `audience: no #`, `dev: true #`, `issuer: https://id.example #`, `jwks: https://id.example #`, "public:\n  - broadcast:*\n"} {
		assert.Contains(t, got.stdout, want)
	}
}

func TestConfigFile_UnreadableFilesAreNamed(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	require.NoError(t, os.WriteFile(large, []byte(strings.Repeat("# filler\n", maxConfigFile/9+1)), 0o600))
	for path, want := range map[string]string{
		filepath.Join(dir, "missing.yaml"): "missing.yaml: no such file or directory",
		dir:                                "is a directory",
		large:                              "larger than 1 MiB",
	} {
		got := run(t, nil, "serve", "--config", path)
		assert.Equal(t, statusUsage, got.status)
		assert.Contains(t, got.stderr, "tidings serve: configuration file")
		assert.Contains(t, got.stderr, want)
	}
}

func FuzzParseConfigFile(f *testing.F) {
	for _, seed := range []string{
		"", "http: :8080\n", "origin: [a, b]\n", "a: &x [*x]\n", "? [1]\n: 2\n", "http: !!binary aGk=\n", "---\n...\n", "<<: *x\n", "\xff: 1\n", "origin: &o [*o]\n",
	} {
		f.Add(seed)
	}
	parser, err := newParser(&grammar{}, nil, nil)
	require.NoError(f, err)
	flags := serveFlags(parser.Model.Node)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseConfigFile("f", text, flags)
		if err != nil {
			return
		}
		for name, s := range l {
			flag := flags[name]
			require.NotNil(t, flag, name)
			assert.True(t, flag.IsSlice() || len(s.values) == 1, "%s has %d values", name, len(s.values))
		}
	})
}
