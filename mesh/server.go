// Package mesh carries events between publishers, the stream that keeps them,
// and the edges that show them. It is the only package that speaks NATS: it
// embeds a server or dials one, checks the stream, publishes, and follows
// rooms without losing anything silently.
package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ServerConfig is the configuration of an embedded NATS server.
type ServerConfig struct {
	// Dir holds the JetStream store. It is created when absent and belongs to
	// one process at a time.
	Dir string
	// Listen is the address for workers, such as 127.0.0.1:4222; port 0 takes
	// any free one. Empty: no listener, only this process can connect. There
	// is no authentication: whoever reaches the address may publish, read and
	// delete. Anything but loopback calls for a NATS server of its own with
	// nats.conf.
	Listen string
	// MaxStore bounds the JetStream store in bytes. Default 0: three quarters
	// of the free disk. The stream's MaxBytes must fit into it.
	MaxStore int64
	// SyncInterval is how often the store is synced to disk. Default 2
	// minutes: a crash of the process loses nothing, a power cut loses what was
	// acked since. SyncAlways syncs before each ack, at about ten times the
	// latency.
	SyncInterval time.Duration
	SyncAlways   bool
}

// serverStart bounds StartServer when its context does not: a large store takes
// about a second per million rooms to recover.
const serverStart = 60 * time.Second

// Validate reports every value that cannot work.
func (c ServerConfig) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, fmt.Errorf("%w: no data folder", ErrConfig))
	}
	if c.Listen != "" {
		if _, _, err := splitListen(c.Listen); err != nil {
			errs = append(errs, err)
		}
	}
	if c.MaxStore < 0 {
		errs = append(errs, fmt.Errorf("%w: store limit %d: want 0 (automatic) or more", ErrConfig, c.MaxStore))
	}
	if c.SyncInterval < 0 {
		errs = append(errs, fmt.Errorf("%w: sync interval %s: want 0 (2m) or more", ErrConfig, c.SyncInterval))
	}
	return errors.Join(errs...)
}

// Server is an embedded NATS server with JetStream. It installs no signal
// handler and never ends the process.
type Server struct {
	srv    *server.Server
	lock   *os.File
	closed sync.Once
}

// StartServer starts a server and returns when it and its JetStream are ready.
// Its errors wrap ErrConfig or ErrServerStart and say what to do. The caller owns
// the server and closes it; ctx only bounds the start.
func StartServer(ctx context.Context, cfg ServerConfig, log *slog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	if err := probeListen(ctx, cfg.Listen); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("%w: data folder: %w", ErrServerStart, err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("%w: data folder %s: %w", ErrServerStart, cfg.Dir, err)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%w: %w", ErrServerStart, err)
	}
	s := &Server{srv: srv, lock: lock}
	adapter := newServerLog(log)
	srv.SetLoggerV2(adapter, false, false, false)
	srv.Start()
	if err := s.awaitReady(ctx, adapter.fatal); err != nil {
		s.Close()
		return nil, fmt.Errorf("%w: data folder %s: %w", ErrServerStart, cfg.Dir, err)
	}
	return s, nil
}

func (c ServerConfig) options() (*server.Options, error) {
	opts := &server.Options{
		ServerName:             "tidings-embedded",
		DontListen:             c.Listen == "",
		NoSigs:                 true,
		NoSystemAccount:        false,
		JetStream:              true,
		JetStreamMaxStore:      c.MaxStore,
		StoreDir:               c.Dir,
		SyncInterval:           c.SyncInterval,
		SyncAlways:             c.SyncAlways,
		DisableJetStreamBanner: true,
	}
	if c.Listen == "" {
		return opts, nil
	}
	host, port, err := splitListen(c.Listen)
	if err != nil {
		return nil, err
	}
	opts.Host, opts.Port = host, port
	if port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	return opts, nil
}

func splitListen(listen string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(listen)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%w: NATS listen address %q: want host:port such as 127.0.0.1:4222", ErrConfig, listen)
	}
	return host, port, nil
}

// probeListen finds out whether the address can be listened on. The server
// would say so only in its log.
func probeListen(ctx context.Context, listen string) error {
	if listen == "" {
		return nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("%w: %w: another NATS server may run there; use that one by its address, or listen elsewhere", ErrServerStart, err)
	}
	return ln.Close()
}

// awaitReady returns when clients can connect and JetStream runs.
func (s *Server) awaitReady(ctx context.Context, fatal <-chan string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, serverStart, fmt.Errorf("not ready after %s", serverStart))
	defer cancel()
	for {
		select {
		case text := <-fatal:
			return errors.New(text)
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
		}
		if s.srv.ReadyForConnections(20*time.Millisecond) && s.srv.JetStreamEnabled() {
			return nil
		}
	}
}

// ClientURL is the address for workers, "" when the server does not listen.
func (s *Server) ClientURL() string {
	addr, ok := s.srv.Addr().(*net.TCPAddr)
	if !ok || addr == nil {
		return ""
	}
	return "nats://" + addr.String()
}

// Health returns nil while the server can store events, and otherwise what it says is wrong: a disk that
// was full, for example, ends that until the server is restarted.
func (s *Server) Health() error {
	status := s.srv.Healthz(nil)
	if status.Status == "ok" {
		return nil
	}
	return fmt.Errorf("embedded NATS: %s", status.Error)
}

// Close stops the server and returns when it has stopped and the data folder
// is free again. It may be called more than once and by several goroutines; all
// of them wait.
func (s *Server) Close() {
	s.closed.Do(func() {
		s.srv.Shutdown()
		s.srv.WaitForShutdown()
		_ = s.lock.Close() // releases the lock
	})
}

// serverLog passes nats-server's log on. Its notices are the start banner and
// the like, hence debug.
type serverLog struct {
	log   *slog.Logger
	fatal chan string // holds the first fatal message
}

func newServerLog(log *slog.Logger) *serverLog {
	return &serverLog{log: log, fatal: make(chan string, 1)}
}

func (l *serverLog) write(level slog.Level, format string, args []any) {
	ctx := context.Background()
	if l.log.Enabled(ctx, level) {
		l.log.LogAttrs(ctx, level, "nats server", slog.String("detail", strings.TrimSpace(fmt.Sprintf(format, args...))))
	}
}

func (l *serverLog) Noticef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }
func (l *serverLog) Warnf(format string, v ...any)   { l.write(slog.LevelWarn, format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.write(slog.LevelError, format, v) }
func (l *serverLog) Debugf(format string, v ...any)  { l.write(slog.LevelDebug, format, v) }
func (l *serverLog) Tracef(format string, v ...any)  { l.write(slog.LevelDebug, format, v) }

// Fatalf keeps the message for StartServer. nats-server expects the process to
// end here; when it does not, the server's start returns.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.write(slog.LevelError, format, v)
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}
