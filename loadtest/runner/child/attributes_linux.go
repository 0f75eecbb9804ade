package child

import "syscall"

// attributes let the kernel end the process when the thread ends that started it (prctl(2), PR_SET_PDEATHSIG).
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
