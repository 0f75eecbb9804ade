//go:build !linux

package swarm

import (
	"net/netip"
	"syscall"
	"time"
)

// poller needs Linux. newPoller says so, and nothing else is ever called.
type poller struct{}

type readiness struct {
	id, generation int32
	read, write    bool
	ended          bool
}

const errAgain = syscall.EAGAIN

func newPoller() (*poller, error) { return nil, errNotLinux }

func (p *poller) close()                                  {}
func (p *poller) wake()                                   {}
func (p *poller) wait(time.Duration) ([]readiness, error) { return nil, errNotLinux }
func (p *poller) watch(int, readiness, bool) error        { return errNotLinux }
func (p *poller) read(int, []byte) (int, error)           { return 0, errNotLinux }
func (p *poller) write(int, []byte) (int, error)          { return 0, errNotLinux }
func (p *poller) hangUp(int, bool)                        {}

func (p *poller) dial(netip.AddrPort, netip.Addr, int) (int, error) { return -1, errNotLinux }

func fileLimit() int { return 1024 }
