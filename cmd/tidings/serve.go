package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
)

type serveCmd struct {
	ServeConfig
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, m *Main, o origins) error {
	c.normalise()
	if err := c.validate(o); err != nil {
		return err
	}
	hard, release := secondSignal(m.Signals)
	defer release()
	err := serve(ctx, hard, c.ServeConfig, newLogger(c.ServeConfig, m.Stderr), m.Stdout)
	if end := context.Cause(ctx); end != nil && (errors.Is(err, end) || errors.Is(err, context.Canceled)) {
		return nil // it was told to end before it had started, which is an orderly end too
	}
	return err
}

// normalise drops empty elements of lists: `--public ""` is the way to write an empty list on a command line.
func (c *ServeConfig) normalise() {
	for _, list := range []*[]string{&c.Origin, &c.JWTKey, &c.Public} {
		kept := (*list)[:0]
		for _, element := range *list {
			if element != "" {
				kept = append(kept, element)
			}
		}
		*list = kept
	}
}

func newLogger(c ServeConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo // unreachable: the flag admits the four names only
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
