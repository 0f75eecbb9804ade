//go:build !linux

package mesh

import (
	"net"
	"syscall"
)

// quietReader is the connection's own Read.
func quietReader(conn *net.TCPConn, _ syscall.RawConn) func([]byte) (int, error) { return conn.Read }
