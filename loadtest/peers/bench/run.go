package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidingsmesh/tidings/loadtest/peers"
	"github.com/tidingsmesh/tidings/loadtest/rounds"
)

// config is what the command line says.
type config struct {
	rounds, clients int
	quick           bool
	only            []string
	docs            string // folder with benchmarks.md
	worker          []string
}

// run measures and writes. What has been measured when it is interrupted is not written: half a round is not interleaved.
func run(ctx context.Context, executable string, args []string, out, progress io.Writer) error {
	cfg, err := parse(args, progress)
	if err != nil {
		return err
	}
	cfg.worker = []string{executable, worker}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(root, "loadtest", "peers")); err != nil {
		return errors.New("run it in the folder of the repository")
	}
	page, err := rounds.OpenPage(filepath.Join(cfg.docs, "benchmarks.md"), "bench-peers")
	if err != nil {
		return err
	}
	contestants, err := contestantsOf(peers.NewTools(root), cfg.only)
	if err != nil {
		return err
	}
	b := newBench(cfg, contestants, rounds.NewDisplay(progress))
	defer b.display.Close()
	if err := b.run(ctx); err != nil {
		return err
	}
	return b.publish(page, out)
}

func parse(args []string, usage io.Writer) (config, error) {
	var cfg config
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.IntVar(&cfg.rounds, "rounds", 4, "passes over all servers")
	flags.IntVar(&cfg.clients, "clients", 10000, "clients of a load; memory is measured up to half as many again")
	flags.BoolVar(&cfg.quick, "quick", false, "short windows: to see that everything runs, not to quote")
	flags.StringVar(&only, "only", "", "servers, by parts of their names, separated by commas; default all")
	flags.StringVar(&cfg.docs, "docs", "docs", "folder of benchmarks.md")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	const least = 100
	switch {
	case flags.NArg() > 0:
		return config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case cfg.rounds < 1:
		return config{}, fmt.Errorf("--rounds %d, want at least 1", cfg.rounds)
	case cfg.clients < least || cfg.clients%least != 0:
		return config{}, fmt.Errorf("--clients %d, want a multiple of %d", cfg.clients, least)
	}
	if only != "" {
		cfg.only = strings.Split(only, ",")
	}
	return cfg, nil
}

// contestantsOf are those that were asked for, in the order of the tables.
func contestantsOf(tools *peers.Tools, only []string) ([]*contestant, error) {
	all := everybody(tools)
	if only == nil {
		return all, nil
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(c *contestant) bool {
		return !slices.ContainsFunc(only, c.called)
	})
	for _, part := range only {
		if !slices.ContainsFunc(all, func(c *contestant) bool { return c.called(part) }) {
			return nil, fmt.Errorf("--only %q is none of %s", part, names(all))
		}
	}
	return chosen, nil
}

// called says whether the text is a part of the name.
func (c *contestant) called(part string) bool {
	return strings.Contains(strings.ToLower(c.name), strings.ToLower(strings.TrimSpace(part)))
}

func names(all []*contestant) string {
	list := make([]string, len(all))
	for i, c := range all {
		list[i] = c.name
	}
	return strings.Join(list, "; ")
}
