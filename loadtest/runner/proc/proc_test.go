//go:build linux

package proc_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/runner/proc"
)

func TestCPU_GrowsWithWork(t *testing.T) {
	before, err := proc.CPU(os.Getpid())
	require.NoError(t, err)
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
		_ = filepath.Join("some", "work")
	}
	after, err := proc.CPU(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, after, before)
}

func TestRSS_GrowsWithMemory(t *testing.T) {
	for _, exact := range []bool{false, true} {
		before, err := proc.RSS(os.Getpid(), exact)
		require.NoError(t, err)
		const size = 64 << 20
		memory, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		require.NoError(t, err)
		for i := 0; i < size; i += 4096 {
			memory[i] = 1
		}
		after, err := proc.RSS(os.Getpid(), exact)
		require.NoError(t, err)
		assert.InDelta(t, size, float64(after)-float64(before), 16<<20)
		require.NoError(t, syscall.Munmap(memory))
	}
}

func TestProc_AProcessThatIsGoneIsAnError(t *testing.T) {
	const nobody = 1 << 30 // above any pid_max
	_, err := proc.CPU(nobody)
	assert.ErrorIs(t, err, proc.ErrGone)
	_, err = proc.RSS(nobody, true)
	assert.ErrorIs(t, err, proc.ErrGone)
	assert.Empty(t, proc.Name(nobody))
}

func TestName_IsTheProgram(t *testing.T) {
	assert.Equal(t, filepath.Base(os.Args[0]), proc.Name(os.Getpid()))
}

func TestListeners_AreFoundByTheirPort(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		ln, err := net.Listen("tcp", address) //nolint:noctx // nothing to wait for
		require.NoError(t, err)
		_, text, err := net.SplitHostPort(ln.Addr().String())
		require.NoError(t, err)
		port, err := strconv.Atoi(text)
		require.NoError(t, err)
		assert.Equal(t, []int{os.Getpid()}, proc.Listeners(port), address)
		require.NoError(t, ln.Close())
		assert.Empty(t, proc.Listeners(port), address)
	}
}
