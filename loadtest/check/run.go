package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/tidingsmesh/tidings/loadtest/history"
)

// Statuses of the program.
const (
	holds = iota
	violated
	unreadable
)

// settings are what the arguments say.
type settings struct {
	dir      string
	json     string
	controls bool
	seed     uint64
	options  history.Options
}

// parse reads the arguments. It has told stderr what is wrong with them when it returns an error.
func parse(args []string, stderr io.Writer) (settings, error) {
	s := settings{options: history.DefaultOptions()}
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprintln(stderr, "usage: check [flags] FOLDER")
		flags.PrintDefaults()
	}
	flags.StringVar(&s.json, "json", "", "`file` for the report as JSON")
	flags.BoolVar(&s.controls, "controls", false, "judge the history with one thing wrong in it at a time")
	flags.Uint64Var(&s.seed, "seed", 1, "seed of where the controls are put")
	flags.IntVar(&s.options.History, "history", s.options.History, "`events` of a room that the stream kept")
	flags.DurationVar(&s.options.MaxAge, "max-age", s.options.MaxAge, "`time` for which the stream kept events; 0: for ever")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return s, fmt.Errorf("want one folder, not %d", flags.NArg())
	}
	s.dir = flags.Arg(0)
	return s, nil
}

// run is the program; it returns its status.
func run(args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	if err != nil {
		return unreadable
	}
	status, err := s.judge(stdout)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "check:", err)
		return unreadable
	}
	return status
}

func (s settings) judge(out io.Writer) (status int, err error) {
	if s.controls {
		return s.tryControls(out)
	}
	report, err := history.Check(history.Dir(s.dir), s.options)
	if err != nil {
		return unreadable, err
	}
	if s.json != "" {
		text, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return unreadable, err
		}
		if err := os.WriteFile(s.json, append(text, '\n'), 0o600); err != nil {
			return unreadable, err
		}
	}
	if err := report.WriteText(out); err != nil {
		return unreadable, err
	}
	switch report.Verdict() {
	case history.Holds:
		return holds, nil
	case history.Violated:
		return violated, nil
	default:
		return unreadable, nil
	}
}

func (s settings) tryControls(out io.Writer) (status int, err error) {
	h, err := history.Load(history.Dir(s.dir))
	if err != nil {
		return unreadable, err
	}
	trials, err := history.Try(h, s.options, s.seed)
	if err != nil {
		return unreadable, err
	}
	if err := history.WriteTrials(out, trials); err != nil {
		return unreadable, err
	}
	for _, t := range trials {
		if !t.Caught {
			return violated, nil
		}
	}
	return holds, nil
}
