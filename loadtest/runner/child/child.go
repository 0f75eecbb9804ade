// Package child starts server processes for load tests and the demo, and kills, ends and restarts them. On Linux they end with the process that
// started them, however that ends.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Config says what to start.
type Config struct {
	Name string // for messages
	Path string // of the program
	Args []string
	Env  []string // KEY=value, instead of this process's own; nil: the same
	Dir  string   // working folder; "": the same
	Log  string   // file that its output is added to
	// Ready says whether it serves; nil: as soon as it runs. It is asked until it does.
	Ready func(ctx context.Context) bool
}

// Child is a process that runs, or has ended and may be started again. Its methods are for one goroutine at a time, but for PID; and
// Signal and Exited may be called by any while none of the others is.
type Child struct {
	cfg    Config
	pid    atomic.Int64
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has been waited for
}

// Start runs it and waits until it is ready or ctx ends. Errors hold the end of its log.
func Start(ctx context.Context, cfg Config) (*Child, error) {
	c := New(cfg)
	if err := c.Restart(ctx); err != nil {
		c.Kill()
		return nil, err
	}
	return c, nil
}

// New is a child that has not been started yet; Restart does it.
func New(cfg Config) *Child { return &Child{cfg: cfg} }

// Restart starts it again; it kills what still runs.
func (c *Child) Restart(ctx context.Context) error {
	c.Kill()
	log, err := os.OpenFile(c.cfg.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", c.cfg.Name, err)
	}
	defer func() { _ = log.Close() }()              // the process has its own
	c.cmd = exec.Command(c.cfg.Path, c.cfg.Args...) //nolint:gosec,noctx // the caller's program, which Kill ends
	c.cmd.Env, c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr, c.cmd.SysProcAttr = c.cfg.Env, c.cfg.Dir, log, log, attributes()
	started, exited, cmd := make(chan error), make(chan struct{}), c.cmd
	c.exited = exited
	go func() { // ends with the process
		// To the kernel the parent is this thread: it must not end before the process does, see attributes.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(exited)
	}()
	if err := <-started; err != nil {
		c.cmd = nil
		return fmt.Errorf("%s: %w", c.cfg.Name, err)
	}
	c.pid.Store(int64(c.cmd.Process.Pid))
	return c.awaitReady(ctx)
}

func (c *Child) awaitReady(ctx context.Context) error {
	if c.cfg.Ready == nil {
		return nil
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !c.cfg.Ready(ctx) {
		select {
		case <-ticker.C:
		case <-c.exited:
			return fmt.Errorf("%s ended by itself, %s: %s", c.cfg.Name, c.cmd.ProcessState, c.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", c.cfg.Name, ctx.Err(), c.Tail())
		}
	}
	return nil
}

// PID is the process's id, 0 when none has been started.
func (c *Child) PID() int {
	return int(c.pid.Load())
}

// Exited is closed when the process that was started last has ended, by itself or not. Nil, when none was.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Signal sends a signal and does not wait for what comes of it. A process that has ended already does not mind.
func (c *Child) Signal(s syscall.Signal) {
	if c.cmd != nil {
		_ = c.cmd.Process.Signal(s) // an error says that it has ended
	}
}

// Kill ends it at whatever it is doing, and returns when it is gone.
func (c *Child) Kill() { c.end(context.Background(), syscall.SIGKILL) }

// Stop asks it to end, and returns when it is gone; when ctx ends before, it is killed.
func (c *Child) Stop(ctx context.Context) { c.end(ctx, syscall.SIGTERM) }

func (c *Child) end(ctx context.Context, s syscall.Signal) {
	if c.cmd == nil {
		return
	}
	c.Signal(s)
	select {
	case <-c.exited:
	case <-ctx.Done():
		_ = c.cmd.Process.Kill()
		<-c.exited
	}
}

// Tail is the end of its log.
func (c *Child) Tail() string {
	const lines = 10
	text, err := os.ReadFile(c.cfg.Log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Answers is a Config.Ready for servers that say so by HTTP: the URL is answered with 200.
func Answers(url string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, resp.Body) // the status tells
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
}

// Accepts is a Config.Ready for servers that are ready when they take TCP connections at host:port.
func Accepts(address string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		d := net.Dialer{Timeout: 2 * time.Second}
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	}
}

// FreePorts returns n addresses on loopback, host:port, where nobody listens. They lie below the range from which systems take
// the ports of outgoing connections, so that they are still free when a server is started again.
func FreePorts(ctx context.Context, n int) ([]string, error) {
	const first, width, tries = 10000, 20000, 1000
	var free []string
	var lc net.ListenConfig
	for range tries {
		address := "127.0.0.1:" + strconv.Itoa(first+rand.IntN(width)) //nolint:gosec // guards nothing
		ln, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			continue
		}
		defer func() { _ = ln.Close() }() // until all are chosen, so that none is chosen twice
		if free = append(free, address); len(free) == n {
			return free, nil
		}
	}
	return nil, errors.New("no free ports on 127.0.0.1")
}
