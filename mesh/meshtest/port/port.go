// Package port gives tests ports that stay theirs: for servers that are started at an address which
// somebody knows before, that come later, or that come back.
//
// A port that the system chose and that was closed again is anybody's. It chooses the next listener's,
// be it of another test or another package's, from the same range.
package port

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Below the range from which systems take the ports of listeners and outgoing connections.
const first, count = 10000, 20000

// Free returns n loopback ports that nobody listens on, and that no other call returns, in this process
// or another, until the test ends.
func Free(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, 0, n)
	for range 1000 {
		port := first + rand.IntN(count)
		if !claim(t, port) {
			continue
		}
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	t.Fatalf("no %d free ports from %d on", n, first)
	return nil
}

// Address is one of Free as host:port.
func Address(t testing.TB) string {
	t.Helper()
	return at(Free(t, 1)[0])
}

// claim takes a port until the test ends: nobody sends datagrams there, and who wants the port as well
// finds that of UDP taken.
func claim(t testing.TB, port int) bool {
	t.Helper()
	datagrams, err := net.ListenPacket("udp", at(port)) //nolint:noctx // nothing to wait for
	if err != nil {
		return false
	}
	listener, err := net.Listen("tcp", at(port)) //nolint:noctx // nothing to wait for
	if err != nil {
		_ = datagrams.Close()
		return false
	}
	_ = listener.Close()
	t.Cleanup(func() { _ = datagrams.Close() })
	return true
}

func at(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
