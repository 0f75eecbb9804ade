package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/tidingsmesh/tidings/edge/subscriber"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/subjects"
)

type subCmd struct {
	Rooms []string `arg:"" name:"room" help:"Rooms as kind:id, for example campaign:42."`

	URL   []string `name:"url" sep:"none" default:"ws://127.0.0.1:8080/ws" placeholder:"URL" help:"WebSocket address of a server; repeatable: the next is tried when one is lost."`
	Token Secret   `placeholder:"TOKEN" help:"Token to show; better as TIDINGS_TOKEN than on a command line."`
	Since string   `placeholder:"POSITION" help:"Replay from this position, the JSON object of a joined frame; for one room only."`
}

// noToken tells where a token comes from.
const noToken = `no token to show: give --token or, better, TIDINGS_TOKEN. The application's login gives one out; to try things out,
"tidings token --sub alice --room campaign:42" signs one with the server's secret, and "tidings serve --dev" prints one`

// Run prints frames until ctx ends, which is no error, nor is that nobody reads standard output any more.
func (c *subCmd) Run(ctx context.Context, m *Main, o origins) error {
	var wrong problems
	check := func(flag string, err error) {
		if err != nil {
			wrong = append(wrong, o.errorf(flag, "%w", err))
		}
	}
	var rooms []string
	for _, name := range c.Rooms {
		if _, err := subjects.ParseRoom(name); err != nil {
			wrong = append(wrong, err)
		} else if !slices.Contains(rooms, name) {
			rooms = append(rooms, name)
		}
	}
	if len(c.URL) == 0 {
		check("url", errors.New("is an empty list; give at least one address"))
	}
	for _, u := range c.URL {
		check("url", socketURL(u))
	}
	if c.Token == "" {
		wrong = append(wrong, errors.New(noToken))
	}
	var since *wire.Position
	if c.Since != "" {
		var err error
		since, err = parseSince(c.Since)
		check("since", err)
		if len(c.Rooms) > 1 {
			check("since", fmt.Errorf("is a position in one room, but %d are given", len(c.Rooms)))
		}
	}
	if err := wrong.asError(); err != nil {
		return err
	}

	// Without this the end of `tidings sub … | head` would kill the process before it has said goodbye to the server.
	signal.Ignore(syscall.SIGPIPE)
	out := newSubPrinter(m.Stdout, m.Stderr, rooms)
	cfg := subscriber.Config{
		URLs: c.URL, Rooms: rooms, Observer: out,
		Token: func(context.Context, string) (string, error) { return string(c.Token), nil },
	}
	if since != nil {
		cfg.Since = map[string]wire.Position{rooms[0]: *since}
	}
	s := subscriber.New(cfg)
	err := s.Run(ctx)
	end, ended := errors.AsType[*subscriber.EndError](err)
	switch {
	case err == nil, errors.Is(err, errNobodyReads):
		out.tellPlaces(rooms, s.Places())
		return nil
	case ended && end.Token:
		return fmt.Errorf("%s: %s; %s", showURL(end.URL), end.Reason, newToken)
	case ended:
		return fmt.Errorf("%s: %s", showURL(end.URL), end.Reason)
	default:
		return err
	}
}

const newToken = "get a new one and give it as TIDINGS_TOKEN" //nolint:gosec // an advice, no credential

// socketURL accepts what a subscriber can dial.
func socketURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Hostname() == "" || u.Fragment != "":
		return fmt.Errorf("%q is no WebSocket address; write ws://host:port/ws or wss://host/ws", URL(s))
	case u.User != nil:
		return fmt.Errorf("%q holds credentials; a token goes into TIDINGS_TOKEN", URL(s))
	}
	return nil
}

// parseSince reads a position strictly: an edge would take a mangled one for a lost one and replay nothing.
func parseSince(s string) (*wire.Position, error) {
	const example = `{"epoch":"…","seq":1042,"id":"…","ts":1732390000123}`
	var p struct {
		Epoch string  `json:"epoch"`
		Seq   *uint64 `json:"seq"`
		ID    string  `json:"id"`
		TS    int64   `json:"ts"`
	}
	decoder := json.NewDecoder(strings.NewReader(s))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return nil, fmt.Errorf("is no position like %s, as a joined frame holds it: %w", example, err)
	}
	if rest := bytes.TrimSpace([]byte(s)[decoder.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("has something behind the position: %.32q", rest)
	}
	const mostSafe = 1 << 53 // what every JSON implementation keeps
	switch {
	case p.Epoch == "" || p.Seq == nil:
		return nil, fmt.Errorf("needs epoch and seq: %s", example)
	case *p.Seq == 0 || *p.Seq > mostSafe:
		return nil, fmt.Errorf("seq is %d, want 1 to %d", *p.Seq, uint64(mostSafe))
	}
	return &wire.Position{Epoch: p.Epoch, Seq: *p.Seq, ID: p.ID, TS: p.TS}, nil
}
