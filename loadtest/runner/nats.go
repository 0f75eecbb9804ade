package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/subjects"
)

const (
	// natsPatience is how long NATS may take to answer before anything is begun.
	natsPatience = 5 * time.Second
	// longestRetry is that of a worker: a crash of the stream's leader stops acks for some seconds.
	longestRetry = 20 * time.Second
)

// worker publishes through NATS, as applications do.
type worker struct {
	publisher *mesh.Publisher
	close     func()
	rooms     []subjects.Room
}

// newWorker connects and looks at the stream of rooms.
func newWorker(ctx context.Context, dial mesh.DialConfig, rooms []string) (*worker, error) {
	dial.Name = "tidings loadtest"
	nc, err := mesh.Dial(ctx, dial)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, natsPatience)
	defer cancel()
	if _, err := mesh.FetchStreamInfo(limited, nc, subjects.StreamName); err != nil {
		defer nc.Close()
		if why := nc.LastError(); !nc.IsConnected() && why != nil {
			err = why
		}
		return nil, fmt.Errorf("NATS at %s: %w", dial.URL, err)
	}
	w := &worker{close: nc.Close}
	for _, name := range rooms {
		room, err := subjects.ParseRoom(name)
		if err != nil {
			nc.Close()
			return nil, err
		}
		w.rooms = append(w.rooms, room)
	}
	if w.publisher, err = mesh.NewPublisher(nc, mesh.PublisherConfig{Retry: longestRetry, MaxWaiting: maxQueued}); err != nil {
		nc.Close()
		return nil, err
	}
	return w, nil
}

func (w *worker) Close() { w.close() }

// Publish stores the events together, or none of them.
func (w *worker) Publish(ctx context.Context, room int, events []Event) (stored int, err error) {
	series := make([]subjects.Event, len(events))
	for i, e := range events {
		series[i] = subjects.Event{ID: subjects.NewID(), Source: "/tidings/loadtest", Type: e.Type, Time: time.Now().UTC(), Data: e.Data}
	}
	acks, err := w.publisher.PublishSeries(ctx, w.rooms[room], series...)
	if err != nil {
		return len(acks), publishError(err)
	}
	return len(acks), nil
}

// publishError is err without the room, so that equal ones can be counted.
func publishError(err error) error {
	for _, kind := range []error{mesh.ErrStoreFull, mesh.ErrTooLarge, mesh.ErrNotPermitted, mesh.ErrBusy, mesh.ErrUnavailable} {
		if errors.Is(err, kind) && !errors.Is(err, mesh.ErrUnknownOutcome) {
			return fmt.Errorf("%w: %w", ErrNotStored, kind)
		}
	}
	if errors.Is(err, mesh.ErrUnknownOutcome) {
		return mesh.ErrUnknownOutcome
	}
	return err
}
