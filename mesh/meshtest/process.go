//go:build unix

package meshtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
)

// ProcessConfig says how to start a nats-server process. The listen address,
// the monitoring port and the store are always the test's own, also when a
// configuration file says something else.
type ProcessConfig struct {
	Name string // server name; default from the test
	// Config is a configuration file, which finds its store in the environment
	// as TIDINGS_NATS_STORE. Default: JetStream on, nothing else.
	Config string
	// Store is the folder of the store; default a new one. In a cluster each
	// node has a folder in it, by its name.
	Store string
	Args  []string // further flags
	Env   []string // further environment, KEY=value
	TLS   bool     // whether clients speak TLS
}

// Process is a nats-server process. Its methods are for the test's goroutine.
type Process struct {
	Name string
	URL  string // for clients
	Host string // host:port of the same

	monitor string
	cfg     ProcessConfig
	args    []string
	log     *os.File
	cmd     *exec.Cmd
	exited  chan struct{} // closed when cmd has been waited for
}

// StartProcess runs a nats-server until the test ends and waits until its
// JetStream is ready. Its log is in the test's artifacts, and the end of it is
// shown when the test fails.
func StartProcess(t testing.TB, cfg ProcessConfig) *Process {
	t.Helper()
	p := newProcess(t, cfg)
	p.start(t)
	p.awaitHealthy(t)
	return p
}

func newProcess(t testing.TB, cfg ProcessConfig) *Process {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "nats"
	}
	ports := port.Free(t, 2)
	p := &Process{
		Name: cfg.Name, cfg: cfg,
		Host:    "127.0.0.1:" + strconv.Itoa(ports[0]),
		monitor: "http://127.0.0.1:" + strconv.Itoa(ports[1]),
	}
	p.URL = "nats://" + p.Host
	if cfg.TLS {
		p.URL = "tls://" + p.Host
	}
	p.args = []string{
		"-n", cfg.Name, "-a", "127.0.0.1", "-p", strconv.Itoa(ports[0]),
		"-m", strconv.Itoa(ports[1]),
	}
	store := cfg.Store
	if store == "" {
		store = filepath.Join(t.TempDir(), cfg.Name)
	}
	if cfg.Config != "" {
		p.args = append(p.args, "-c", cfg.Config)
		p.cfg.Env = append([]string{"TIDINGS_NATS_STORE=" + strconv.Quote(store)}, cfg.Env...)
	} else {
		p.args = append(p.args, "-js", "-sd", store)
	}
	p.args = append(p.args, cfg.Args...)

	var err error
	p.log, err = os.Create(filepath.Join(t.ArtifactDir(), cfg.Name+".log"))
	require.NoError(t, err)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", p.Name, p.logTail())
		}
		_ = p.log.Close()
	})
	return p
}

// start runs the process without waiting for anything.
func (p *Process) start(t testing.TB) {
	t.Helper()
	p.cmd = exec.Command(ServerBinary(t), p.args...) //nolint:noctx // the test's own server; Kill ends it
	p.cmd.Env = append(os.Environ(), p.cfg.Env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = sysProcAttr()
	require.NoError(t, p.cmd.Start())
	exited := make(chan struct{})
	p.exited = exited
	cmd := p.cmd
	go func() { // ends with the process, which Kill ends at the latest
		_ = cmd.Wait()
		close(exited)
	}()
}

// Restart starts the process again, on the same store and addresses, after it
// was killed or stopped, and waits until its JetStream is ready.
func (p *Process) Restart(t testing.TB) {
	t.Helper()
	p.Kill()
	p.start(t)
	p.awaitHealthy(t)
}

// Kill ends the process by SIGKILL, at whatever it is just doing, and returns
// when it is gone. It does nothing when it is.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop ends the process as an operator does.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

// Pause stops the process without ending it or its connections (SIGSTOP), as
// an overloaded or frozen machine does. It returns when nothing of it runs any
// more.
func (p *Process) Pause(t testing.TB) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	Eventually(t, func() bool { return isStopped(p.cmd.Process.Pid) }, "%s stopped", p.Name)
}

// Resume lets a paused process go on.
func (p *Process) Resume(t testing.TB) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGCONT))
}

func (p *Process) end(sig syscall.Signal) {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Signal(sig) // an error says that it has ended already
	<-p.exited
}

// Dial connects to this process; cfg needs no URL.
func (p *Process) Dial(t testing.TB, cfg mesh.DialConfig) *nats.Conn {
	t.Helper()
	cfg.URL = p.URL
	return Dial(t, cfg)
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is all that the process has logged.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (p *Process) logTail() string {
	const lines = 40
	all := strings.Split(p.Log(), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (p *Process) awaitHealthy(t testing.TB) {
	t.Helper()
	Eventually(t, func() bool {
		select {
		case <-p.exited:
			t.Fatalf("%s ended by itself: %s", p.Name, p.cmd.ProcessState)
		default:
		}
		_, err := p.Get(t.Context(), "/healthz")
		return err == nil
	}, "%s healthy", p.Name)
}

// Get asks the monitoring port and returns the body of a 200.
func (p *Process) Get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.monitor+path, nil)
	if err != nil {
		return nil, err
	}
	// It leaves no goroutine behind, and does not wait for a process that is paused.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %s", path, resp.Status, bytes.TrimSpace(body))
	}
	return body, err
}
