package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/subjects"
	"github.com/tidingsmesh/tidings/subjects/schema"
)

// maxDevBody bounds a publish from the page, in bytes; the stream's own limit on an event is usually lower.
const maxDevBody = 256 << 10

// devRequest is the body of POST /dev/publish.
type devRequest struct {
	Room string `json:"room"`
	Type string `json:"type"`
	// Data is the event's data as the text that was typed, so that every mistake in it is found here, and numbers keep
	// their digits. Empty: an event without data.
	Data string `json:"data"`
}

// devPublished is the answer: the stream holds the event.
type devPublished struct {
	Seq uint64 `json:"seq"`
	ID  string `json:"id"`
}

// devPublish serves POST /dev/publish. Its caller has refused requests from pages of other origins.
type devPublish struct {
	publisher *mesh.Publisher
	schemas   *schema.Registry
}

// fieldError is a mistake in one field of the form.
type fieldError struct {
	field string
	err   error
}

func (e *fieldError) Error() string { return e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

var (
	errDevMedia = errors.New("the body must be application/json")
	errDevBody  = errors.New("the body must be one JSON object with room, type and data, all of them text")
)

func (p *devPublish) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	room, event, err := p.read(w, r)
	if err != nil {
		refuseDev(w, err)
		return
	}
	ack, err := p.publisher.Publish(r.Context(), room, event)
	if err != nil {
		refuseDev(w, err)
		return
	}
	devAnswer(w, http.StatusOK, devPublished{Seq: ack.Seq, ID: ack.ID})
}

// read takes the request apart and checks the event as an edge will, so that a mistake is seen by who made it and not
// in the quarantine.
func (p *devPublish) read(w http.ResponseWriter, r *http.Request) (subjects.Room, subjects.Event, error) {
	var (
		room subjects.Room
		in   devRequest
	)
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return room, subjects.Event{}, errDevMedia
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDevBody))
	if err != nil {
		return room, subjects.Event{}, fmt.Errorf("read the body: %w", err)
	}
	if json.Unmarshal(body, &in) != nil {
		return room, subjects.Event{}, errDevBody
	}

	if room, err = subjects.ParseRoom(in.Room); err != nil {
		return room, subjects.Event{}, &fieldError{"room", err}
	}
	event := subjects.Event{ID: subjects.NewID(), Source: "/tidings/dev", Type: in.Type, Time: time.Now().UTC()}
	if in.Data != "" {
		if err := json.Unmarshal([]byte(in.Data), &event.Data); err != nil {
			return room, event, &fieldError{"data", fmt.Errorf("the data is not one JSON value: %w", err)}
		}
	}
	if err := event.Validate(); err != nil {
		return room, event, err
	}
	return room, event, p.schemas.Check(event)
}

// refuseDev answers in words what went wrong, and where on the form.
func refuseDev(w http.ResponseWriter, err error) {
	status, problem := http.StatusInternalServerError, devProblem{Error: err.Error()}
	if field, ok := errors.AsType[*fieldError](err); ok {
		status, problem.Field = http.StatusUnprocessableEntity, field.field
	}
	if invalid, ok := errors.AsType[*subjects.InvalidEventError](err); ok {
		status, problem = http.StatusUnprocessableEntity, devProblem{Error: invalid.Detail, Field: "data"}
		if invalid.Reason == subjects.ReasonNoType || invalid.Reason == subjects.ReasonBadAttribute {
			problem.Field = "type"
		}
	}
	large, isLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case isLarge:
		status = http.StatusRequestEntityTooLarge
		problem = devProblem{Error: fmt.Sprintf("the request is larger than %d bytes", large.Limit), Field: "data"}
	case errors.Is(err, mesh.ErrTooLarge):
		status, problem.Field = http.StatusRequestEntityTooLarge, "data"
	case errors.Is(err, errDevMedia):
		status = http.StatusUnsupportedMediaType
	case errors.Is(err, errDevBody):
		status = http.StatusBadRequest
	case errors.Is(err, mesh.ErrUnavailable), errors.Is(err, mesh.ErrUnknownOutcome):
		status = http.StatusServiceUnavailable
	case errors.Is(err, mesh.ErrStoreFull):
		status = http.StatusInsufficientStorage
	}
	devAnswer(w, status, problem)
}
