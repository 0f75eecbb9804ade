package subjects

import (
	"errors"
	"fmt"
)

var (
	// ErrInvalidRoom is wrapped by every error about the name of a room.
	ErrInvalidRoom = errors.New("invalid room")

	// ErrInvalidSubject is wrapped when a subject is not the one that the
	// package spells for some room. The cause may wrap ErrInvalidRoom as well.
	ErrInvalidSubject = errors.New("invalid subject")

	// ErrInvalidEdge is wrapped by every error about the name of an edge.
	ErrInvalidEdge = errors.New("invalid edge name")
)

// Why a message is no event. The set is closed, so a reason can be a metric
// label; Reasons lists it.
const (
	ReasonBadUTF8      = "bad_utf8"      // text that is not valid UTF-8
	ReasonNotJSON      = "not_json"      // the payload of a structured event is not JSON
	ReasonNotObject    = "not_object"    // it is JSON, but not an object
	ReasonTooDeep      = "too_deep"      // nested deeper than MaxDepth
	ReasonDuplicate    = "duplicate"     // an attribute, data or header is given twice
	ReasonBadFormat    = "bad_format"    // a CloudEvents content type other than JSON, or a batch
	ReasonBadVersion   = "bad_version"   // specversion other than 1.0
	ReasonNoType       = "no_type"       // the type attribute is missing or empty
	ReasonBadAttribute = "bad_attribute" // an attribute's value or an extension's name breaks CloudEvents
	ReasonBadData      = "bad_data"      // data that is not what it is said to be
	ReasonSchema       = "schema"        // data that breaks the schema of its event type
)

// Reasons lists every value of InvalidEventError.Reason.
func Reasons() []string {
	return []string{
		ReasonBadUTF8, ReasonNotJSON, ReasonNotObject, ReasonTooDeep, ReasonDuplicate, ReasonBadFormat,
		ReasonBadVersion, ReasonNoType, ReasonBadAttribute, ReasonBadData, ReasonSchema,
	}
}

// InvalidEventError says why a message is no event. It is what DecodeEvent,
// Event.Validate and schema.Registry.Check return.
type InvalidEventError struct {
	// Reason is one of the Reason constants.
	Reason string

	// Detail is one line for people. It may quote a few characters of the
	// event, so it belongs to the publisher and into quarantine, not into a
	// metric and not to other clients.
	Detail string
}

func (e *InvalidEventError) Error() string {
	return "invalid event: " + e.Reason + ": " + e.Detail
}

func invalid(reason, format string, args ...any) *InvalidEventError {
	return &InvalidEventError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
