package chaos_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/history"
)

// usage is what an edge holds now; with collect its garbage is collected before, and NATS is asked as well,
// which a fault may have paused. It is nil when the edge does not answer.
func (w *world) usage(t *testing.T, e *edge, collect bool) *history.Usage {
	t.Helper()
	if collect {
		if status, _ := get(t, "http://"+e.admin+"/debug/pprof/heap?gc=1"); status != http.StatusOK {
			return nil
		}
	}
	m := e.metrics(t)
	if m == nil {
		return nil
	}
	subscriptions := 0
	if collect {
		subscriptions = w.subscriptions(t, e)
	}
	return &history.Usage{
		RSS:           resident(e.pid()),
		Heap:          int64(sum(m, "go_memstats_heap_inuse_bytes")),
		Goroutines:    int(sum(m, "go_goroutines")),
		Files:         int(sum(m, "process_open_fds")),
		Connections:   int(sum(m, "tidings_edge_connections")),
		Rooms:         int(sum(m, "tidings_mesh_rooms")),
		Queued:        int64(sum(m, "tidings_edge_queued_bytes")),
		Subscriptions: subscriptions,
	}
}

// subscriptions is how many an edge has at NATS.
func (w *world) subscriptions(t *testing.T, e *edge) int {
	t.Helper()
	total := 0
	for _, node := range w.cluster.Nodes {
		body, err := node.Get(t.Context(), "/connz?limit=4096")
		if err != nil {
			continue
		}
		var connz struct {
			Connections []struct {
				Name          string `json:"name"`
				Subscriptions int    `json:"subscriptions"`
			} `json:"connections"`
		}
		require.NoError(t, json.Unmarshal(body, &connz))
		for _, c := range connz.Connections {
			if strings.HasPrefix(c.Name, "tidings edge "+e.name+" ") {
				total += c.Subscriptions
			}
		}
	}
	return total
}

// sample writes down what all edges hold.
func (w *world) sample(t *testing.T, kind history.Kind) {
	t.Helper()
	for _, e := range w.edges {
		if u := w.usage(t, e, kind != history.Sample); u != nil {
			w.note(t, history.Record{Kind: kind, Who: e.name, Usage: u})
		}
	}
}

// rest waits until the edges have given back what clients cost, and writes down what they hold then, be it
// too much or not.
func (w *world) rest(t *testing.T) {
	t.Helper()
	eventually(patience, func() bool {
		for _, e := range w.edges {
			base, now := w.base[e.name], w.usage(t, e, true)
			if now == nil || now.Connections > 0 || now.Rooms > 0 || now.Queued > 0 ||
				now.Goroutines > base.Goroutines || now.Files > base.Files || now.Subscriptions > base.Subscriptions {
				return false
			}
		}
		return true
	})
	w.sample(t, history.Rest)
}
