package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// devHints is what a newcomer is told once everything runs. Its commands work as they are printed, in a POSIX shell.
const devHints = `
Tidings runs, for trying out: whoever reaches it gets a token. Ctrl-C stops it.

  page        %[1]s
  operators   http://%[2]s/readyz says what is missing, http://%[2]s/metrics counts

In a second terminal, watch a room as alice, who may see campaign:42 and settlement:*
  export TIDINGS_TOKEN=%[5]s
  %[4]s sub campaign:42 --url %[3]s

In a third one, tell that room something, as a worker does
  %[4]s pub campaign:42 settlement_updated '{"id":"17","version":1}' %[7]s

bob may see campaign:7 only; with his token the same sub is denied
  export TIDINGS_TOKEN=%[6]s

Any NATS client is a worker: nats pub room.campaign.42 '{"type":"settlement_updated","data":{"id":"17"}}' -s %[8]s

`

// printDev tells a newcomer where to look and what to try. program starts this binary again.
func (c *ServeConfig) printDev(out io.Writer, program string, browsers, operators net.Addr, workers string) error {
	tokens := make([]string, len(devPeople))
	for i, person := range devPeople {
		var err error
		if tokens[i], err = person.token(*c, time.Now()); err != nil {
			return err
		}
	}
	page, socket := "http://", "ws://"
	if c.TLSCert != "" {
		page, socket = "https://", "wss://"
	}
	host := reachable(browsers.String())
	if c.NATS == "" {
		workers = reachableNATS(workers)
	}
	_, err := fmt.Fprintf(out, devHints, page+host+"/", reachable(operators.String()), shellQuote(socket+host+"/ws"),
		shellQuote(program), tokens[0], tokens[1], strings.Join(c.pubFlags(workers), " "), shellQuote(workers))
	return err
}

// reachable is a listener's address as somebody on this machine can use it.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// reachableNATS is the address of the embedded NATS as somebody on this machine can use it.
func reachableNATS(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return "nats://" + reachable(u.Host)
}

// pubFlags bring pub to the same NATS as this process. A password is not among them: it is not for printing.
func (c *ServeConfig) pubFlags(workers string) []string {
	words := []string{"--nats", shellQuote(workers)}
	for _, f := range []struct{ flag, value string }{
		{"--nats-user", c.NATSUser},
		{"--nats-creds", c.NATSCreds},
		{"--nats-ca", c.NATSCA},
		{"--nats-cert", c.NATSCert},
		{"--nats-key", c.NATSKey},
	} {
		if f.value == "" {
			continue
		}
		if f.flag != "--nats-user" { // a file, for a terminal in another folder
			if absolute, err := filepath.Abs(f.value); err == nil {
				f.value = absolute
			}
		}
		words = append(words, f.flag, shellQuote(f.value))
	}
	if c.NATS != "" && c.NATSInbox != "_INBOX" {
		words = append(words, "--nats-inbox", shellQuote(c.NATSInbox))
	}
	if c.NATSPassword != "" {
		words = append(words, "# with TIDINGS_NATS_PASSWORD set")
	}
	return words
}

// shellQuote is s as one word of a POSIX shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-./:,@%+=", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// program is how to start this binary again, from any folder: by its name when PATH leads to it, else by its path.
func program() string {
	path, err := os.Executable()
	if err != nil {
		return "tidings"
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "tidings"
	}
	name := filepath.Base(path)
	if found, err := exec.LookPath(name); err == nil {
		if found, err = filepath.EvalSymlinks(found); err == nil && found == path {
			return name
		}
	}
	return path
}
