//go:build !linux

package edge

import (
	"net"
	"time"
)

// tuneSocket has nothing to set here: the bounds of backlog and slow timeout do what is needed.
func tuneSocket(*net.TCPConn, time.Duration) {}
