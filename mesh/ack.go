package mesh

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// pubAck is what the stream answers to a publish.
type pubAck struct {
	Stream    string    `json:"stream"`
	Seq       uint64    `json:"seq"`
	Duplicate bool      `json:"duplicate"`
	Count     int       `json:"count"` // messages in an atomic batch
	Error     *apiError `json:"error"`
}

var (
	errNoAck     = errors.New("no ack")
	errNotUp     = errors.New("not connected to NATS")
	errRetryOver = errors.New("retry time is over")
	// errWrongStream says that the room's subject belongs to another stream.
	errWrongStream = errors.New("another stream stored the event")
)

// neverSent tells what the client library says of a message while its connection is down, in words that would mislead: of
// its buffer, or of headers if the connection has never been up.
func neverSent(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrHeadersNotSupported)
}

func decodeAck(m *nats.Msg, stream string) (pubAck, error) {
	var reply pubAck
	if err := json.Unmarshal(m.Data, &reply); err != nil {
		return pubAck{}, fmt.Errorf("ack: %w", err)
	}
	if reply.Error != nil {
		return pubAck{}, reply.Error.classify()
	}
	if reply.Stream != stream {
		return pubAck{}, fmt.Errorf("%w: %s, want %s", errWrongStream, reply.Stream, stream)
	}
	return reply, nil
}

// JetStream's codes for refused publishes.
const (
	codeAccountLimit     = 10002
	codeNoResources      = 10023
	codeNoMemory         = 10028
	codeNoStorage        = 10047
	codeMessageTooLarge  = 10054
	codeStoreFailed      = 10077
	codeHeaderTooLarge   = 10097
	codeStreamOffline    = 10118
	codeDuplicatePending = 10158
	codeBatchIncomplete  = 10176
	codeBatchDuplicate   = 10201
	codeNotLeader        = 10009
)

// classify wraps an error of the API in the sentinel that callers look for.
func (e *apiError) classify() error {
	switch e.ErrCode {
	case codeAccountLimit, codeNoResources, codeNoMemory, codeNoStorage:
		return fmt.Errorf("%w: %w", ErrStoreFull, e)
	case codeStoreFailed:
		if strings.Contains(e.Description, "maximum") || strings.Contains(e.Description, "no space") {
			return fmt.Errorf("%w: %w", ErrStoreFull, e)
		}
	case codeMessageTooLarge, codeHeaderTooLarge:
		return fmt.Errorf("%w: %w", ErrTooLarge, e)
	}
	return e
}

// outcome is what one attempt to publish tells.
type outcome int

const (
	stored         outcome = iota
	notStored              // certainly not; try again
	outcomeUnknown         // it may be; try again with the same id
	refusedForGood         // certainly not, and it would be refused again
)

func judge(err error) outcome {
	var api *apiError
	switch {
	case err == nil:
		return stored
	case errors.Is(err, ErrStoreFull), errors.Is(err, ErrTooLarge), errors.Is(err, ErrNotPermitted):
		return refusedForGood
	case errors.As(err, &api):
		return api.outcome()
	case errors.Is(err, errUncommitted), errors.Is(err, nats.ErrNoResponders), errors.Is(err, errNotUp), neverSent(err):
		return notStored
	case errors.Is(err, errNoAck), errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrDisconnected):
		return outcomeUnknown
	}
	// Among these a closed connection, max_payload, and another stream's ack.
	return refusedForGood
}

func (e *apiError) outcome() outcome {
	switch {
	case e.ErrCode == codeDuplicatePending:
		return outcomeUnknown // an earlier attempt is on its way to the store
	case e.Code == 503, e.Code == 429, e.ErrCode == codeNotLeader, e.ErrCode == codeStreamOffline,
		e.ErrCode == codeBatchIncomplete, e.ErrCode == codeStoreFailed:
		return notStored
	}
	return refusedForGood
}
