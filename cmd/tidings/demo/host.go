package demo

import (
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
)

// hosts are the names and addresses under which a listener can be reached, and with them the origins that its page can
// have. The page's edges listen at ports of their own, hence they have to be told; and a request under any other name may
// come from a foreign page whose name was made to lead here (DNS rebinding).
type hosts []string

func hostsOf(listener net.Addr) hosts {
	address, _, err := net.SplitHostPort(listener.String())
	ip := net.ParseIP(address)
	switch {
	case err != nil || ip == nil:
		return hosts{address}
	case ip.IsLoopback():
		return hosts{ip.String(), "localhost"}
	case !ip.IsUnspecified():
		return hosts{ip.String()}
	}
	all := hosts{"localhost", "127.0.0.1", "::1"}
	addresses, _ := net.InterfaceAddrs() // without them the page can be reached at the names above
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			all = append(all, n.IP.String())
		}
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		all = append(all, strings.ToLower(name))
	}
	return all
}

// origins are those of the page, for --origin of the edges.
func (h hosts) origins(port string) []string {
	list := make([]string, len(h))
	for i, host := range h {
		list[i] = "http://" + net.JoinHostPort(host, port)
	}
	return list
}

// hostOf is the host that a request names, without its port.
func hostOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(r.Host, "["), "]")
	}
	return strings.ToLower(host)
}

func (h hosts) allow(r *http.Request) bool { return slices.Contains(h, hostOf(r)) }

// url is the edge's WebSocket address for who reaches this machine at host.
func (e *edge) url(host string) string { return "ws://" + net.JoinHostPort(host, e.port) + "/ws" }
