package frames

import (
	"fmt"

	"github.com/gobwas/ws"
)

// ProtocolError says how a client broke RFC 6455 or a limit. The connection
// cannot be used further: the server answers with a close frame carrying Code
// and Reason, and closes.
type ProtocolError struct {
	// Code is 1002 (protocol error), 1003 (unsupported data), 1007 (invalid
	// payload) or 1009 (message too big).
	Code ws.StatusCode
	// Reason is one of a small fixed set of texts without anything the client
	// sent, so it may label a metric and fits a close frame.
	Reason string
}

// Error implements error.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("websocket: close %d: %s", e.Code, e.Reason)
}

// The violations a Reader can report. Shared and never changed, so that
// refusing a client allocates nothing.
var (
	errReservedBits    = &ProtocolError{ws.StatusProtocolError, "reserved bits set that no extension allows there"}
	errReservedOpCode  = &ProtocolError{ws.StatusProtocolError, "reserved opcode"}
	errFragmentControl = &ProtocolError{ws.StatusProtocolError, "fragmented control frame"}
	errLongControl     = &ProtocolError{ws.StatusProtocolError, "control frame longer than 125 bytes"}
	errUnmasked        = &ProtocolError{ws.StatusProtocolError, "unmasked frame"}
	errNotContinued    = &ProtocolError{ws.StatusProtocolError, "new message inside a fragmented one"}
	errNothingStarted  = &ProtocolError{ws.StatusProtocolError, "continuation without a message"}
	errNegativeLength  = &ProtocolError{ws.StatusProtocolError, "payload length with its top bit set"}
	errLongLength      = &ProtocolError{ws.StatusProtocolError, "payload length not in its shortest form"}
	errCloseLength     = &ProtocolError{ws.StatusProtocolError, "close payload of one byte"}
	errCloseCode       = &ProtocolError{ws.StatusProtocolError, "close code not allowed in a frame"}
	errCloseReason     = &ProtocolError{ws.StatusInvalidFramePayloadData, "close reason is not UTF-8"}
	errBinary          = &ProtocolError{ws.StatusUnsupportedData, "binary messages are not supported"}
	errText            = &ProtocolError{ws.StatusInvalidFramePayloadData, "text message is not UTF-8"}
	errDeflate         = &ProtocolError{ws.StatusInvalidFramePayloadData, "compressed message is malformed"}
	errTooBig          = &ProtocolError{ws.StatusMessageTooBig, "message larger than the limit"}
)
