package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// between checks a number, size or duration against both its bounds, which are allowed values.
func between[T int | Size | time.Duration](value, least, most T) error {
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
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil ||
		strings.ContainsAny(u.Host, "*, ") || u.Scheme+"://"+u.Host != strings.ToLower(s) {
		return fmt.Errorf("%q is no origin; write scheme://host or scheme://host:port, nothing behind and no wildcard", s)
	}
	return nil
}

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
