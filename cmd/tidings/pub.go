package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/subjects"
	"github.com/tidingsmesh/tidings/subjects/schema"
)

// maxPubData bounds what pub reads from standard input, in bytes; every stream takes less.
const maxPubData = 8 << 20

type pubCmd struct {
	Room string `arg:"" help:"Room as kind:id, for example campaign:42."`
	Type string `arg:"" help:"Event type, for example settlement_updated."`
	Data string `arg:"" optional:"" help:"The event's data as one JSON value, or - to read it from standard input."`

	NATS    URL           `name:"nats" group:"NATS" default:"nats://127.0.0.1:4222" placeholder:"URL" help:"NATS to publish to, several servers separated by commas."`
	ID      string        `name:"id" placeholder:"ID" help:"Id of the event; within the stream's duplicate window the same id is stored once. Default: a new one."`
	Schemas string        `placeholder:"DIR" help:"Folder of JSON Schemas for the application's own event types, as serve has it, to check the event by."`
	Wait    time.Duration `default:"20s" placeholder:"DURATION" help:"How long to try again while the stream does not answer, at most 25s."`
	NATSLogin
}

// Run publishes one event and prints its sequence in the stream, and nothing else, on standard output.
func (c *pubCmd) Run(ctx context.Context, m *Main, o origins) error {
	var wrong problems
	check := func(flag string, err error) {
		if err != nil {
			wrong = append(wrong, o.errorf(flag, "%w", err))
		}
	}
	check("nats", serverURLs(c.NATS))
	check("wait", between(c.Wait, time.Second, mesh.MaxRetry))
	c.validate(check)
	room, err := subjects.ParseRoom(c.Room)
	if err != nil {
		wrong = append(wrong, err)
	}
	event, err := c.event(m.Stdin)
	if err != nil {
		wrong = append(wrong, err)
	}
	if err := wrong.asError(); err != nil {
		return err
	}

	log := slog.New(slog.NewTextHandler(m.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	nc, err := mesh.Dial(ctx, c.dial(c.NATS, "tidings pub", log))
	if err != nil {
		return err
	}
	defer nc.Close()
	publisher, err := mesh.NewPublisher(nc, mesh.PublisherConfig{Retry: c.Wait, Log: log})
	if err != nil {
		return err
	}
	ack, err := publisher.Publish(ctx, room, event)
	if err != nil {
		return err
	}
	if ack.Duplicate {
		fmt.Fprintf(m.Stderr, "The stream holds event %s already; nothing was stored again.\n", ack.ID)
	}
	_, err = fmt.Fprintln(m.Stdout, ack.Seq)
	return err
}

// event is checked as an edge will check it, so that a mistake is seen here and not in the quarantine.
func (c *pubCmd) event(stdin io.Reader) (subjects.Event, error) {
	e := subjects.Event{ID: c.ID, Source: "/tidings/pub", Type: c.Type, Time: time.Now().UTC()}
	if e.ID == "" {
		e.ID = subjects.NewID()
	}
	if c.Data != "" {
		data := []byte(c.Data)
		if c.Data == "-" {
			var err error
			if data, err = io.ReadAll(io.LimitReader(stdin, maxPubData+1)); err != nil {
				return e, fmt.Errorf("read standard input: %w", err)
			}
			if len(data) > maxPubData {
				return e, fmt.Errorf("standard input is larger than %d bytes", maxPubData)
			}
		}
		if err := json.Unmarshal(data, &e.Data); err != nil {
			return e, fmt.Errorf("the data is not one JSON value: %w", err)
		}
	}
	if err := e.Validate(); err != nil {
		return e, err
	}
	registry, err := schema.Load(c.Schemas)
	if err != nil {
		return e, err
	}
	if err := registry.Check(e); err != nil {
		return e, errors.Join(err, fmt.Errorf("an edge would keep it in quarantine; see the schema of %q at /schemas/", e.Type))
	}
	return e, nil
}
