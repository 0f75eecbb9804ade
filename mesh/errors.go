package mesh

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrConfig is wrapped by every error that says a configuration value
	// cannot work. Trying again does not help.
	ErrConfig = errors.New("mesh: bad configuration")

	// ErrServerStart is wrapped by every error of StartServer that is not an
	// ErrConfig: a port that is taken, a folder that another process holds.
	ErrServerStart = errors.New("mesh: embedded NATS did not start")

	// ErrStreamMissing says that the stream does not exist and that these
	// credentials may not create it.
	ErrStreamMissing = errors.New("mesh: stream does not exist")

	// ErrUnavailable says that nobody answered: JetStream is off, the stream
	// has no leader or replica within reach, or the connection is down. It
	// passes; try again.
	ErrUnavailable = errors.New("mesh: no server answers")

	// ErrNotPermitted says that the server refused the subject for these
	// credentials. It does not pass by itself.
	ErrNotPermitted = errors.New("mesh: not permitted")

	// ErrStoreFull says that the stream or the JetStream store has reached a
	// limit which it may not make room for by itself. Nothing was stored;
	// reads go on. A disk that is full before any limit is not that: the server
	// then does not answer.
	ErrStoreFull = errors.New("mesh: store is full")

	// ErrTooLarge says that a message exceeds what the stream or the server
	// accepts. Nothing was stored.
	ErrTooLarge = errors.New("mesh: message too large")

	// ErrUnknownOutcome says that a publish was sent and never acked within
	// the retry time: the event may or may not be stored. Publishing it again
	// with the same id within the stream's duplicate window is safe.
	ErrUnknownOutcome = errors.New("mesh: publish was not acked")

	// ErrBatch says that a list of rooms or events is empty, too long, or has one twice.
	ErrBatch = errors.New("mesh: bad batch")

	// ErrBusy says that a bound on waiting publishers was reached.
	ErrBusy = errors.New("mesh: too many publishers wait")

	// errBrokenBatch says that a batch of direct gets has a hole or did not
	// come to its end marker, so nothing may be concluded from it.
	errBrokenBatch = errors.New("mesh: broken batch")

	// errTooManySubjects says that one multi_last request matched more
	// subjects than the server answers for.
	errTooManySubjects = errors.New("mesh: too many subjects in one read")
)

// statusError is a status reply of the JetStream direct-get API (ADR-31) that
// is neither "end of batch" nor "no message".
type statusError struct {
	Code        string
	Description string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("server answered %s %s", e.Code, e.Description)
}

// apiError is an error that the JetStream API put into its JSON reply.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode)
}

// FieldMismatch is one field of an existing stream that the continuity proof
// cannot live with.
type FieldMismatch struct {
	Field string // name in the stream's JSON configuration
	Got   string
	Want  string
	Mend  string // what an operator does about it
}

// StreamMismatchError says that the stream exists but that its configuration
// would let an edge call a history complete that is not. Nothing was changed.
type StreamMismatchError struct {
	Stream string
	Fields []FieldMismatch
}

func (e *StreamMismatchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "stream %s cannot carry rooms:", e.Stream)
	for i, f := range e.Fields {
		if i > 0 {
			b.WriteByte(';')
		}
		fmt.Fprintf(&b, " %s is %s, want %s (%s)", f.Field, f.Got, f.Want, f.Mend)
	}
	return b.String()
}
