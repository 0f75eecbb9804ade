package peers

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/runner/child"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
)

// startTime bounds how long a process may take until it serves.
const startTime = 30 * time.Second

// process is one to start.
type process struct {
	name   string // as in reports, and of its log
	path   string
	args   []string
	listen []string // addresses that accept connections once it serves
}

// installation is what all peers have in common: servers that take connections of clients, and brokers behind them.
type installation struct {
	about  report.Target
	folder string // for logs
	all    []running
}

type running struct {
	name  string
	role  string
	child *child.Child
}

// run starts processes, one after the other.
func (i *installation) run(ctx context.Context, role string, processes ...process) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for _, p := range processes {
		c, err := child.Start(ctx, child.Config{
			Name: p.name, Path: p.path, Args: p.args, Log: filepath.Join(i.folder, p.name+".log"), Ready: accepts(p.listen),
		})
		if err != nil {
			return err
		}
		i.all = append(i.all, running{p.name, role, c})
	}
	return nil
}

// accepts is ready when all addresses are.
func accepts(addresses []string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		for _, address := range addresses {
			if !child.Accepts(address)(ctx) {
				return false
			}
		}
		return true
	}
}

// Close ends all processes, servers first.
func (i *installation) Close() {
	for _, role := range []string{report.Server, report.Broker} {
		for _, c := range i.of(role) {
			c.Kill()
		}
	}
}

func (i *installation) of(role string) []*child.Child {
	var some []*child.Child
	for _, p := range i.all {
		if p.role == role {
			some = append(some, p.child)
		}
	}
	return some
}

// each does it to all at once.
func each(children []*child.Child, do func(*child.Child) error) error {
	var all sync.WaitGroup
	errs := make([]error, len(children))
	for n, c := range children {
		all.Go(func() { errs[n] = do(c) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Dialect of the clients.
func (i *installation) Dialect() string { return i.about.Dialect }

// URLs of the servers.
func (i *installation) URLs() []string { return i.about.URLs }

// Describe is for the report.
func (i *installation) Describe() report.Target { return i.about }

// Processes are the servers and brokers.
func (i *installation) Processes() []runner.Process {
	processes := make([]runner.Process, len(i.all))
	for n, p := range i.all {
		processes[n] = runner.Process{Name: p.name, PID: p.child.PID(), Role: p.role}
	}
	return processes
}

// Fault kills the servers, or asks them to end, and starts them again.
func (i *installation) Fault(ctx context.Context, kind string, down time.Duration) error {
	servers := i.of(report.Server)
	if kind != scenario.Kill && kind != scenario.Restart {
		return fmt.Errorf("%s has no %s here, only %s and %s", i.about.Name, kind, scenario.Kill, scenario.Restart)
	}
	_ = each(servers, func(c *child.Child) error { // nothing fails
		if kind == scenario.Kill {
			c.Kill()
		} else {
			c.Stop(ctx)
		}
		return nil
	})
	timer := time.NewTimer(down)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return each(servers, func(c *child.Child) error { return c.Restart(ctx) })
}

// started closes the installation when a step of its start has failed.
func (i *installation) started(err error) error {
	if err != nil {
		i.Close()
	}
	return err
}
