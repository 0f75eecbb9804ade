package main

import (
	"time"

	"github.com/tidingsmesh/tidings/internal/bytesize"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/mesh"
)

// ServeConfig is every setting of the server. The tags are the one place that spells a flag, its default and its help:
// the command line, the environment, the YAML file and docs/configuration.md all follow from them.
type ServeConfig struct {
	HTTP        string        `group:"Listening" default:":8080" placeholder:"ADDR" help:"Address for browsers: HTTP and WebSocket on one port."`
	Admin       string        `group:"Listening" default:"127.0.0.1:9090" placeholder:"ADDR" help:"Address for operators: /healthz, /readyz, /metrics, pprof. It asks for no password, so keep it on loopback or a private network."`
	TLSCert     string        `group:"Listening" name:"tls-cert" placeholder:"FILE" help:"Certificate chain in PEM; with --tls-key, --http speaks TLS."`
	TLSKey      string        `group:"Listening" name:"tls-key" placeholder:"FILE" help:"Private key of --tls-cert in PEM."`
	Origin      []string      `group:"Listening" sep:"none" placeholder:"ORIGIN" help:"Web origin that may connect, as scheme://host[:port]; repeatable. Without any, pages of the same host may."`
	Poll        bool          `group:"Listening" default:"true" help:"Answer polls at /poll as well, for clients whose network blocks WebSockets. One is parked for --ping at most."`
	EdgeName    string        `group:"Listening" placeholder:"NAME" help:"Name of this server among the others, 1 to 64 of A-Z a-z 0-9 _ -; must differ on every server. Default: host name and a random part."`
	Transport   string        `group:"Listening" default:"auto" enum:"auto,epoll,portable" help:"How sockets are driven: epoll (Linux without TLS), portable (one goroutine each), or auto for the better one that works."`
	DeflateFrom bytesize.Size `group:"Listening" default:"0B" placeholder:"SIZE" help:"Agree to compression (permessage-deflate) and compress events from this size on, once for all receivers; 0B for neither. 512B is a good start."`
	Drain       time.Duration `group:"Listening" default:"10s" placeholder:"DURATION" help:"Time given to clients to move to another server at an orderly end; 0s closes them at once."`

	Data       string `group:"NATS" default:"./data" placeholder:"DIR" help:"Folder of the embedded NATS server's streams; not used with --nats."`
	NATS       URL    `group:"NATS" name:"nats" placeholder:"URL" help:"External NATS instead of the embedded one, several servers separated by commas. Without user or password: addresses are logged."`
	NATSListen string `group:"NATS" name:"nats-listen" default:"127.0.0.1:4222" placeholder:"ADDR" help:"Address at which the embedded NATS takes workers. It asks for no password: who reaches it may publish to every room."`
	NATSLogin

	JWTSecret Secret        `group:"Tokens" name:"jwt-secret" placeholder:"SECRET" help:"Shared secret of HS256, HS384 and HS512 tokens, at least 32 bytes. On a command line every local user can read it: rather TIDINGS_JWT_SECRET or the file."`
	JWTKey    []string      `group:"Tokens" name:"jwt-key" sep:"none" placeholder:"FILE" help:"Public key in PEM that verifies RS, PS, ES or EdDSA tokens; repeatable."`
	JWKS      URL           `group:"Tokens" name:"jwks" placeholder:"URL" help:"Where the identity provider publishes its keys; fetched again as they rotate."`
	Audience  string        `group:"Tokens" placeholder:"AUDIENCE" help:"Required in the token's aud. Without it aud is not looked at."`
	Issuer    string        `group:"Tokens" placeholder:"ISSUER" help:"Required as the token's iss. Without it iss is not looked at."`
	Leeway    time.Duration `group:"Tokens" default:"30s" placeholder:"DURATION" help:"Clock difference tolerated in exp, nbf and iat, at most 60s."`

	Public  []string      `group:"Rooms and events" sep:"none" default:"broadcast:*" placeholder:"PATTERN" help:"Rooms that every authenticated client may join (campaign:42, broadcast:*); repeatable. An empty one means none."`
	Schemas string        `group:"Rooms and events" placeholder:"DIR" help:"Folder of JSON Schemas for the application's own event types, beside the built-in catalogue."`
	Linger  time.Duration `group:"Rooms and events" default:"45s" placeholder:"DURATION" help:"Time for which a room is followed after its last client has left; makes a reload or a short absence cheap."`
	Audit   time.Duration `group:"Rooms and events" default:"30s" placeholder:"DURATION" help:"How often every joined room is compared with the stream, which finds a last event that was not announced."`
	Settle  time.Duration `group:"Rooms and events" default:"2s" placeholder:"DURATION" help:"Time after the last event or join of a room at which it is compared as well; 0s for not at all."`

	MaxMessage       bytesize.Size `group:"Limits" default:"16KiB" placeholder:"SIZE" help:"One message of a client."`
	MaxToken         bytesize.Size `group:"Limits" default:"8KiB" placeholder:"SIZE" help:"One token; 8KiB is the most."`
	MaxHandshake     bytesize.Size `group:"Limits" default:"8KiB" placeholder:"SIZE" help:"Request line and headers of a handshake."`
	MaxHeaders       int           `group:"Limits" default:"64" placeholder:"N" help:"Headers of a handshake."`
	HandshakeTimeout time.Duration `group:"Limits" default:"5s" placeholder:"DURATION" help:"Time for the whole handshake."`
	HelloTimeout     time.Duration `group:"Limits" default:"5s" placeholder:"DURATION" help:"Time from the handshake to the hello frame."`
	MaxRooms         int           `group:"Limits" default:"128" placeholder:"N" help:"Rooms joined by one connection."`
	JoinRate         int           `group:"Limits" default:"100" placeholder:"N" help:"Joins per second of one connection."`
	JoinBurst        int           `group:"Limits" default:"500" placeholder:"N" help:"Joins of one connection at once, before --join-rate counts."`
	MaxPerUser       int           `group:"Limits" default:"32" placeholder:"N" help:"Connections of one user (the token's sub) on this server."`
	MaxPerAddress    int           `group:"Limits" default:"1000" placeholder:"N" help:"Connections from one IP address on this server."`
	ClientBuffer     bytesize.Size `group:"Limits" default:"256KiB" placeholder:"SIZE" help:"Queued for one slow client; past it nothing more is queued, and it gets the rest from the stream when it has read."`
	TotalBuffer      bytesize.Size `group:"Limits" default:"256MiB" placeholder:"SIZE" help:"Queued for all slow clients of this server together."`
	SlowTimeout      time.Duration `group:"Limits" default:"30s" placeholder:"DURATION" help:"Time without any progress after which a slow client is disconnected."`
	Ping             time.Duration `group:"Limits" default:"25s" placeholder:"DURATION" help:"Silence after which a client is pinged; stay below the idle timeout of every proxy in between."`
	PongTimeout      time.Duration `group:"Limits" default:"10s" placeholder:"DURATION" help:"Time for the answer to a ping, after which the connection counts as dead."`

	StreamReplicas   int           `group:"Stream" default:"1" placeholder:"N" help:"Copies of the stream: 1, 3 or 5. More than 1 needs a NATS cluster."`
	StreamMaxAge     time.Duration `group:"Stream" default:"24h" placeholder:"DURATION" help:"How long events are kept: the longest absence that can be caught up."`
	StreamMaxBytes   bytesize.Size `group:"Stream" default:"1GiB" placeholder:"SIZE" help:"Disk for all events together; past it the oldest go."`
	StreamHistory    int           `group:"Stream" default:"256" placeholder:"N" help:"Events kept per room; past it the room's oldest go."`
	StreamMaxMessage bytesize.Size `group:"Stream" default:"64KiB" placeholder:"SIZE" help:"One event with its headers; a larger one is refused at publishing."`

	LogLevel  string `group:"Operation" default:"info" enum:"debug,info,warn,error" help:"Least level logged: debug (with every join, leave and refusal), info, warn or error."`
	LogFormat string `group:"Operation" default:"text" enum:"text,json" help:"Log lines as text or json, on standard error."`
	Dev       bool   `group:"Operation" help:"For trying out: makes a secret when no key is given, prints tokens and commands, serves a page at /. Never in production."`
}

// hasKey says whether any token could be verified.
func (c *ServeConfig) hasKey() bool {
	return c.JWTSecret != "" || len(c.JWTKey) > 0 || c.JWKS != ""
}

// tokens is the part of the configuration that says which tokens are accepted.
func (c *ServeConfig) tokens() authz.Config {
	cfg := authz.DefaultConfig()
	cfg.Secret = []byte(c.JWTSecret)
	cfg.KeyFiles = c.JWTKey
	cfg.JWKSURL = string(c.JWKS)
	cfg.Audience, cfg.Issuer = c.Audience, c.Issuer
	cfg.Leeway = c.Leeway
	return cfg
}

// stream is the part of the configuration that says what is kept.
func (c *ServeConfig) stream() mesh.StreamConfig {
	cfg := mesh.DefaultStreamConfig()
	cfg.MaxMsgsPerSubject = int64(c.StreamHistory)
	cfg.MaxAge = c.StreamMaxAge
	cfg.MaxBytes = int64(c.StreamMaxBytes)
	cfg.MaxMsgSize = int32(c.StreamMaxMessage) //nolint:gosec // validate bounds it
	cfg.Replicas = c.StreamReplicas
	return cfg
}
