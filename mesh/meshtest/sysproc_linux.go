package meshtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// sysProcAttr lets a server end with the test binary, also when that is killed.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// isStopped reports whether no thread of a process runs any more after SIGSTOP, see proc_pid_stat(5).
func isStopped(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return false
	}
	for _, stat := range threads {
		line, err := os.ReadFile(stat)
		if err != nil {
			return false
		}
		if _, state, _ := bytes.Cut(line, []byte(") ")); len(state) == 0 || state[0] != 'T' {
			return false
		}
	}
	return len(threads) > 0
}
