//go:build unix && !linux

package edge

import "syscall"

// tuneSocket has nothing to set here: the bounds of backlog and slow timeout do what is needed.
func tuneSocket(syscall.RawConn) {}
