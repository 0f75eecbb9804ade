package runner

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner/child"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
	"github.com/tidingsmesh/tidings/mesh"
)

// TidingsConfig says what installation to start.
type TidingsConfig struct {
	Binary     string   // tidings
	NATSServer string   // nats-server
	Edges      int      // default 1
	Dir        string   // existing folder for stores and logs
	Flags      []string // further ones of serve, for every edge
	NATSFlags  []string // further ones of nats-server
}

// Tidings is an installation that the harness has started: nats-server and edges, each a process, on ports of its own.
type Tidings struct {
	cfg     TidingsConfig
	nats    *child.Child
	edges   []*child.Child
	urls    []string
	admin   []string // host:port of each edge
	monitor string   // host:port of nats-server
	dial    mesh.DialConfig
	tokens  Tokens
	version string // of the edges
	broker  string // version of nats-server
}

// startTime bounds the start of one process.
const startTime = 30 * time.Second

// StartTidings starts it and waits until it serves. The caller closes it.
func StartTidings(ctx context.Context, cfg TidingsConfig) (*Tidings, error) {
	cfg.Edges = max(1, cfg.Edges)
	secret := rand.Text() + rand.Text()
	t := &Tidings{cfg: cfg, tokens: Secret(secret, "", "")}
	var err error
	if t.version, err = version(ctx, cfg.Binary, "version", "tidings "); err != nil {
		return nil, err
	}
	if t.broker, err = version(ctx, cfg.NATSServer, "--version", "nats-server: "); err != nil {
		return nil, err
	}
	file := filepath.Join(cfg.Dir, "tidings.yaml")
	if err := os.WriteFile(file, []byte("jwt-secret: "+secret+"\n"), 0o600); err != nil {
		return nil, err
	}
	if err := t.start(ctx, file); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// version is what a program says of itself in its first line, behind a prefix.
func version(ctx context.Context, program, argument, prefix string) (string, error) {
	out, err := exec.CommandContext(ctx, program, argument).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", program, argument, err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(first, prefix), nil
}

func (t *Tidings) start(ctx context.Context, file string) error {
	ports, err := child.FreePorts(ctx, 2+2*t.cfg.Edges)
	if err != nil {
		return err
	}
	if t.nats, err = t.startNATS(ctx, ports[0], ports[1]); err != nil {
		return err
	}
	t.dial, t.monitor = mesh.DialConfig{URL: "nats://" + ports[0]}, ports[1]
	for i := range t.cfg.Edges {
		name, browsers, operators := "edge-"+strconv.Itoa(i+1), ports[2+2*i], ports[3+2*i]
		limited, cancel := context.WithTimeout(ctx, startTime)
		e, err := child.Start(limited, child.Config{
			Name: name, Path: t.cfg.Binary, Log: filepath.Join(t.cfg.Dir, name+".log"), Ready: child.Answers("http://" + operators + "/readyz"),
			Args: append([]string{
				"serve", "--config", file, "--nats", t.dial.URL, "--http", browsers, "--admin", operators, "--edge-name", name,
			}, t.cfg.Flags...),
		})
		cancel()
		if err != nil {
			return err
		}
		t.edges = append(t.edges, e)
		t.urls = append(t.urls, "ws://"+browsers+"/ws")
		t.admin = append(t.admin, operators)
	}
	return nil
}

func (t *Tidings) startNATS(ctx context.Context, clients, monitor string) (*child.Child, error) {
	_, port, _ := strings.Cut(clients, ":")
	_, monitorPort, _ := strings.Cut(monitor, ":")
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return child.Start(ctx, child.Config{
		Name: "nats-server", Path: t.cfg.NATSServer, Log: filepath.Join(t.cfg.Dir, "nats-server.log"), Ready: child.Answers("http://" + monitor + "/healthz"),
		Args: append([]string{
			"-n", "loadtest", "-a", "127.0.0.1", "-p", port, "-m", monitorPort, "-js", "-sd", filepath.Join(t.cfg.Dir, "nats"),
		}, t.cfg.NATSFlags...),
	})
}

// Close ends all processes.
func (t *Tidings) Close() {
	for _, e := range t.edges {
		e.Kill()
	}
	if t.nats != nil {
		t.nats.Kill()
	}
}

// Dialect is Tidings' own.
func (*Tidings) Dialect() string { return "tidings" }

// URLs are one of each edge.
func (t *Tidings) URLs() []string { return t.urls }

// Admin are the edges' addresses for operators, host:port.
func (t *Tidings) Admin() []string { return t.admin }

// Monitor is where nats-server tells of itself, host:port.
func (t *Tidings) Monitor() string { return t.monitor }

// RestartNATS kills nats-server and starts it again; it returns when that answers.
func (t *Tidings) RestartNATS(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return t.nats.Restart(ctx)
}

// NATS is how to reach its NATS.
func (t *Tidings) NATS() mesh.DialConfig { return t.dial }

// Tokens are signed with the installation's secret.
func (t *Tidings) Tokens(ctx context.Context, holders []Holder) ([]string, error) {
	return t.tokens(ctx, holders)
}

// Publisher is a worker at NATS.
func (t *Tidings) Publisher(ctx context.Context, rooms []string) (Publisher, error) {
	w, err := newWorker(ctx, t.dial, rooms)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Processes are the edges and nats-server.
func (t *Tidings) Processes() []Process {
	var all []Process
	for i, e := range t.edges {
		all = append(all, Process{Name: "edge " + strconv.Itoa(i+1), PID: e.PID(), Role: report.Server})
	}
	return append(all, Process{Name: "nats-server", PID: t.nats.PID(), Role: report.Broker})
}

// Fault kills or ends all edges, and starts them again after the time; drain does it with one after the other.
func (t *Tidings) Fault(ctx context.Context, kind string, down time.Duration) error {
	together := [][]*child.Child{t.edges}
	if kind == scenario.Drain {
		together = nil
		for _, e := range t.edges {
			together = append(together, []*child.Child{e})
		}
	}
	for _, edges := range together {
		if err := takeDown(ctx, edges, kind == scenario.Kill, down); err != nil {
			return err
		}
	}
	return nil
}

func takeDown(ctx context.Context, edges []*child.Child, kill bool, down time.Duration) error {
	for _, e := range edges {
		if kill {
			e.Kill()
		} else {
			e.Stop(ctx)
		}
	}
	timer := time.NewTimer(down)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, e := range edges {
		if err := e.Restart(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Describe tells version and flags.
func (t *Tidings) Describe() report.Target {
	return report.Target{
		Name: "Tidings", Version: t.version, Dialect: t.Dialect(), URLs: t.urls, Servers: len(t.edges),
		Settings: map[string]string{"nats-server": t.broker, "flags": strings.Join(t.cfg.Flags, " ")},
	}
}
