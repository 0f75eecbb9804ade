package mesh

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	reconnectWait   = 250 * time.Millisecond
	pingInterval    = 5 * time.Second
	maxPingsOut     = 2
	dialTimeout     = 2 * time.Second
	writeTimeout    = 10 * time.Second
	repeatLogsAfter = 30 * time.Second
)

// DialConfig says how to reach NATS. Either Server or URL is set.
type DialConfig struct {
	// Server connects in process, without a socket. Everything below but the
	// hooks, Name and Log is then of no use.
	Server *Server
	// URL is one NATS address or several, separated by commas:
	// nats://host:4222 or tls://host:4222. Credentials do not belong here, since
	// addresses are logged.
	URL string
	// Name is shown in the server's list of connections.
	Name string

	// CredsFile holds a user JWT and its seed. User and Password are for
	// servers that know users by name. At most one kind.
	CredsFile      string
	User, Password string
	TLS            TLSConfig

	// InboxPrefix starts every reply subject of this connection; default
	// _INBOX. The users in nats.conf may only subscribe to their own.
	InboxPrefix string
	// ReconnectBuffer is how many bytes of publishes are kept while the
	// connection is down. The default 0 keeps none: a publish fails at once
	// and whoever sent it decides.
	ReconnectBuffer int

	Log *slog.Logger

	// The hooks run one at a time in the connection's callback goroutine and
	// must not block it. OnConnect runs for the first connection, OnReconnect
	// for every later one, OnDisconnect when one is lost, OnUnreachable after
	// every attempt that failed, OnSlow when a subscription's channel was full
	// and messages were dropped.
	OnConnect     func()
	OnReconnect   func()
	OnDisconnect  func(err error)
	OnUnreachable func(err error)
	OnSlow        func(sub *nats.Subscription)

	// drained, which may be nil, is called by the goroutine that reads from the connection each time
	// that all it has read is in the subscriptions' channels. It must not wait.
	drained func()
}

// TLSConfig names PEM files. CAFile replaces the system's authorities; CertFile
// and KeyFile, together, are this side's certificate. All empty: TLS is used
// only when the URL or the server asks for it.
type TLSConfig struct {
	CAFile, CertFile, KeyFile string
}

// Dial returns a connection that keeps itself up: it is returned also when no
// server can be reached yet and then connects as soon as one can. Only what
// waiting cannot mend is an error (ErrConfig). The first attempt takes at most 2 s
// per address; ctx is only looked at before it. A dead link is noticed after
// 10 to 15 s. Credentials that the server refuses are logged and tried again, as
// they may be put right on the server. The caller owns the connection and
// closes it.
func Dial(ctx context.Context, cfg DialConfig) (*nats.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	address, opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(address, opts...)
	if err != nil {
		return nil, fmt.Errorf("%w: NATS at %s: %w", ErrConfig, address, err)
	}
	return nc, nil
}

