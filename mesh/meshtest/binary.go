//go:build unix

package meshtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// ServerBinary builds nats-server, of the version in go.mod, once per test
// binary. It lies in the user's cache, so later runs only check that it is
// current.
func ServerBinary(t testing.TB) string {
	t.Helper()
	path, err := buildServer()
	require.NoError(t, err)
	return path
}

var buildServer = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "tidings-test")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	// Packages are tested at the same time: each builds to a name of its own
	// and moves the result over the old one.
	path := filepath.Join(dir, "nats-server")
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	defer func() { _ = os.Remove(fresh) }()
	out, err := exec.Command("go", "build", "-o", fresh, "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build nats-server: %w: %s", err, out)
	}
	return path, os.Rename(fresh, path)
})
