package swarm

import (
	"errors"
	"syscall"
)

// Reasons in [Stats.Failures] that tell about this machine rather than the server.
const (
	ReasonFiles = "out of files: raise the limit (ulimit -n) or use more workers"
	ReasonPorts = "out of ports: widen net.ipv4.ip_local_port_range or connect to more addresses"
)

// Further ones. Others are made from what the server said.
const (
	reasonRefused     = "refused"
	reasonTimeout     = "timeout"
	reasonUnreachable = "unreachable"
	reasonReset       = "connection reset"
	reasonEnded       = "connection ended"
	reasonSilent      = "nothing received for too long"
	reasonHandshake   = "bad handshake"
	reasonFrame       = "bad frame"
)

var errNotLinux = errors.New("the clients of a load test need Linux (epoll)")

// reasonOf names the error of a socket.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return reasonRefused
	case errors.Is(err, syscall.ETIMEDOUT):
		return reasonTimeout
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return ReasonFiles
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return ReasonPorts
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return reasonUnreachable
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return reasonReset
	default:
		return err.Error()
	}
}
