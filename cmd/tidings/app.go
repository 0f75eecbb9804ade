package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// Exit statuses of every subcommand.
const (
	statusOK     = 0 // done, or an orderly end after a signal
	statusFailed = 1 // started, and something went wrong: a port taken, a broker gone, a publish refused
	statusUsage  = 2 // nothing was started: a wrong flag, environment variable, configuration key or value
)

// Main is one run of the command line with everything it touches passed in, so that tests run it in process.
type Main struct {
	Args   []string // without the program's name
	Env    []string // KEY=value as from os.Environ; only TIDINGS_ variables are settings
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Signals are those of which the first ended the context of Run: a second one cuts an orderly end short. Tests have
	// none.
	Signals []os.Signal
}

// Run parses, runs the chosen subcommand until it is done or ctx ends, and returns the exit status. Every error is
// written to Stderr exactly once, by Run.
func (m *Main) Run(ctx context.Context) int {
	args, stdout := m.Args, m.Stdout
	if len(args) == 0 {
		args, stdout = []string{"--help"}, m.Stderr
	}
	g := &grammar{env: m.Env}
	parser, err := newParser(g, stdout, m.Stderr)
	if err != nil {
		return m.fail("", err)
	}
	helped := false
	parser.Exit = func(int) { helped = true } // called once kong has printed the help
	kctx, err := parser.Parse(args)
	switch {
	case helped && len(m.Args) == 0:
		return statusUsage
	case helped:
		return statusOK
	case err != nil:
		return m.fail(commandOf(err), &usageError{err: err})
	}
	kctx.BindTo(ctx, (*context.Context)(nil))
	if err := kctx.Run(m, newOrigins(kctx, g.layers)); err != nil {
		return m.fail(kctx.Selected().Path(), err)
	}
	return statusOK
}

// fail reports err and chooses the exit status.
func (m *Main) fail(command string, err error) int {
	name := strings.TrimSpace("tidings " + command)
	lines := strings.Split(strings.TrimRight(withoutWrapping(err).Error(), "\n"), "\n")
	if len(lines) == 1 {
		fmt.Fprintf(m.Stderr, "%s: %s\n", name, lines[0])
	} else {
		fmt.Fprintf(m.Stderr, "%s:\n", name)
		for _, line := range lines {
			fmt.Fprintf(m.Stderr, "  %s\n", line)
		}
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(m.Stderr, "Run \"%s --help\" for what it takes.\n", name)
		return statusUsage
	}
	return statusFailed
}

// withoutWrapping drops what kong writes around our own errors: a setting names itself by the key or variable that the
// user wrote, and a flag that was never given would only confuse.
func withoutWrapping(err error) error {
	if all, ok := errors.AsType[problems](err); ok {
		return all
	}
	if one, ok := errors.AsType[*settingError](err); ok {
		return one
	}
	return err
}

// commandOf is the subcommand in which parsing stopped, "" when it stopped before any.
func commandOf(err error) string {
	parse, ok := errors.AsType[*kong.ParseError](err)
	if !ok || parse.Context == nil || parse.Context.Selected() == nil {
		return ""
	}
	return parse.Context.Selected().Path()
}

// variable is a variable of the environment that is not a setting of ours, "" when it is not set.
func (m *Main) variable(name string) string {
	for _, entry := range m.Env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
