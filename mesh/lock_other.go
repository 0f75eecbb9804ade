//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package mesh

import (
	"os"
	"path/filepath"
)

// lockDir opens the lock file. Without flock it cannot tell whether another
// process uses the folder.
func lockDir(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "tidings.lock"), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator's own folder
}
