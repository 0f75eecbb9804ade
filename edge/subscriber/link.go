package subscriber

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/tidingsmesh/tidings/edge/wire"
)

const (
	// maxFrame bounds a frame of the server, in bytes: the largest event that a stream can be set to take (8 MiB), in base64.
	maxFrame = 16 << 20
	// Times for a handshake, from there to the welcome, for one frame to leave, and for the goodbye at the end.
	linkDialTime    = 10 * time.Second
	linkWelcomeTime = 10 * time.Second
	linkSendTime    = 10 * time.Second
	linkCloseTime   = 2 * time.Second
)

// link is one connection to a server. Its goroutine, run, dials and reads, and hands everything to the subscriber's loop,
// which does the writing and decides. It ends on an error, which it hands over last, or by end.
type link struct {
	url      string
	ctx      context.Context //nolint:containedctx // the life of the connection, not of a call
	cancel   context.CancelFunc
	ending   chan struct{} // closed by end: nothing more is handed over
	arrivals chan<- arrival
	cfg      *Config
	token    string // to be shown; set before run, or by run before it hands over conn

	// What follows belongs to the loop.
	conn     *websocket.Conn // nil until run has handed it over
	welcome  time.Time       // zero until then
	draining bool
	rejoins  int         // because of gaps
	renewal  *time.Timer // until a newer token is asked for; nil before the welcome
}

// arrival is one thing that a link has to tell: it is open (conn), a frame came (text), there is a newer token, or it has
// ended (err).
type arrival struct {
	link  *link
	conn  *websocket.Conn
	text  []byte
	frame wire.ServerFrame
	token string
	err   error
}

// newLink prepares a connection that outlives ctx, so that it can be closed properly when ctx has ended.
func newLink(ctx context.Context, cfg *Config, url, token string, arrivals chan<- arrival) *link {
	l := &link{url: url, token: token, cfg: cfg, ending: make(chan struct{}), arrivals: arrivals}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return l
}

// run is the goroutine of the link.
func (l *link) run(client *http.Client) {
	defer l.cancel()
	if l.token == "" {
		token, err := l.cfg.Token(l.ctx, "")
		if err != nil {
			l.hand(arrival{err: fmt.Errorf("no token: %w", err)})
			return
		}
		l.token = token
	}
	conn, err := l.dial(client)
	if err != nil {
		l.hand(arrival{err: err})
		return
	}
	defer func() { _ = conn.CloseNow() }()
	l.hand(arrival{conn: conn})
	for silence := linkWelcomeTime; ; {
		text, err := l.read(conn, silence)
		if err != nil {
			l.hand(arrival{err: err})
			return
		}
		f, err := wire.DecodeServer(text)
		if err != nil {
			l.hand(arrival{err: err})
			return
		}
		if f.Op == wire.OpWelcome && f.Ping > 0 {
			// The edge pings when it has been silent for this long; some more for the way and a busy machine.
			ping := min(time.Duration(f.Ping), 3600) * time.Second
			silence = ping + max(2*time.Second, ping/2)
		}
		l.hand(arrival{text: text, frame: f})
		if l.cfg.Pace != nil {
			l.cfg.Pace(l.ctx, len(text))
		}
	}
}

// renew asks for a newer token and hands it over, unless there is none.
func (l *link) renew() {
	if token, err := l.cfg.Token(l.ctx, ""); err == nil { // otherwise the edge will ask by closing
		l.hand(arrival{token: token})
	}
}

// hand gives a to the loop, unless the loop has given up the link.
func (l *link) hand(a arrival) {
	a.link = l
	select {
	case l.arrivals <- a:
	case <-l.ending:
	}
}

func (l *link) dial(client *http.Client) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, linkDialTime)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, l.url, &websocket.DialOptions{ //nolint:bodyclose // Dial has read and closed it
		HTTPClient: client, Subprotocols: []string{wire.Subprotocol},
	})
	switch {
	case err == nil:
	case resp != nil && resp.StatusCode != http.StatusSwitchingProtocols:
		return nil, newHandshakeError(resp)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("no answer within %s", linkDialTime)
	default:
		return nil, err
	}
	if conn.Subprotocol() != wire.Subprotocol {
		_ = conn.CloseNow()
		return nil, fmt.Errorf("the server does not speak %s", wire.Subprotocol)
	}
	conn.SetReadLimit(maxFrame)
	return conn, nil
}

// read waits for the next text message, for at most silence.
func (l *link) read(conn *websocket.Conn, silence time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(l.ctx, silence)
	defer cancel()
	kind, text, err := conn.Read(ctx)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("nothing came for %s", silence)
	case err != nil:
		return nil, err
	case kind != websocket.MessageText:
		return nil, errors.New("a binary message came")
	}
	return text, nil
}

// send writes one frame. It returns no error: what cannot be written to cannot be read from either, and run tells.
func (l *link) send(frame wire.ClientFrame) {
	text, err := json.Marshal(frame)
	if err != nil {
		return // unreachable: it consists of strings and numbers
	}
	ctx, cancel := context.WithTimeout(l.ctx, linkSendTime)
	defer cancel()
	_ = l.conn.Write(ctx, websocket.MessageText, text)
}

// end closes the connection, properly if the server plays along. run ends by it, and is waited for by the subscriber.
func (l *link) end() {
	close(l.ending)
	if l.renewal != nil {
		l.renewal.Stop()
	}
	if l.conn != nil {
		force := time.AfterFunc(linkCloseTime, l.cancel)
		defer force.Stop()
		_ = l.conn.Close(websocket.StatusNormalClosure, "")
	}
	l.cancel()
}