func (c DialConfig) options() (address string, opts []nats.Option, err error) {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	link := &linkLog{log: log.With(slog.String("connection", c.Name))}
	opts = []nats.Option{
		nats.Name(c.Name),
		nats.Timeout(dialTimeout),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPingsOut),
		nats.FlusherTimeout(writeTimeout),
		nats.ReconnectBufSize(reconnectBuffer(c.ReconnectBuffer)),
		nats.ConnectHandler(func(nc *nats.Conn) {
			link.up("connected to NATS", nc)
			call(c.OnConnect)
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			link.up("reconnected to NATS", nc)
			call(c.OnReconnect)
		}),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if nc.IsClosed() {
				return
			}
			link.down("connection to NATS lost", err)
			if c.OnDisconnect != nil {
				c.OnDisconnect(err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			link.unreachable(err)
			if c.OnUnreachable != nil {
				c.OnUnreachable(err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			link.failed(sub, err)
			if errors.Is(err, nats.ErrSlowConsumer) && c.OnSlow != nil {
				c.OnSlow(sub)
			}
		}),
	}
	if c.InboxPrefix != "" {
		if strings.ContainsAny(c.InboxPrefix, " \t\r\n*>") || slices.Contains(strings.Split(c.InboxPrefix, "."), "") {
			return "", nil, fmt.Errorf("%w: NATS inbox prefix %q: want a subject without wildcards, such as _INBOX_edge", ErrConfig, c.InboxPrefix)
		}
		opts = append(opts, nats.CustomInboxPrefix(c.InboxPrefix))
	}
	if c.Server != nil {
		if c.URL != "" {
			return "", nil, fmt.Errorf("%w: both an embedded server and the NATS address %q", ErrConfig, c.URL)
		}
		var server nats.InProcessConnProvider = c.Server.srv
		if c.drained != nil {
			server = &liveDialer{server: server, drained: c.drained}
		}
		return "nats://embedded", append(opts, nats.InProcessServer(server)), nil
	}
	if err := checkURLs(c.URL); err != nil {
		return "", nil, err
	}
	auth, err := c.credentials()
	if err != nil {
		return "", nil, err
	}
	secure, err := c.TLS.options()
	if err != nil {
		return "", nil, err
	}
	if c.drained != nil {
		opts = append(opts, nats.SetCustomDialer(&liveDialer{Dialer: net.Dialer{Timeout: dialTimeout}, drained: c.drained}))
	}
	return c.URL, append(append(opts, auth...), secure...), nil
}

// reconnectBuffer is size as the client library wants it: -1 for none.
func reconnectBuffer(size int) int {
	if size <= 0 {
		return -1
	}
	return size
}

func call(hook func()) {
	if hook != nil {
		hook()
	}
}

// reconnectDelay is the wait after all addresses have been tried once: 250 to
// 500 ms at random, so that edges do not come back in step.
func reconnectDelay(int) time.Duration {
	return reconnectWait + rand.N(reconnectWait) //nolint:gosec // spreads load, guards nothing
}

func checkURLs(list string) error {
	if strings.TrimSpace(list) == "" {
		return fmt.Errorf("%w: no NATS address: want one like nats://127.0.0.1:4222", ErrConfig)
	}
	for raw := range strings.SplitSeq(list, ",") {
		raw = strings.TrimSpace(raw)
		u, err := url.Parse(raw)
		if err != nil {
			return fmt.Errorf("%w: NATS address is no URL: want one like nats://127.0.0.1:4222", ErrConfig)
		}
		switch {
		case u.Scheme != "nats" && u.Scheme != "tls":
			return fmt.Errorf("%w: NATS address %q: want nats://host:port or tls://host:port", ErrConfig, u.Redacted())
		case u.Hostname() == "":
			return fmt.Errorf("%w: NATS address %q has no host", ErrConfig, u.Redacted())
		case u.User != nil:
			return fmt.Errorf("%w: NATS address %q holds credentials: give them as user and password or as a credentials file, since addresses are logged", ErrConfig, u.Redacted())
		case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
			return fmt.Errorf("%w: NATS address %q: nothing may follow the port", ErrConfig, u.Redacted())
		}
	}
	return nil
}

func (c DialConfig) credentials() ([]nats.Option, error) {
	switch {
	case c.CredsFile != "" && c.User != "":
		return nil, fmt.Errorf("%w: both a credentials file and a user", ErrConfig)
	case c.CredsFile != "":
		// The client reads the file anew on each connect, so that it can be
		// replaced; a file that cannot work should not wait until then.
		creds, err := os.ReadFile(c.CredsFile)
		if err != nil {
			return nil, fmt.Errorf("%w: NATS credentials: %w", ErrConfig, err)
		}
		if !strings.Contains(string(creds), "BEGIN NATS USER JWT") || !strings.Contains(string(creds), "NKEY SEED") {
			return nil, fmt.Errorf("%w: NATS credentials %s: holds no user JWT with its seed (`nsc generate creds` makes one)", ErrConfig, c.CredsFile)
		}
		return []nats.Option{nats.UserCredentials(c.CredsFile)}, nil
	case c.User != "":
		return []nats.Option{nats.UserInfo(c.User, c.Password)}, nil
	case c.Password != "":
		return nil, fmt.Errorf("%w: a NATS password without a user", ErrConfig)
	}
	return nil, nil
}

func (c TLSConfig) options() ([]nats.Option, error) {
	if c == (TLSConfig{}) {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("%w: NATS authority: %w", ErrConfig, err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: NATS authority %s: holds no PEM certificate", ErrConfig, c.CAFile)
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return nil, fmt.Errorf("%w: NATS certificate and key: want both or neither", ErrConfig)
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("%w: NATS certificate: %w", ErrConfig, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return []nats.Option{nats.Secure(cfg)}, nil
}

// linkLog logs what happens to one connection, and the same trouble only once
// in 30 s.
type linkLog struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // by kind of trouble, a handful
}

func (l *linkLog) due(kind string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if at, ok := l.last[kind]; ok && now.Sub(at) < repeatLogsAfter {
		return false
	}
	if l.last == nil {
		l.last = make(map[string]time.Time)
	}
	l.last[kind] = now
	return true
}

func (l *linkLog) up(msg string, nc *nats.Conn) {
	l.mu.Lock()
	clear(l.last)
	l.mu.Unlock()
	l.log.LogAttrs(context.Background(), slog.LevelInfo, msg,
		slog.String("server", nc.ConnectedServerName()), slog.String("address", nc.ConnectedUrlRedacted()))
}

func (l *linkLog) down(msg string, err error) {
	l.log.LogAttrs(context.Background(), slog.LevelWarn, msg, errAttr(err))
}

func (l *linkLog) unreachable(err error) {
	if isAuthError(err) {
		l.refused(err)
		return
	}
	if l.due("unreachable") {
		l.log.LogAttrs(context.Background(), slog.LevelWarn, "NATS cannot be reached, trying on", errAttr(err))
	}
}

func (l *linkLog) refused(err error) {
	if l.due("refused") {
		l.log.LogAttrs(context.Background(), slog.LevelError, "NATS refuses these credentials, trying on", errAttr(err))
	}
}

// failed logs an error that the server or the client library reports out of
// band.
func (l *linkLog) failed(sub *nats.Subscription, err error) {
	switch {
	case isAuthError(err):
		l.refused(err)
	case errors.Is(err, nats.ErrPermissionViolation):
		if l.due("permission") {
			l.log.LogAttrs(context.Background(), slog.LevelError, "NATS does not permit this subject", errAttr(err))
		}
	case errors.Is(err, nats.ErrSlowConsumer):
		if l.due("slow") {
			l.log.LogAttrs(context.Background(), slog.LevelWarn, "messages dropped before they were read", slog.String("subject", subjectOf(sub)))
		}
	case l.due("other"):
		l.log.LogAttrs(context.Background(), slog.LevelWarn, "NATS reports an error", errAttr(err), slog.String("subject", subjectOf(sub)))
	}
}

func subjectOf(sub *nats.Subscription) string {
	if sub == nil {
		return ""
	}
	return sub.Subject
}

func isAuthError(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired)
}

func errAttr(err error) slog.Attr {
	if err == nil {
		return slog.String("error", "closed by the server")
	}
	return slog.String("error", err.Error())
}
