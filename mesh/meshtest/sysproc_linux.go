package meshtest

import "syscall"

// sysProcAttr lets a server end with the test binary, also when that is killed.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
