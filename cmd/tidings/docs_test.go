package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tidingsmesh/tidings/internal/bytesize"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

// configurationDoc is generated from the flags, so that the two cannot differ.
var configurationDoc = filepath.Join("..", "..", "docs", "configuration.md")

func TestDocs_ConfigurationIsUpToDate(t *testing.T) {
	want := generateConfigurationDoc(t)
	if *update {
		require.NoError(t, os.WriteFile(configurationDoc, []byte(want), 0o644))
	}
	got, err := os.ReadFile(configurationDoc)
	require.NoError(t, err)
	if string(got) != want {
		assert.Fail(t, "docs/configuration.md is not what the flags say; write it anew with\n\n\tgo test ./cmd/tidings -run TestDocs -update")
		assert.Equal(t, want, string(got))
	}
}

func TestDocs_EveryFlagSaysWhatItTakes(t *testing.T) {
	parser, err := newParser(&grammar{}, nil, nil)
	require.NoError(t, err)
	for name, f := range allFlags(parser.Model.Node) {
		assert.Regexp(t, `\.$`, f.Help, "--%s needs a sentence of help", name)
		if !f.IsBool() && f.Enum == "" {
			assert.NotEmpty(t, f.PlaceHolder, "--%s must say what it takes", name)
		}
	}
	for name, f := range serveFlags(parser.Model.Node) {
		assert.NotNil(t, f.Group, "--%s belongs to no group", name)
	}
}

func generateConfigurationDoc(t *testing.T) string {
	t.Helper()
	parser, err := newParser(&grammar{}, nil, nil)
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString(docHead)
	for _, command := range parser.Model.Children {
		if command.Name == "serve" {
			fmt.Fprintf(&b, "\n## tidings serve\n\n%s `tidings config check` and `tidings config print` take the same flags.\n", command.Help)
			writeGroups(&b, command.Flags)
		}
	}
	b.WriteString("\n## Other commands\n\nTheir flags have no key of their own in the file; one that bears the name of a flag of `serve` (marked with ¹) takes\nthat one's key.\n")
	shared := serveFlags(parser.Model.Node)
	for _, command := range parser.Model.Leaves(true) { // without hidden ones
		if command.Name == "serve" || command.Parent.Name == "config" || len(command.Flags) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### tidings %s\n\n%s\n\n| flag | environment | type | default | |\n|---|---|---|---|---|\n", summary(command), command.Help)
		for _, f := range command.Flags {
			mark := ""
			if shared[f.Name] != nil {
				mark = " ¹"
			}
			fmt.Fprintf(&b, "| `--%s`%s | `%s` | %s | %s | %s |\n", f.Name, mark, envName(f.Name), typeOf(f), defaultOf(f), cell(f.Help))
		}
	}
	b.WriteString(docFoot)
	return b.String()
}

func writeGroups(b *strings.Builder, flags []*kong.Flag) {
	group := ""
	for _, f := range flags {
		if f.Group.Title != group {
			group = f.Group.Title
			fmt.Fprintf(b, "\n### %s\n\n| flag | environment | key | type | default | |\n|---|---|---|---|---|---|\n", group)
		}
		fmt.Fprintf(b, "| `--%s` | `%s` | `%s` | %s | %s | %s |\n", f.Name, envName(f.Name), f.Name, typeOf(f), defaultOf(f), cell(f.Help))
	}
}

func summary(command *kong.Node) string {
	words := []string{command.Path()}
	for _, p := range command.Positional {
		words = append(words, p.Summary())
	}
	return "`" + strings.Join(words, " ") + "`"
}

func typeOf(f *kong.Flag) string {
	if f.Enum != "" {
		return "`" + strings.Join(f.EnumSlice(), "` `") + "`"
	}
	switch f.Target.Interface().(type) {
	case bool:
		return "`true` `false`"
	case int, float64:
		return "number"
	case bytesize.Size:
		return "size"
	case time.Duration:
		return "duration"
	}
	what := map[string]string{"ADDR": "host:port", "DIR": "folder", "URL": "URL"}[f.PlaceHolder]
	if what == "" {
		what = strings.ToLower(f.PlaceHolder)
	}
	if f.Target.Kind() == reflect.Slice {
		return "list: " + what
	}
	return what
}

func defaultOf(f *kong.Flag) string {
	switch {
	case f.Required:
		return "required"
	case f.Default != "":
		return "`" + f.Default + "`"
	case f.IsBool():
		return "`false`"
	}
	return ""
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

const docHead = `<!-- Generated from the flags in cmd/tidings: go test ./cmd/tidings -run TestDocs -update -->
# Configuration

Every setting of the server is a flag, an environment variable and a key of a YAML file, all of one name: ` + "`--jwt-secret`" + `,
` + "`TIDINGS_JWT_SECRET`" + `, ` + "`jwt-secret:`" + `. The file is named by ` + "`--config FILE`" + ` or ` + "`TIDINGS_CONFIG`" + `; its keys are flat.

` + "```yaml" + `
http: ":8080"
origin:
  - https://app.example.com
jwks: https://id.example.com/.well-known/jwks.json
audience: tidings
stream-max-age: 48h
` + "```" + `

**Precedence.** A flag wins over the environment, the environment over the file, the file over the default. A list is replaced
by the stronger source, never added to. ` + "`tidings config print`" + ` shows every value with its origin, secrets left out;
` + "`tidings config check`" + ` says whether ` + "`serve`" + ` would start.

**Mistakes are refused, not ignored.** An unknown flag, key or ` + "`TIDINGS_`" + ` variable is named, with the nearest that exists. Variables that
Kubernetes makes for a Service called "tidings" (` + "`TIDINGS_SERVICE_HOST`, `TIDINGS_PORT_8080_TCP`" + ` …) are let through.

**Values.** A *size* is bytes with a binary unit: ` + "`512B` `16KiB` `1MiB` `1GiB`" + `. A *duration* has a unit: ` + "`250ms` `25s` `10m` `24h`" + `. A *list* is a
repeated flag, a YAML list, or in the environment separated by commas (` + "`\\,`" + ` is a comma inside an element); ` + "`--public \"\"`" + `, ` + "`public: []`" + ` and an
empty variable are the empty list. A variable that is set but empty counts as set.

**Secrets.** A command line can be read by every user of the machine: give ` + "`jwt-secret`, `token`" + ` and URLs with passwords by the environment
or the file.
`

const docFoot = `
## Exit status

| status | |
|---|---|
| 0 | done, or an orderly end after an interrupt, SIGTERM or SIGHUP (a second signal ends at once) |
| 1 | failed while running: a port taken, NATS refusing, a publish not acknowledged |
| 2 | nothing was started: a wrong flag, variable, key or value; standard error names each |
`
