package edge

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/mesh"
)

// Transport names how sockets are driven.
type Transport string

const (
	// TransportAuto takes epoll where it exists and TLS is not terminated here, else portable.
	TransportAuto Transport = "auto"
	// TransportEpoll keeps no goroutine per connection. Linux only, no TLS.
	TransportEpoll Transport = "epoll"
	// TransportPortable reads with one goroutine per connection. Works everywhere.
	TransportPortable Transport = "portable"
)

// Config configures an [Edge]. Start from [DefaultConfig].
type Config struct {
	// Name is sent to clients and must be the feed's edge name.
	Name string
	// Path is where WebSockets are accepted (default /ws).
	Path string
	// PollPath is where polls are answered, for clients whose network blocks WebSockets (default /poll); empty: nowhere.
	PollPath string
	// Origins that browsers may come from, as scheme://host[:port]; none: the request's own host.
	Origins []string
	// Handler serves every request that is not a WebSocket upgrade; nil answers 404.
	Handler http.Handler
	// Transport drives the sockets (default auto); TLS says that the listener speaks TLS.
	Transport Transport
	TLS       bool
	// Shards is the number of event loops (default GOMAXPROCS).
	Shards int
	// DeflateFrom is the size in bytes from which on an event's frame is compressed, once for all receivers of
	// a shard that negotiated permessage-deflate. 0 (the default) does not offer it to clients.
	DeflateFrom int
	// Feed brings the events. The edge runs it and stops it last.
	Feed *mesh.Feed
	// Verifier checks tokens, Rules decide about rooms.
	Verifier *authz.Verifier
	Rules    authz.Rules
	Limits   Limits
	// Drain is the time clients get to move away at shutdown (default 10 s).
	Drain time.Duration
	// Metrics receives the edge's collectors; nil keeps them to itself.
	Metrics prometheus.Registerer
}

// Limits bound what one client, one user, one address and all together may take.
type Limits struct {
	Message          int           // one client message, bytes (16 KiB)
	Token            int           // bytes (8 KiB)
	Handshake        int           // request head, bytes (8 KiB)
	Headers          int           // headers of a handshake (64)
	HandshakeTimeout time.Duration // for the whole of it (5 s)
	HelloTimeout     time.Duration // from the handshake to hello (5 s)
	Rooms            int           // per connection (128)
	JoinRate         int           // joins per second and connection (100)
	JoinBurst        int           // joins at once (500)
	PerUser          int           // connections of one subject on this edge (32)
	PerAddress       int           // connections of one IP address on this edge (1000)
	ClientBuffer     int           // bytes queued for one slow client (256 KiB)
	TotalBuffer      int           // bytes queued for all of them (256 MiB)
	SlowTimeout      time.Duration // without any progress (30 s)
	Ping             time.Duration // silence before a ping (25 s)
	PongTimeout      time.Duration // for the answer (10 s)
}

// DefaultLimits returns the defaults named beside each field.
func DefaultLimits() Limits {
	return Limits{
		Message:          16 << 10,
		Token:            8 << 10,
		Handshake:        8 << 10,
		Headers:          64,
		HandshakeTimeout: 5 * time.Second,
		HelloTimeout:     5 * time.Second,
		Rooms:            128,
		JoinRate:         100,
		JoinBurst:        500,
		PerUser:          32,
		PerAddress:       1000,
		ClientBuffer:     256 << 10,
		TotalBuffer:      256 << 20,
		SlowTimeout:      30 * time.Second,
		Ping:             25 * time.Second,
		PongTimeout:      10 * time.Second,
	}
}

// DefaultConfig returns the defaults; Name, Feed and Verifier are the caller's.
func DefaultConfig() Config {
	return Config{
		Path:      "/ws",
		PollPath:  "/poll",
		Transport: TransportAuto,
		Shards:    runtime.GOMAXPROCS(0),
		Limits:    DefaultLimits(),
		Drain:     10 * time.Second,
	}
}

// Validate reports everything that cannot work.
func (c Config) Validate() error {
	var wrong []error
	positive := func(name string, n int) {
		if n < 1 {
			wrong = append(wrong, fmt.Errorf("%s is %d, want at least 1", name, n))
		}
	}
	if c.Path == "/" && c.Handler != nil {
		wrong = append(wrong, errors.New("path / leaves nothing to the handler"))
	}
	if c.PollPath == c.Path || c.PollPath != "" && c.PollPath[0] != '/' {
		wrong = append(wrong, fmt.Errorf("poll path %q, want one like /poll, another than that of WebSockets, or none", c.PollPath))
	}
	if c.Feed == nil || c.Verifier == nil {
		wrong = append(wrong, errors.New("feed and verifier are required"))
	}
	switch c.Transport {
	case TransportAuto, TransportPortable:
	case TransportEpoll:
		if runtime.GOOS != "linux" || c.TLS {
			wrong = append(wrong, errors.New("transport epoll needs Linux and a listener without TLS"))
		}
	default:
		wrong = append(wrong, fmt.Errorf("transport %q, want auto, epoll or portable", c.Transport))
	}
	l := c.Limits
	if c.DeflateFrom < 0 {
		wrong = append(wrong, fmt.Errorf("deflate from %d bytes, want 0 for not at all or more", c.DeflateFrom))
	}
	positive("shards", c.Shards)
	positive("message limit", l.Message)
	positive("token limit", l.Token)
	positive("rooms limit", l.Rooms)
	positive("join rate", l.JoinRate)
	positive("join burst", l.JoinBurst)
	positive("connections per user", l.PerUser)
	positive("connections per address", l.PerAddress)
	positive("client buffer", l.ClientBuffer)
	positive("total buffer", l.TotalBuffer)
	for name, d := range map[string]time.Duration{
		"hello timeout": l.HelloTimeout, "slow timeout": l.SlowTimeout, "ping": l.Ping, "pong timeout": l.PongTimeout,
	} {
		if d <= 0 {
			wrong = append(wrong, fmt.Errorf("%s is %s, want more than 0", name, d))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("edge: bad configuration: %w", errors.Join(wrong...))
	}
	return nil
}

// kernelTimeout is when the kernel gives up a connection that takes nothing, or the writer of one with TLS.
// The edge's own timer comes first, because it can say why.
func (c *Config) kernelTimeout() time.Duration { return c.Limits.SlowTimeout + 5*time.Second }
