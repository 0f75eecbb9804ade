package upgrade

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// hostPort is a host in lower case and a port, 0 when none was given.
type hostPort struct {
	host string
	port uint16
}

// parseHostPort reads a Host header or the authority of an origin. Names are
// letters, digits, "-", "_", "~" and "."; internationalised ones arrive in
// punycode. Everything else a URI would allow (escapes, user names, zones,
// empty ports) no browser sends, and it is refused.
func parseHostPort(s string) (hostPort, bool) {
	var (
		name, port string
		hasPort    bool
	)
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return hostPort{}, false
		}
		addr, err := netip.ParseAddr(s[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return hostPort{}, false
		}
		rest := s[end+1:]
		name = "[" + addr.String() + "]"
		if port, hasPort = strings.CutPrefix(rest, ":"); !hasPort && rest != "" {
			return hostPort{}, false
		}
	} else {
		name, port, hasPort = strings.Cut(s, ":")
		for i := range len(name) {
			if c := name[i]; !isAlphanumeric(c) && c != '-' && c != '.' && c != '_' && c != '~' {
				return hostPort{}, false
			}
		}
	}
	hp := hostPort{host: strings.ToLower(name)}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || port[0] == '0' || port[0] == '+' {
			return hostPort{}, false
		}
		hp.port = uint16(n)
	}
	return hp, name != ""
}

// origin is a web origin (RFC 6454): scheme and host in lower case, the
// scheme's default port filled in, 0 for a scheme without one.
type origin struct {
	scheme string
	hostPort
}

func parseOrigin(s string) (origin, bool) {
	scheme, authority, ok := strings.Cut(s, "://")
	if !ok || scheme == "" {
		return origin{}, false
	}
	for i := range len(scheme) {
		if c := scheme[i]; !isAlphanumeric(c) && c != '+' && c != '-' && c != '.' {
			return origin{}, false
		}
	}
	hp, ok := parseHostPort(authority)
	if !ok {
		return origin{}, false
	}
	o := origin{strings.ToLower(scheme), hp}
	if o.port == 0 {
		o.port = defaultPort(o.scheme)
	}
	return o, true
}

func defaultPort(scheme string) uint16 {
	switch scheme {
	case "http", "ws":
		return 80
	case "https", "wss":
		return 443
	default:
		return 0
	}
}

// originPolicy decides which pages may connect. Read-only once made.
type originPolicy struct {
	any, null bool
	sameHost  bool
	listed    map[origin]struct{}
}

func newOriginPolicy(list []string) (originPolicy, error) {
	p := originPolicy{sameHost: len(list) == 0, listed: make(map[origin]struct{}, len(list))}
	for _, s := range list {
		switch s {
		case "*":
			p.any = true
		case "null":
			p.null = true
		default:
			o, ok := parseOrigin(s)
			if !ok {
				return p, fmt.Errorf("%w: origin %q: want scheme://host or scheme://host:port and nothing more", ErrConfig, s)
			}
			p.listed[o] = struct{}{}
		}
	}
	return p, nil
}

// CheckOrigin reports why s cannot be one of Config.Origins.
func CheckOrigin(s string) error {
	_, err := newOriginPolicy([]string{s})
	return err
}

// allows decides on an Origin header, given the Host header of the request.
func (p *originPolicy) allows(header string, host hostPort) bool {
	switch {
	case p.any:
		return true
	case header == "null":
		return p.null
	}
	o, ok := parseOrigin(header)
	if !ok {
		return false
	}
	if !p.sameHost {
		_, ok = p.listed[o]
		return ok
	}
	if o.scheme != "http" && o.scheme != "https" {
		return false
	}
	if host.port == 0 {
		// Behind a proxy that ends TLS the server cannot know its own scheme.
		host.port = defaultPort(o.scheme)
	}
	return o.hostPort == host
}
