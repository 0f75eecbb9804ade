//go:build linux

package child_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidingsmesh/tidings/loadtest/runner/child"
	"github.com/tidingsmesh/tidings/loadtest/runner/proc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shell starts a script, which is ready when it has made the file "ready" in its folder.
func shell(t *testing.T, script string) (*child.Child, error) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := child.Start(ctx, child.Config{
		Name: "script", Path: "/bin/sh", Args: []string{"-c", script}, Dir: dir, Log: filepath.Join(dir, "log"),
		Ready: func(context.Context) bool {
			_, err := os.Stat(filepath.Join(dir, "ready"))
			return err == nil
		},
	})
	if err == nil {
		t.Cleanup(c.Kill)
	}
	return c, err
}

// alive does not count one that has ended and was not waited for yet.
func alive(pid int) bool {
	_, err := proc.CPU(pid)
	return err == nil
}

func TestChild_EndsWhenToldTo(t *testing.T) {
	for name, end := range map[string]func(*child.Child){
		"killed":   func(c *child.Child) { c.Kill() },
		"asked to": func(c *child.Child) { c.Stop(t.Context()) },
		"asked to, and is deaf": func(c *child.Child) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			c.Stop(ctx)
		},
	} {
		c, err := shell(t, "touch ready; exec sleep 600")
		require.NoError(t, err, name)
		assert.True(t, alive(c.PID()), name)
		end(c)
		assert.False(t, alive(c.PID()), name)
		end(c) // does nothing
	}
}

func TestChild_TellsThatItEndedByASignal(t *testing.T) {
	never := child.New(child.Config{})
	never.Signal(syscall.SIGKILL) // does nothing
	assert.Nil(t, never.Exited())

	c, err := shell(t, "touch ready; exec sleep 600")
	require.NoError(t, err)
	select {
	case <-c.Exited():
		require.Fail(t, "it runs")
	default:
	}
	c.Signal(syscall.SIGTERM)
	<-c.Exited()
	assert.False(t, alive(c.PID()))
	c.Signal(syscall.SIGTERM) // does nothing
}

func TestChild_IsAnotherProcessAfterARestart(t *testing.T) {
	c, err := shell(t, "touch ready; exec sleep 600")
	require.NoError(t, err)
	before := c.PID()
	require.NoError(t, c.Restart(t.Context()))
	assert.NotEqual(t, before, c.PID())
	assert.False(t, alive(before))
	assert.True(t, alive(c.PID()))
}

func TestChild_OutlivesTheThreadOfItsStarter(t *testing.T) {
	var c *child.Child
	var err error
	started := make(chan struct{})
	go func() { // its thread ends with it, since it does not unlock it
		runtime.LockOSThread()
		c, err = shell(t, "touch ready; exec sleep 600")
		close(started)
	}()
	<-started
	require.NoError(t, err)
	require.Never(t, func() bool { return !alive(c.PID()) }, 300*time.Millisecond, 10*time.Millisecond)
}

func TestStart_SaysWhyItDidNotWork(t *testing.T) {
	_, err := shell(t, "echo the port is taken; exit 3")
	assert.ErrorContains(t, err, "script ended by itself, exit status 3: the port is taken")

	_, err = child.Start(t.Context(), child.Config{Name: "nothing", Path: "/does/not/exist", Log: filepath.Join(t.TempDir(), "log")})
	assert.ErrorContains(t, err, "nothing: ")

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = child.Start(ctx, child.Config{
		Name: "slow", Path: "/bin/sleep", Args: []string{"600"}, Log: filepath.Join(t.TempDir(), "log"),
		Ready: func(context.Context) bool { return false },
	})
	assert.ErrorContains(t, err, "slow is not ready: context deadline exceeded")
}

func TestReady_KnowsServers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	address := server.Listener.Addr().String()
	assert.True(t, child.Answers(server.URL+"/readyz")(t.Context()))
	assert.False(t, child.Answers(server.URL+"/other")(t.Context()))
	assert.True(t, child.Accepts(address)(t.Context()))
	server.Close()
	assert.False(t, child.Answers(server.URL+"/readyz")(t.Context()))
	assert.False(t, child.Accepts(address)(t.Context()))
}

func TestFreePorts_AreDifferent(t *testing.T) {
	ports, err := child.FreePorts(t.Context(), 20)
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, p := range ports {
		assert.False(t, seen[p])
		seen[p] = true
	}
	assert.Len(t, seen, 20)
}
