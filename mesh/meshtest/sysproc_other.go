//go:build unix && !linux

package meshtest

import "syscall"

func sysProcAttr() *syscall.SysProcAttr { return nil }

func isStopped(int) bool { return true }
