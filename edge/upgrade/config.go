package upgrade

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Config configures an Acceptor. Start from DefaultConfig.
type Config struct {
	// Path is the request path of the WebSocket endpoint, compared byte by
	// byte with the request target up to its "?". Letters, digits and "/-._~".
	// Default "/ws".
	Path string

	// Subprotocol must be among those a client offers and is what the server
	// selects. Default "tidings.v1".
	Subprotocol string

	// Origins lists the web origins ("https://app.example.org",
	// "http://localhost:5173") whose pages may connect. The comparison is exact
	// on scheme, host and port; a default port may be left out. Empty: only
	// pages of the host in the Host header, whatever their scheme. "null"
	// allows pages without an origin (sandboxed frames, files). "*" allows
	// every page, which is harmless only as long as cookies and the client's
	// network place authenticate nobody. Clients that send no Origin are no
	// browsers and pass.
	Origins []string

	// Deflate accepts permessage-deflate from clients that offer it; see
	// Request.Deflate. Off, Sec-WebSocket-Extensions is not looked at. Default
	// off.
	Deflate bool

	// MaxHeadBytes bounds request line, headers and the empty line that ends
	// them. Each pending connection holds that much memory. Default 8192.
	MaxHeadBytes int

	// MaxHeaders bounds the number of header lines. Default 64.
	MaxHeaders int

	// Timeout is all the time a connection has from being accepted until it is
	// delivered: TLS handshake, request head, Check and the response, however
	// the client spreads its bytes. Default 5 s.
	Timeout time.Duration

	// MaxPending bounds the connections between accept and delivery; when as
	// many are pending, accepting pauses and the kernel's backlog queues.
	// Default 4096.
	MaxPending int

	// Check decides on a handshake that is valid so far, before the upgrade: a
	// nil result admits it. It may set Request.Value, must end when its context
	// does, and is called concurrently. Optional.
	Check func(context.Context, *Request) *Refusal

	// Deliver receives each upgraded connection and owns it from then on. It is
	// called concurrently; the connection counts as pending until it returns,
	// so it must not block. Required.
	Deliver func(Conn)

	// DeliverDescriptor is Deliver for a connection that never was a net.Conn: a non-blocking socket
	// of which Go's runtime does not know, with the bytes that came together with the handshake. It
	// is asked for where that is cheaper, on Linux for plain TCP; nil: never. No socket option is set.
	DeliverDescriptor func(fd int, early []byte, request *Request)

	// OnRefuse is told the reason of each connection that was neither delivered
	// nor handed to the HTTP server: one of the Reason constants or a Reason
	// from Check. Called concurrently. Optional.
	OnRefuse func(reason string)
}

// DefaultConfig returns the defaults named at each field.
func DefaultConfig() Config {
	return Config{
		Path:         "/ws",
		Subprotocol:  "tidings.v1",
		MaxHeadBytes: 8 << 10,
		MaxHeaders:   64,
		Timeout:      5 * time.Second,
		MaxPending:   4096,
	}
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case !plainPath(c.Path):
		return fmt.Errorf("%w: path %q: want a path like /ws of letters, digits and -._~", ErrConfig, c.Path)
	case !isToken(c.Subprotocol):
		return fmt.Errorf("%w: subprotocol %q is not an HTTP token", ErrConfig, c.Subprotocol)
	case c.MaxHeadBytes < 256:
		return fmt.Errorf("%w: max head bytes %d: want at least 256", ErrConfig, c.MaxHeadBytes)
	case c.MaxHeaders < 8:
		return fmt.Errorf("%w: max headers %d: want at least 8", ErrConfig, c.MaxHeaders)
	case c.Timeout <= 0:
		return fmt.Errorf("%w: timeout %s: want more than 0", ErrConfig, c.Timeout)
	case c.MaxPending < 1:
		return fmt.Errorf("%w: max pending %d: want at least 1", ErrConfig, c.MaxPending)
	case c.Deliver == nil:
		return fmt.Errorf("%w: no Deliver function", ErrConfig)
	}
	_, err := newOriginPolicy(c.Origins)
	return err
}

func plainPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") {
		return false
	}
	return strings.IndexFunc(path, func(r rune) bool {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return false
		default:
			return !strings.ContainsRune("/-._~", r)
		}
	}) < 0
}
