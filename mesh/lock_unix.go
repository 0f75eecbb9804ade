//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package mesh

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lockDir takes the data folder for this process. The lock is the kernel's and
// ends with the process, however that ends; the file only says who holds it.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "tidings.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		holder, _ := os.ReadFile(path)
		_ = f.Close()
		return nil, fmt.Errorf("held by process %s: stop it, or give this one a folder of its own", quotePID(holder))
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func quotePID(b []byte) string {
	if _, err := strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
		return "(unknown)"
	}
	return strings.TrimSpace(string(b))
}
