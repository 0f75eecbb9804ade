package main

import (
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// grammar is the command line. Every flag is at the same time the environment variable TIDINGS_<FLAG>, and every flag of
// serve a key of the YAML file.
type grammar struct {
	Config string `group:"Configuration" placeholder:"FILE" help:"YAML file with settings; its keys are the flags of serve without the dashes."`

	Serve   serveCmd    `cmd:"" help:"Run the server: browsers on --http, operators on --admin, NATS embedded or external."`
	Demo    demoCmd     `cmd:"" help:"Run the demo: a page, a world that changes, and two edges as processes that can be killed."`
	Pub     pubCmd      `cmd:"" help:"Publish one event to a room and print its sequence in the stream."`
	Sub     subCmd      `cmd:"" help:"Join rooms like a browser does and print one JSON frame per line; reconnects and resumes."`
	Token   tokenCmd    `cmd:"" help:"Print a signed token, for trying things out and for scripts."`
	Load    loadtestCmd `cmd:"" name:"loadtest" help:"Put a Tidings under load with thousands of clients, and measure it."`
	Conf    configCmd   `cmd:"" name:"config" help:"Check or print the configuration without starting anything."`
	Events  eventsCmd   `cmd:"" help:"Work with event types."`
	Version versionCmd  `cmd:"" help:"Print version, commit and Go version."`

	env    []string // of the process
	layers []layer  // weakest first: file, environment
}

// BeforeResolve is called by kong when the arguments are parsed and before flags that were not given get their values:
// the moment to read the environment and the file, since --config itself may come from either.
func (g *grammar) BeforeResolve(kctx *kong.Context) error {
	if selected := kctx.Selected(); selected != nil && selected.Name == "version" {
		return nil // answers whatever else is wrong
	}
	env, err := environmentLayer(g.env, allFlags(kctx.Model.Node))
	if err != nil {
		return err
	}
	path, _ := kctx.FlagValue(flagNamed(kctx.Model.Flags, "config")).(string)
	if path == "" && len(env["config"].values) == 1 {
		path = env["config"].values[0]
	}
	file := layer{}
	if path != "" {
		if file, err = readConfigFile(path, serveFlags(kctx.Model.Node)); err != nil {
			return err
		}
	}
	g.layers = []layer{file, env}
	for _, l := range g.layers { // kong takes the last resolver that knows a flag
		kctx.AddResolver(l)
	}
	return nil
}

func newParser(g *grammar, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(
		g,
		kong.Name("tidings"),
		kong.Description("Tidings pushes what changed to the browsers that may see it.\n\n"+
			"Every flag is also an environment variable (--jwt-secret is TIDINGS_JWT_SECRET), and every flag of serve a key of the "+
			"YAML file given by --config. A flag wins over the environment, the environment over the file, the file over the default.\n\n"+
			"Exit status: 0 done, 1 failed while running, 2 wrong flag, variable, key or value."),
		kong.Writers(stdout, stderr),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decodeDuration)),
		kong.KindMapper(reflect.Int, kong.MapperFunc(decodeInt)),
		kong.KindMapper(reflect.Float64, kong.MapperFunc(decodeRate)),
		kong.ValueFormatter(helpText),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
	)
}

// helpText adds the default where a placeholder (SIZE, DURATION …) took its place.
func helpText(v *kong.Value) string {
	if v.Flag == nil || v.Flag.PlaceHolder == "" || v.Default == "" {
		return v.Help
	}
	return fmt.Sprintf("%s (default %s)", strings.TrimSuffix(v.Help, "."), v.Default)
}

func decodeDuration(kctx *kong.DecodeContext, target reflect.Value) error {
	var s string
	if err := kctx.Scan.PopValueInto("duration", &s); err != nil {
		return err
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return fmt.Errorf("%q is no duration; write 250ms, 25s, 10m or 24h", s)
	case d < 0:
		return fmt.Errorf("%q is negative", s)
	}
	target.SetInt(int64(d))
	return nil
}

func decodeInt(kctx *kong.DecodeContext, target reflect.Value) error {
	var s string
	if err := kctx.Scan.PopValueInto("number", &s); err != nil {
		return err
	}
	n, err := strconv.ParseInt(s, 10, 0)
	if err != nil {
		return fmt.Errorf("%q is no whole number", s)
	}
	target.SetInt(n)
	return nil
}

// decodeRate reads a number that is not negative, with or without a fraction.
func decodeRate(kctx *kong.DecodeContext, target reflect.Value) error {
	var s string
	if err := kctx.Scan.PopValueInto("number", &s); err != nil {
		return err
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f < 0 {
		return fmt.Errorf("%q is no number of 0 or more", s)
	}
	target.SetFloat(f)
	return nil
}

// allFlags are the flags of node and of all its subcommands by name; --help is none of them.
func allFlags(node *kong.Node) map[string]*kong.Flag {
	flags := map[string]*kong.Flag{}
	var walk func(*kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			if f.Name != "help" {
				flags[f.Name] = f
			}
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(node)
	return flags
}

// serveFlags are the flags of serve by name, which are the keys of the file.
func serveFlags(root *kong.Node) map[string]*kong.Flag {
	for _, child := range root.Children {
		if child.Name == "serve" {
			return allFlags(child)
		}
	}
	return nil
}

func flagNamed(flags []*kong.Flag, name string) *kong.Flag {
	for _, f := range flags {
		if f.Name == name {
			return f
		}
	}
	return nil
}
