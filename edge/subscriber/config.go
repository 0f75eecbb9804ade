package subscriber

import (
	"context"
	"net/http"
	"time"

	"github.com/tidingsmesh/tidings/edge/follow"
	"github.com/tidingsmesh/tidings/edge/wire"
)

// Config configures a [Subscriber].
type Config struct {
	// URLs are the WebSocket addresses of edges, at least one; the next is tried when one is lost. The
	// subscriber keeps the slice.
	URLs []string
	// Token returns a token to show. It is called for every connection, and on an open one when three
	// quarters of the token's time are over. refused is the token that the last edge did not accept, or
	// "": who has no other returns it again, which ends the subscriber. Calls can overlap.
	Token func(ctx context.Context, refused string) (string, error)
	// Rooms to be in from the start; [Subscriber.Join] adds more. Since holds positions to resume from.
	Rooms []string
	Since map[string]wire.Position
	// Observer hears what happens.
	Observer Observer
	// HTTP carries the handshakes. Default: a transport of the subscriber's own, with the proxy of the
	// environment.
	HTTP *http.Transport
	// Pace, when set, is called with the length of each message that was read, before the next is read.
	// It can wait, and so make a slow reader.
	Pace func(ctx context.Context, bytes int)
}

// Observer hears what a subscriber does and gets. The methods are called from its loop, one at a time,
// and hold it up as long as they take.
type Observer interface {
	// Frame gets every frame of an edge but pings, as decoded and as it came, before the subscriber acts
	// on what follows from it. For an event, outcome is what becomes of it, and replay says that it
	// belongs to a replay; a program applies those that are New. An error ends the subscriber.
	Frame(f wire.ServerFrame, text []byte, outcome follow.Outcome, replay bool) error
	// Sending tells of a frame that is about to be sent; its token is left out.
	Sending(f wire.ClientFrame)
	// Link tells what happens to connections.
	Link(e LinkEvent)
}

// LinkKind tells link events apart.
type LinkKind uint8

const (
	LinkDialing    LinkKind = iota // URL is tried
	LinkConnected                  // welcomed by Edge at URL
	LinkMoved                      // the same, while the connection before it was being drained
	LinkDraining                   // URL goes Within; Next is tried in Wait
	LinkLost                       // URL is lost for Reason; Next is tried in Wait
	LinkSuperseded                 // URL is lost, or left; another connection is on its way, or there already
)

// LinkEvent is something that happened to a connection.
type LinkEvent struct {
	Kind   LinkKind
	URL    string
	Edge   string
	Reason string
	Code   wire.Code // of the close frame that ended it, 0 without one
	// Standby says that it was the second connection of a drain: the first is still there.
	Standby bool
	Next    string
	Wait    time.Duration
	Within  time.Duration
}

// EndError says why a subscriber ended for good: trying again cannot help.
type EndError struct {
	URL    string
	Reason string
	// Token says that the edge did not accept the token, and that there is no other.
	Token bool
}

func (e *EndError) Error() string { return e.URL + ": " + e.Reason }
