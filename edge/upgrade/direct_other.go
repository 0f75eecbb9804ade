//go:build !linux

package upgrade

import (
	"context"
	"net"
)

// directListener is only there on Linux.
type directListener struct{}

func (a *Acceptor) newDirectListener(context.Context, net.Listener) (*directListener, error) {
	return nil, nil
}

func (a *Acceptor) acceptDirect(context.Context, *directListener) error { panic("unreachable") }
