package chaos_test

import (
	"bufio"
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

	"github.com/stretchr/testify/require"
)

// programs are built once, into a folder of the test run.
type programs struct{ tidings, actor, check string }

func build(t *testing.T) programs {
	t.Helper()
	dir := t.TempDir()
	p := programs{filepath.Join(dir, "tidings"), filepath.Join(dir, "actor"), filepath.Join(dir, "check")}
	for path, name := range map[string]string{p.tidings: "cmd/tidings", p.actor: "loadtest/actor", p.check: "loadtest/check"} {
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/tidingsmesh/tidings/"+name).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	return p
}

// process is one that the run may kill, pause and start again. Its methods are for the test's goroutine.
type process struct {
	name   string
	path   string
	args   []string
	env    []string
	log    *os.File
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner // nil: its output is in the log
	exited chan struct{}
}

// newProcess prepares a process; its log is among the test's artifacts.
func newProcess(t *testing.T, name, path string, args ...string) *process {
	t.Helper()
	p := &process{name: name, path: path, args: args}
	var err error
	p.log, err = os.Create(filepath.Join(t.ArtifactDir(), name+".log"))
	require.NoError(t, err)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", name, p.tail())
		}
		_ = p.log.Close()
	})
	return p
}

// start runs it. With talk, the test writes to its input and reads its output.
func (p *process) start(t *testing.T, talk bool) {
	t.Helper()
	p.cmd = exec.Command(p.path, p.args...) //nolint:noctx // kill ends it
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if talk {
		var err error
		p.in, err = p.cmd.StdinPipe()
		require.NoError(t, err)
		p.cmd.Stdout = nil
		out, err := p.cmd.StdoutPipe()
		require.NoError(t, err)
		p.out = bufio.NewScanner(out)
	}
	require.NoError(t, p.cmd.Start())
	exited, cmd := make(chan struct{}), p.cmd
	p.exited = exited
	go func() { // ends with the process
		_ = cmd.Wait()
		close(exited)
	}()
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(s))
}

// kill ends it at whatever it is doing. It does nothing when it has ended.
func (p *process) kill() {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // an error says that it has ended already
	<-p.exited
}

// ended waits for its end and returns the status.
func (p *process) ended(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(within):
		require.Fail(t, p.name+" does not end", "%s", p.tail())
	}
	return p.cmd.ProcessState.ExitCode()
}

// alive fails the test when the process has ended by itself.
func (p *process) alive(t *testing.T) {
	t.Helper()
	select {
	case <-p.exited:
		require.Fail(t, p.name+" ended by itself", "%s\n%s", p.cmd.ProcessState, p.tail())
	default:
	}
}

// tell gives it a command.
func (p *process) tell(t *testing.T, format string, args ...any) {
	t.Helper()
	_, err := fmt.Fprintf(p.in, format+"\n", args...)
	require.NoError(t, err, "%s\n%s", p.name, p.tail())
}

func (p *process) tail() string {
	b, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	const lines = 30
	all := strings.Split(string(b), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// state is the one-letter state of a process, as in proc(5): T is stopped.
func state(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:min(1, len(rest))]
}

// get asks an HTTP server on this machine.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// eventually waits for a condition and reports whether it came about.
func eventually(within time.Duration, condition func() bool) bool {
	deadline := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}

// hold lets a fault last.
func hold(d time.Duration) { <-time.After(d) }
