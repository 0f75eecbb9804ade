package edge

import (
	"net/netip"
	"sync"
)

// admission counts connections by user and by address. Safe for concurrent use.
type admission struct {
	perUser, perAddress int

	mu        sync.Mutex // guards both
	users     map[string]int
	addresses map[netip.Addr]int
}

func newAdmission(perUser, perAddress int) *admission {
	return &admission{
		perUser: perUser, perAddress: perAddress,
		users: make(map[string]int), addresses: make(map[netip.Addr]int),
	}
}

// enterAddress counts a connection of an address; false means that the address has its share.
func (a *admission) enterAddress(addr netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return enter(a.addresses, addr, a.perAddress)
}

// countAddress is enterAddress for a connection that is there whatever the limit says.
func (a *admission) countAddress(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addresses[addr]++
}

// enterUser is enterAddress for a user.
func (a *admission) enterUser(user string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return enter(a.users, user, a.perUser)
}

func (a *admission) leaveAddress(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	leave(a.addresses, addr)
}

func (a *admission) leaveUser(user string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	leave(a.users, user)
}

// addressFull reports whether an address has its share, without counting.
func (a *admission) addressFull(addr netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.addresses[addr] >= a.perAddress
}

// addressOver reports whether an address has more than its share.
func (a *admission) addressOver(addr netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.addresses[addr] > a.perAddress
}

func enter[K comparable](counts map[K]int, key K, limit int) bool {
	if counts[key] >= limit {
		return false
	}
	counts[key]++
	return true
}

func leave[K comparable](counts map[K]int, key K) {
	if counts[key] <= 1 {
		delete(counts, key)
		return
	}
	counts[key]--
}
