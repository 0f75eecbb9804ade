package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/subjects/schema"
)

// serve starts what c describes and blocks until ctx ends and everything has stopped, in the reverse order of its start.
// Ending hard cuts the orderly end short.
func serve(ctx, hard context.Context, c ServeConfig, log *slog.Logger, out io.Writer) error {
	if c.Dev && c.JWTSecret == "" {
		c.JWTSecret = Secret(rand.Text() + rand.Text())
	}
	verifier, err := authz.NewVerifier(c.tokens(), log)
	if err != nil {
		return err
	}
	public, err := authz.ParsePatterns(c.Public)
	if err != nil {
		return err
	}
	schemas, err := schema.Load(c.Schemas)
	if err != nil {
		return err
	}

	// Ports first: that one is taken is the commonest reason not to start, and nothing has happened yet.
	browsers, err := listen(ctx, "http", c.HTTP)
	if err != nil {
		return err
	}
	defer func() { _ = browsers.Close() }()
	operators, err := listen(ctx, "admin", c.Admin)
	if err != nil {
		return err
	}
	defer func() { _ = operators.Close() }()

	dial := c.dial(c.NATS, "", log)
	workers := string(c.NATS)
	if c.NATS == "" {
		server, err := mesh.StartServer(ctx, mesh.ServerConfig{Dir: c.Data, Listen: c.NATSListen}, log)
		if err != nil {
			return err
		}
		defer server.Close()
		dial = mesh.DialConfig{Server: server, Log: log}
		workers = server.ClientURL()
	}

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	feed := mesh.DefaultFeedConfig()
	feed.Edge = c.edgeName()
	feed.Dial = dial
	feed.Stream = c.stream()
	feed.Validate = schemas.Check
	feed.Encode = edge.EncodeEvent
	feed.Metrics = registry
	feed.Linger, feed.Audit, feed.Settle = c.Linger, c.Audit, c.Settle
	f, err := mesh.NewFeed(feed, log)
	if err != nil {
		return err
	}

	web := http.NewServeMux()
	web.Handle("/schemas/", schemas.Handler())
	if c.Dev {
		dev, err := newDevPage(ctx, c, schemas, dial, log)
		if err != nil {
			return err
		}
		defer dev.Close()
		web.Handle("/", dev)
	}

	cfg := c.edge()
	cfg.Name = feed.Edge
	cfg.Feed = f
	cfg.Verifier = verifier
	cfg.Rules = authz.Rules{Public: public}
	cfg.Handler = web
	cfg.Metrics = registry
	e, err := edge.New(cfg, log)
	if err != nil {
		return err
	}
	if c.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return err
		}
		browsers = tls.NewListener(browsers, &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		})
	}

	admin := &http.Server{Handler: e.AdminHandler(registry), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	adminDone := make(chan error, 1)
	go func() { adminDone <- admin.Serve(operators) }()
	defer func() { // last to go, so that the shutdown can be watched
		_ = admin.Close()
		if err := <-adminDone; !errors.Is(err, http.ErrServerClosed) {
			log.Warn("operators' listener", slog.String("error", err.Error()))
		}
	}()

	log.Info("serving", slog.String("edge", cfg.Name), slog.String("http", browsers.Addr().String()),
		slog.String("admin", operators.Addr().String()), slog.String("nats", URL(workers).String()))
	if c.Dev {
		if err := c.printDev(out, program(), browsers.Addr(), operators.Addr(), workers); err != nil {
			return err
		}
	}
	err = e.Run(ctx, hard, browsers)
	log.Info("stopped")
	return err
}

// secondSignal returns a context that ends with the second of the signals from now on. One more ends the process. It
// listens from the start: a second signal that follows the first at once must not find nobody.
func secondSignal(signals []os.Signal) (hard context.Context, release func()) {
	hard, cancel := context.WithCancel(context.Background())
	if len(signals) == 0 { // which Notify would take for all
		return hard, cancel
	}
	came := make(chan os.Signal, 2)
	signal.Notify(came, signals...)
	var listening sync.WaitGroup
	listening.Go(func() {
		defer signal.Stop(came)
		for range 2 {
			select {
			case <-came:
			case <-hard.Done():
				return
			}
		}
		cancel()
	})
	return hard, func() {
		cancel()
		listening.Wait()
	}
}

// listen opens a port and says what to do when it is taken.
func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	// Pings of the protocol find dead clients; the kernel's keep-alive would cost four system calls a connection.
	lc := net.ListenConfig{KeepAlive: -1}
	ln, err := lc.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("--%s %s: the port is taken by another process; stop it or give another address", flag, address)
	case err != nil:
		return nil, fmt.Errorf("--%s %s: %w", flag, address, err)
	}
	return ln, nil
}

func (c *ServeConfig) edge() edge.Config {
	cfg := edge.DefaultConfig()
	cfg.Origins = c.Origin
	cfg.Transport = edge.Transport(c.Transport)
	cfg.TLS = c.TLSCert != ""
	cfg.Drain = c.Drain
	if !c.Poll {
		cfg.PollPath = ""
	}
	cfg.DeflateFrom = int(c.DeflateFrom)
	l := &cfg.Limits
	l.Message = int(c.MaxMessage)
	l.Token = int(c.MaxToken)
	l.Handshake = int(c.MaxHandshake)
	l.Headers = c.MaxHeaders
	l.HandshakeTimeout = c.HandshakeTimeout
	l.HelloTimeout = c.HelloTimeout
	l.Rooms = c.MaxRooms
	l.JoinRate = c.JoinRate
	l.JoinBurst = c.JoinBurst
	l.PerUser = c.MaxPerUser
	l.PerAddress = c.MaxPerAddress
	l.ClientBuffer = int(c.ClientBuffer)
	l.TotalBuffer = int(c.TotalBuffer)
	l.SlowTimeout = c.SlowTimeout
	l.Ping = c.Ping
	l.PongTimeout = c.PongTimeout
	return cfg
}

var notInEdgeName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// edgeName is the configured name, or one that no other process has.
func (c *ServeConfig) edgeName() string {
	if c.EdgeName != "" {
		return c.EdgeName
	}
	host, err := os.Hostname()
	if err != nil {
		host = "edge"
	}
	host = notInEdgeName.ReplaceAllString(host, "-")
	return host[:min(len(host), 48)] + "-" + strings.ToLower(rand.Text()[:8])
}
