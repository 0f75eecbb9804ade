package swarm

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Config says what clients to run.
type Config struct {
	// Command starts a worker, a process that calls [RunWorker]; nil is this program with the arguments
	// "loadtest worker".
	Command []string
	// Dialect names how the clients talk: "tidings" or another of [Dialects].
	Dialect string
	// URLs are the servers, ws://host:port/path. Client i starts at URLs[i%len] and goes on to the next one
	// when a try fails.
	URLs []string
	// Rooms are names; clients and marks refer to them by index.
	Rooms   []string
	Clients []Client
	// Workers is the number of processes; 0: as few as the limit of open files allows.
	Workers int
	// Reconnect makes clients come back as browsers do: the first try after a random time within 1 s, further
	// ones within 2, 4, 8, 16 and then 32 s, resuming from the last position. Without it, a client whose
	// tries at all URLs failed, or that lost its connection, has failed for good.
	Reconnect bool
	// Haste makes clients that come back wait for a random time within this before each try, instead of as browsers
	// do: to compare servers rather than the patience of clients.
	Haste time.Duration
	// OneAddress leaves the source address to the system. Otherwise, clients of a server on 127.0.0.0/8
	// come from 127.0.1.1 and the addresses after it, 500 from each, so that neither ports nor a limit of
	// connections per address ends the test.
	OneAddress bool
}

// Client is one of them.
type Client struct {
	Token string `json:"token,omitempty"`
	// Rooms are indexes into Config.Rooms.
	Rooms []int `json:"rooms"`
	// BytesPerSecond bounds how fast it reads once it has joined; 0 is no bound. The bound ends with Finish.
	BytesPerSecond int `json:"bytes_per_second,omitempty"`
}

// Dialects lists the names that Config.Dialect can have.
func Dialects() []string { return slices.Sorted(maps.Keys(dialects)) }

// Validate reports everything that cannot work.
func (c Config) Validate() error {
	var wrong []error
	if runtime.GOOS != "linux" {
		wrong = append(wrong, errNotLinux)
	}
	if dialects[c.Dialect] == nil {
		wrong = append(wrong, fmt.Errorf("dialect %q is not known, want one of %s", c.Dialect, strings.Join(Dialects(), ", ")))
	}
	if len(c.URLs) == 0 {
		wrong = append(wrong, errors.New("there is no URL to connect to"))
	}
	for _, text := range c.URLs {
		if _, err := parseTarget(text); err != nil {
			wrong = append(wrong, err)
		}
	}
	if len(c.Clients) == 0 {
		wrong = append(wrong, errors.New("there are no clients"))
	}
	if c.Workers < 0 || c.Workers > len(c.Clients) {
		wrong = append(wrong, fmt.Errorf("%d workers for %d clients, want 0 or at most one each", c.Workers, len(c.Clients)))
	}
	for i, client := range c.Clients {
		if err := client.validate(len(c.Rooms)); err != nil {
			wrong = append(wrong, fmt.Errorf("client %d: %w", i, err))
			break // the others have the same mistake
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("swarm: bad configuration: %w", errors.Join(wrong...))
	}
	return nil
}

func (c Client) validate(rooms int) error {
	if c.BytesPerSecond < 0 {
		return fmt.Errorf("%d bytes per second, want at least 0", c.BytesPerSecond)
	}
	for i, room := range c.Rooms {
		if room < 0 || room >= rooms {
			return fmt.Errorf("room %d of %d", room, rooms)
		}
		if slices.Contains(c.Rooms[:i], room) {
			return fmt.Errorf("room %d is given twice", room)
		}
	}
	return nil
}

// target is a parsed URL.
type target struct {
	host, port string
	authority  string // for the Host header
	path       string // with the query
}

func parseTarget(text string) (target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return target{}, fmt.Errorf("URL %q: %w", text, err)
	}
	switch {
	case u.Scheme == "wss":
		return target{}, fmt.Errorf("URL %q: clients speak no TLS; give the ws:// address behind whatever terminates it", text)
	case u.Scheme != "ws" || u.Hostname() == "":
		return target{}, fmt.Errorf("URL %q, want ws://host:port/path", text)
	}
	t := target{host: u.Hostname(), port: u.Port(), authority: u.Host, path: u.RequestURI()}
	if t.port == "" {
		t.port = "80"
	}
	return t, nil
}
