package main

import "strings"

const redacted = "[redacted]"

// Secret is text that no log, message or printed configuration shows. Convert it to string where it is used.
type Secret string

// String never tells the secret, only that there is one.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString keeps %#v from telling it.
func (s Secret) GoString() string { return s.String() }

// URL is one URL, or several separated by commas, that may carry user and password. Convert it to string where it is
// used.
type URL string

// String hides what stands before an @, user name included, since NATS takes a token there, and a query, where key servers
// take one.
func (s URL) String() string {
	servers := strings.Split(string(s), ",")
	for i, server := range servers {
		scheme, rest, found := strings.Cut(server, "://")
		if !found {
			scheme, rest = "", server
		} else {
			scheme += "://"
		}
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			servers[i] = scheme + redacted + rest[at:]
		}
		if path, _, found := strings.Cut(servers[i], "?"); found {
			servers[i] = path + "?" + redacted
		}
	}
	return strings.Join(servers, ",")
}

// GoString keeps %#v from telling it.
func (s URL) GoString() string { return s.String() }
