package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

// Ctrl-C on a terminal reaches the client processes as well: the whole group.
func TestLoadtest_AnInterruptEndsItWithAReport(t *testing.T) {
	s := serve(t)
	out := t.TempDir()
	var log lockedBuffer
	cmd := exec.Command(program, "loadtest", "run", "wide", "--clients", "50", "--duration", "1h", "--warmup", "0s",
		"--url", "ws://"+s.http+"/ws", "--nats", s.natsURL(), "--out", out)
	cmd.Env = append(os.Environ(), "TIDINGS_JWT_SECRET="+secret)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "received") }, patience, 50*time.Millisecond, "%s", &log)

	require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
	select {
	case err := <-ended:
		assert.ErrorContains(t, err, "exit status 1")
	case <-time.After(patience):
		require.Fail(t, "it does not end", "%s", &log)
	}
	assert.Contains(t, log.String(), `tidings loadtest run: interrupted in the phase "measure"`)
	r, err := report.Load(filepath.Join(out, "report.json"))
	require.NoError(t, err)
	require.Len(t, r.Runs, 1, "the scenario has three, but an interrupted one is the last")
	got := r.Runs[0]
	assert.Contains(t, got.Error, "interrupted")
	assert.Positive(t, got.Deliver.Received)
	assert.Zero(t, got.Deliver.Missing)
	assert.FileExists(t, filepath.Join(out, "report.html"))
}
