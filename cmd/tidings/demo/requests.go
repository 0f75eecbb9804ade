package demo

import (
	"errors"
	"fmt"
	"sync"
)

// errPane says that there is no such pane.
var errPane = errors.New("no such pane")

// checkPane reports what is none of the page's panes, a and b.
func checkPane(pane string) error {
	if pane != "a" && pane != "b" {
		return fmt.Errorf("%w: %.20q; there are a and b", errPane, pane)
	}
	return nil
}

// requests counts the GraphQL requests of each pane. Safe for concurrent use.
type requests struct {
	mu    sync.Mutex
	panes map[string]int
}

func newRequests() *requests { return &requests{panes: map[string]int{"a": 0, "b": 0}} }

// add counts one more and returns how many they are.
func (c *requests) add(pane string) (int, error) {
	if err := checkPane(pane); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.panes[pane]++
	return c.panes[pane], nil
}

// counts are those of all panes.
func (c *requests) counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return map[string]int{"a": c.panes["a"], "b": c.panes["b"]}
}
