package subscriber

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/tidingsmesh/tidings/edge/wire"
)

// loss is what follows from a connection that ended or did not come about.
type loss struct {
	reason string
	// final: trying again cannot help.
	final bool
	// token: the edge did not accept it.
	token bool
	// code of the close frame, 0 without one.
	code wire.Code
	// elsewhere: this server sends its clients away, another one should be tried at once.
	elsewhere bool
	// wait is the least time to the next attempt.
	wait time.Duration
}

// maxRetryAfter bounds how long a server can make a subscriber wait.
const maxRetryAfter = 10 * time.Minute

// lossOf judges why a connection ended. known says that some server has welcomed this subscriber before: then an answer
// which would otherwise mean a wrong address is taken for a passing fault of something in between.
func lossOf(err error, known bool) loss {
	if refused, ok := errors.AsType[*handshakeError](err); ok {
		return refused.loss(known)
	}
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		l := closeLoss(closed)
		l.code = wire.Code(closed.Code) //nolint:gosec // it has 16 bits on the wire
		return l
	}
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	return loss{reason: plain(err), final: certificate && !known}
}

// closeLoss reads a close frame as the table in edge/wire says.
func closeLoss(closed websocket.CloseError) loss {
	code := wire.Code(closed.Code) //nolint:gosec // it has 16 bits on the wire
	info, ours := code.Info()
	parts := slices.DeleteFunc([]string{fmt.Sprintf("closed with %d", code), info.Name, closed.Reason},
		func(part string) bool { return part == "" })
	reason := strings.Join(parts, ": ")
	switch {
	case closed.Code == websocket.StatusGoingAway:
		return loss{reason: reason, elsewhere: true}
	case !ours:
		return loss{reason: reason}
	case !info.Reconnect:
		return loss{reason: reason, final: true}
	}
	switch code {
	case wire.CodeUnauthorized:
		return loss{reason: reason, token: true}
	case wire.CodeDraining:
		return loss{reason: reason, elsewhere: true}
	case wire.CodeLimit:
		return loss{reason: reason, wait: retryAfter(closed.Reason)}
	default:
		return loss{reason: reason}
	}
}

var retryAfterPattern = regexp.MustCompile(`\bretry_after=([0-9]{1,9})\b`)

// retryAfter finds the seconds in the reason of a 4429.
func retryAfter(reason string) time.Duration {
	if found := retryAfterPattern.FindStringSubmatch(reason); found != nil {
		return waitSeconds(found[1])
	}
	return 0
}

func waitSeconds(digits string) time.Duration {
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}

// handshakeError is an HTTP answer other than the upgrade.
type handshakeError struct {
	status     int
	body       string // its first line
	location   string
	retryAfter time.Duration
}

func newHandshakeError(resp *http.Response) *handshakeError {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256))
	if err != nil {
		body = nil // the status says enough
	}
	line, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(string(body), "")), "\n")
	if strings.HasPrefix(line, "<") {
		line = "" // a page for people
	}
	return &handshakeError{
		status: resp.StatusCode, body: line,
		location:   resp.Header.Get("Location"),
		retryAfter: waitSeconds(resp.Header.Get("Retry-After")),
	}
}

func (e *handshakeError) Error() string {
	reason := fmt.Sprintf("refused with HTTP %d %s", e.status, http.StatusText(e.status))
	if e.body != "" && e.body != http.StatusText(e.status) {
		reason += ": " + e.body
	}
	return reason
}

func (e *handshakeError) loss(known bool) loss {
	l := loss{reason: e.Error(), wait: e.retryAfter}
	switch s := e.status; {
	case s == http.StatusUnauthorized:
		l.token = true
	case s == http.StatusServiceUnavailable:
		l.elsewhere = true
	case s >= http.StatusInternalServerError, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout, s == http.StatusTooEarly:
	case s >= http.StatusMultipleChoices && s < http.StatusBadRequest:
		// Not followed: the token goes to the address that was given, and nowhere else.
		l.final = !known
		l.reason += fmt.Sprintf(", it points to %.200q; give the address itself", e.location)
	default:
		l.final = !known
		l.reason += "; is the address right? A server answers at /ws"
	}
	return l
}

// plain drops the layers of an error that repeat what is known.
func plain(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err.Error()
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err.Error()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the connection broke"
	}
	return err.Error()
}
