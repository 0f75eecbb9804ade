// Package demo is `tidings demo`: a small world that changes by itself, two edges as real processes that show it to
// browsers, and a page with buttons that break things. It exists to be looked at, on a machine of one's own: whoever
// reaches it gets tokens and ends processes.
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/runner/child"
	"github.com/tidingsmesh/tidings/mesh"
)

// Config says how to run the demo.
type Config struct {
	Program    string       // this binary, which the edges run
	Env        []string     // KEY=value for the edges; their settings are added
	Listener   net.Listener // of the page; Run closes it
	NATSListen string       // where the embedded NATS takes the edges and other workers
	Data       string       // folder of the stream and of the edges' logs; "": one that is removed at the end
	Log        *slog.Logger
}

// Running is what a demo that runs can be reached with.
type Running struct {
	Room  string
	Edges []string // WebSocket addresses
	NATS  string   // for workers
	Token string   // may join the room, for a day
	Data  string   // folder
}

const edges = 2

// Run runs the demo until ctx ends and everything has ended, its processes included; running is told once all is up.
// Ending hard cuts an orderly end short.
func Run(ctx, hard context.Context, cfg Config, running func(Running) error) (err error) {
	defer func() { _ = cfg.Listener.Close() }() // mostly closed already
	if cfg.Data == "" {
		if cfg.Data, err = os.MkdirTemp("", "tidings-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(cfg.Data)) }()
	}
	server, err := mesh.StartServer(ctx, mesh.ServerConfig{Dir: filepath.Join(cfg.Data, "nats"), Listen: cfg.NATSListen}, cfg.Log)
	if err != nil {
		return err
	}
	defer server.Close()
	w, err := newWorker(ctx, server, cfg.Log)
	if err != nil {
		return err
	}
	defer w.close()
	c := &control{worker: w, secret: []byte(rand.Text() + rand.Text()), requests: newRequests()}
	known := hostsOf(cfg.Listener.Addr())
	if c.edges, err = newEdges(ctx, cfg, server.ClientURL(), string(c.secret), known); err != nil {
		return err
	}
	handler, err := newHandler(c, known, cfg.Log)
	if err != nil {
		return err
	}
	return runAll(ctx, hard, cfg, c, handler, func() error {
		r := Running{Room: room.String(), NATS: server.ClientURL(), Data: cfg.Data}
		for _, e := range c.edges {
			r.Edges = append(r.Edges, e.url(known[0]))
		}
		if r.Token, _, err = sign(c.secret, "demo-terminal", maxTTL); err != nil {
			return err
		}
		return running(r)
	})
}

// runAll runs the edges, and once they are up the world and the page, until ctx ends or something fails.
func runAll(outer, hard context.Context, cfg Config, c *control, handler http.Handler, announce func() error) error {
	ctx, stop := context.WithCancelCause(outer)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer stop(nil)
	for _, e := range c.edges {
		tasks.Go(func() { e.run(ctx, hard) })
	}
	for _, e := range c.edges {
		select {
		case err := <-e.first:
			if err != nil && outer.Err() == nil {
				return err
			}
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	tasks.Go(func() { c.worker.run(ctx, cfg.Log) })
	tasks.Go(func() {
		if err := serveHTTP(ctx, cfg.Listener, handler); err != nil {
			stop(fmt.Errorf("the page's listener: %w", err))
		}
	})
	if err := announce(); err != nil {
		return err
	}
	<-ctx.Done()
	if outer.Err() != nil {
		cfg.Log.Info("ending")
		return nil
	}
	return context.Cause(ctx)
}

// newEdges chooses ports for the edges, which they keep whenever they are started again.
func newEdges(ctx context.Context, cfg Config, workers, secret string, known hosts) ([]*edge, error) {
	host, port, err := net.SplitHostPort(cfg.Listener.Addr().String())
	if err != nil {
		return nil, err
	}
	const each = 2 // ports
	ports, err := child.FreePorts(ctx, each*edges)
	if err != nil {
		return nil, err
	}
	all := make([]*edge, edges)
	for i := range all {
		_, browsers, err := net.SplitHostPort(ports[each*i])
		if err != nil {
			return nil, err
		}
		name, operators := "edge-"+strconv.Itoa(i+1), ports[each*i+1]
		args := []string{
			"serve", "--edge-name", name, "--nats", workers, "--http", net.JoinHostPort(host, browsers), "--admin", operators,
			"--drain", drainTime.String(), "--stream-history", strconv.Itoa(history), "--stream-max-bytes", strconv.Itoa(storeBytes>>20) + "MiB",
		}
		for _, origin := range known.origins(port) {
			args = append(args, "--origin", origin)
		}
		all[i] = newEdge(name, browsers, child.New(child.Config{
			Name: name, Path: cfg.Program, Args: args, Env: append(slices.Clone(cfg.Env), "TIDINGS_JWT_SECRET="+secret),
			Log: filepath.Join(cfg.Data, name+".log"), Ready: child.Answers("http://" + operators + "/readyz"),
		}), cfg.Log)
	}
	return all, nil
}

// newHandler is everything that the page's listener serves.
func newHandler(c *control, known hosts, log *slog.Logger) (http.Handler, error) {
	mux := http.NewServeMux()
	files, err := fs.Sub(webFiles, "web")
	if err != nil {
		return nil, err
	}
	if err := addPage(mux, files); err != nil {
		return nil, err
	}
	graph, err := newGraphQL(c.worker, c.requests, log)
	if err != nil {
		return nil, err
	}
	mux.HandleFunc("/graphql", only(http.MethodPost, graph.ServeHTTP))
	c.routes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, fmt.Errorf("there is nothing at %.100q", r.URL.Path))
	})
	return guard(known, c.edges, mux), nil
}

// serveHTTP serves until ctx ends and the requests under way are answered.
func serveHTTP(ctx context.Context, ln net.Listener, handler http.Handler) error {
	const headers, idle, grace = 5 * time.Second, 2 * time.Minute, 5 * time.Second
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headers, IdleTimeout: idle,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if server.Shutdown(limited) != nil {
		_ = server.Close() // what is left had its time
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
