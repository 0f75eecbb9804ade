package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner/child"
	"github.com/tidingsmesh/tidings/loadtest/runner/proc"
	"github.com/tidingsmesh/tidings/mesh"
)

// ExternalConfig says where a Tidings installation is that somebody else has started.
type ExternalConfig struct {
	URLs   []string // of its edges, ws://host:port/ws
	Tokens Tokens
	NATS   mesh.DialConfig
	// PIDs are its processes, where they cannot be found: behind a proxy, in a container. Empty: those that listen on the ports
	// of URLs and NATS, as far as these are on this machine.
	PIDs []int
	// FaultCommand is run by the shell for a kill, restart or drain, with the kind as $1 and the seconds to stay down as $2. It
	// returns when the servers have been started again.
	FaultCommand string
}

// External is such an installation.
type External struct {
	cfg ExternalConfig

	mu     sync.Mutex
	found  []Process
	looked time.Time
}

// NewExternal connects to nothing yet.
func NewExternal(cfg ExternalConfig) *External { return &External{cfg: cfg} }

// Dialect is Tidings' own.
func (*External) Dialect() string { return "tidings" }

// URLs are where clients connect.
func (e *External) URLs() []string { return e.cfg.URLs }

// Tokens come from where the configuration says.
func (e *External) Tokens(ctx context.Context, holders []Holder) ([]string, error) {
	return e.cfg.Tokens(ctx, holders)
}

// Publisher is a worker at NATS.
func (e *External) Publisher(ctx context.Context, rooms []string) (Publisher, error) {
	w, err := newWorker(ctx, e.cfg.NATS, rooms)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// ErrNoFault says that nothing is known of how to break the target.
var ErrNoFault = errors.New("nothing is known of how to do that to the target: give a command for it (--fault-command)")

// CanFault reports whether Fault could do anything.
func (e *External) CanFault() bool { return e.cfg.FaultCommand != "" }

// Fault runs the command and waits until one of the servers takes connections again.
func (e *External) Fault(ctx context.Context, kind string, down time.Duration) error {
	if !e.CanFault() {
		return ErrNoFault
	}
	seconds := strconv.FormatFloat(down.Seconds(), 'f', -1, 64)
	cmd := exec.CommandContext(ctx, "sh", "-c", e.cfg.FaultCommand, "sh", kind, seconds) //nolint:gosec // the user's own command
	// What it leaves running must not hold it up by a pipe.
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("%q: %w: %s", e.cfg.FaultCommand, err, strings.TrimSpace(string(out)))
	}
	return poll(ctx, func() bool {
		return slices.ContainsFunc(e.cfg.URLs, func(u string) bool { return child.Accepts(hostPort(u))(ctx) })
	})
}

// Describe names what is known from outside.
func (e *External) Describe() report.Target {
	t := report.Target{Name: "Tidings", Dialect: e.Dialect(), URLs: e.cfg.URLs, Settings: map[string]string{"nats": e.cfg.NATS.URL}}
	for _, p := range e.Processes() {
		if p.Role == report.Server {
			t.Servers++
		}
	}
	return t
}

// again is how often processes are looked for when one has gone.
const again = time.Second

// Processes looks for them anew when one has gone, since a restarted server is another process.
func (e *External) Processes() []Process {
	e.mu.Lock()
	defer e.mu.Unlock()
	gone := slices.ContainsFunc(e.found, func(p Process) bool {
		_, err := proc.CPU(p.PID)
		return err != nil
	})
	if (gone || len(e.found) == 0) && time.Since(e.looked) >= again {
		e.looked = time.Now()
		e.found = e.find()
	}
	return slices.Clone(e.found)
}

func (e *External) find() []Process {
	roles := map[int]string{}
	for _, pid := range e.cfg.PIDs {
		roles[pid] = roleOf(proc.Name(pid))
	}
	if len(e.cfg.PIDs) == 0 {
		listeners(roles, report.Broker, strings.Split(e.cfg.NATS.URL, ",")...)
		listeners(roles, report.Server, e.cfg.URLs...) // one that is both is a server with NATS inside
	}
	var found []Process
	names := map[string]int{}
	for _, pid := range slices.Sorted(maps.Keys(roles)) {
		name := proc.Name(pid)
		if name == "" {
			continue
		}
		names[name]++
		if n := names[name]; n > 1 {
			name += " " + strconv.Itoa(n)
		}
		found = append(found, Process{Name: name, PID: pid, Role: roles[pid]})
	}
	return found
}

// roleOf guesses from the name of a program.
func roleOf(program string) string {
	if strings.Contains(program, "nats-server") {
		return report.Broker
	}
	return report.Server
}

// listeners adds the processes of this machine that serve the addresses.
func listeners(roles map[int]string, role string, addresses ...string) {
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(hostPort(strings.TrimSpace(address)))
		if err != nil || !here(host) {
			continue
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			continue
		}
		for _, pid := range proc.Listeners(number) {
			roles[pid] = role
		}
	}
}

// hostPort is where a URL leads, "" for what is none.
func hostPort(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443", "nats": "4222", "tls": "4222"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// here says whether a host is this machine.
func here(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	if ip == nil || ip.IsLoopback() {
		return ip != nil
	}
	own, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(own, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}
