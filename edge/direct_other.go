//go:build !unix

package edge

import (
	"net"
	"sync"
)

// directSocket is not there on this platform; every connection is pumped.
type directSocket struct{ pumpSocket }

func (*directSocket) read(*sync.Pool, *session) error {
	panic("unreachable: there are no direct sockets here")
}

func newDirectSocket(net.Conn, *session, *sync.WaitGroup) (*directSocket, bool) { return nil, false }
