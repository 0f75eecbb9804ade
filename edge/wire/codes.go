package wire

import "strconv"

// Code is a WebSocket close code of the application range. What each asks of the client is part of
// the protocol: docs/protocol.md holds the same table and a test compares them.
type Code uint16

const (
	CodeProtocol     Code = 4400
	CodeUnauthorized Code = 4401
	CodeForbidden    Code = 4403
	CodeHelloTimeout Code = 4408
	CodeNoPong       Code = 4410
	CodeTooLarge     Code = 4413
	CodeLimit        Code = 4429
	CodeInternal     Code = 4500
	CodeDraining     Code = 4503
	CodeTooSlow      Code = 4508
)

// CodeInfo describes a close code.
type CodeInfo struct {
	Code Code
	// Name goes into logs, metrics and, when nothing more is to be said, the close reason.
	Name string
	// Reconnect is false when trying again cannot help.
	Reconnect bool
	// Client is what the client should do.
	Client string
}

// Codes lists every close code in order.
func Codes() []CodeInfo {
	return []CodeInfo{
		{CodeProtocol, "protocol error", false, "does not reconnect: it is a bug"},
		{CodeUnauthorized, "token rejected", true, "asks for a fresh token once, then gives up"},
		{CodeForbidden, "disconnected by an operator", false, "does not reconnect"},
		{CodeHelloTimeout, "hello timeout", true, "reconnects with backoff"},
		{CodeNoPong, "no pong", true, "reconnects with backoff"},
		{CodeTooLarge, "too many or too large", false, "does not reconnect"},
		{CodeLimit, "limit reached", true, "reconnects after `retry_after` seconds, given in the reason"},
		{CodeInternal, "internal error", true, "reconnects with backoff"},
		{CodeDraining, "draining", true, "reconnects now, elsewhere if it can"},
		{CodeTooSlow, "too slow for too long", true, "reconnects and resumes"},
	}
}

// Info returns the description of a close code; ok is false for a code that is not ours.
func (c Code) Info() (info CodeInfo, ok bool) {
	for _, info := range Codes() {
		if info.Code == c {
			return info, true
		}
	}
	return CodeInfo{}, false
}

// String returns the name, or the number of a code that is not ours.
func (c Code) String() string {
	if info, ok := c.Info(); ok {
		return info.Name
	}
	return strconv.Itoa(int(c))
}
