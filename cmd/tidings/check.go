package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tidingsmesh/tidings/internal/bytesize"

	"github.com/tidingsmesh/tidings/edge/upgrade"
)

// between checks a number, size or duration against both its bounds, which are allowed values.
func between[T int | bytesize.Size | time.Duration](value, least, most T) error {
	switch {
	case value < least:
		return fmt.Errorf("%s is below the least, %s", display(value), display(least))
	case value > most:
		return fmt.Errorf("%s is above the most, %s", display(value), display(most))
	}
	return nil
}

func address(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is no address; write host:port or :port", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to %d", s, 1<<16-1)
	} else if strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%q: write the port without leading zeros", s)
	}
	return nil
}

// webOrigin accepts exactly what a browser sends as Origin (RFC 6454, 6.2): scheme, host and port.
func webOrigin(s string) error {
	scheme, host, _ := strings.Cut(s, "://")
	if (scheme != "http" && scheme != "https") || host != strings.ToLower(host) || upgrade.CheckOrigin(s) != nil {
		return fmt.Errorf("%q is no origin; write scheme://host or scheme://host:port in lower case, "+
			"an international name in punycode (xn--…), nothing behind and no wildcard", s)
	}
	return nil
}

// apart refuses two listeners of one process at one address: the second would find it taken, and blame another process.
func apart(one, other string) error {
	host, port, err := net.SplitHostPort(one)
	otherHost, otherPort, otherErr := net.SplitHostPort(other)
	if err != nil || otherErr != nil || port != otherPort || port == "0" {
		return nil
	}
	if host == otherHost || everyAddress(host) || everyAddress(otherHost) {
		return fmt.Errorf("%s and %s are one port; each listener needs its own", one, other)
	}
	return nil
}

func everyAddress(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// readable accepts "", which stands for no file.
func readable(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.IsDir() {
		return fmt.Errorf("%s is a folder, not a file", path)
	}
	return nil
}
