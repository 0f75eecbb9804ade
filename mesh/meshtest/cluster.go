//go:build unix

package meshtest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
)

// Cluster is a NATS cluster of processes on this machine.
type Cluster struct {
	Nodes []*Process
	URL   string // of all nodes
}

// StartCluster runs n nats-server processes as one cluster, without users, until
// the test ends, and waits until JetStream has a leader.
func StartCluster(t testing.TB, n int) *Cluster {
	t.Helper()
	return StartClusterConfig(t, n, ProcessConfig{})
}

// StartClusterConfig is StartCluster with a configuration that all nodes share.
// The routes are in the environment as TIDINGS_NATS_ROUTES and the node's name
// as TIDINGS_NATS_NAME.
func StartClusterConfig(t testing.TB, n int, cfg ProcessConfig) *Cluster {
	t.Helper()
	return StartClusterVia(t, n, cfg, nil)
}

// StartClusterVia is StartClusterConfig with routes that lead elsewhere first:
// via returns the address at which one node (by index) reaches another's, both
// as host:port. Nodes then learn no other way to each other.
func StartClusterVia(t testing.TB, n int, cfg ProcessConfig, via func(from, to int, address string) string) *Cluster {
	t.Helper()
	ports := port.Free(t, n)
	c := &Cluster{}
	urls := make([]string, n)
	for i := range n {
		routes := make([]string, 0, n)
		for k, number := range ports {
			address := "127.0.0.1:" + strconv.Itoa(number)
			if via != nil && k != i {
				address = via(i, k, address)
			}
			routes = append(routes, "nats://"+address)
		}
		list, err := json.Marshal(routes)
		require.NoError(t, err)
		node := cfg
		node.Name = fmt.Sprintf("n%d", i+1)
		if cfg.Store != "" {
			node.Store = filepath.Join(cfg.Store, node.Name)
		}
		node.Args = append([]string{"-cluster", routes[i]}, cfg.Args...)
		if via != nil {
			// Neither nodes nor clients learn of ways around: nobody is at the one address.
			node.Args = append(node.Args, "-cluster_advertise", "127.0.0.1:1", "-no_advertise")
		}
		node.Env = append([]string{"TIDINGS_NATS_NAME=" + node.Name, "TIDINGS_NATS_ROUTES=" + string(list)}, cfg.Env...)
		if cfg.Config == "" {
			node.Args = append(node.Args, "-cluster_name", "test", "-routes", strings.Join(routes, ","))
		}
		p := newProcess(t, node)
		p.start(t)
		c.Nodes = append(c.Nodes, p)
		urls[i] = p.URL
	}
	c.URL = strings.Join(urls, ",")
	for _, p := range c.Nodes {
		p.awaitHealthy(t)
		Eventually(t, func() bool { return p.metaLeader(t) != "" }, "%s knows a JetStream leader", p.Name)
	}
	return c
}

// Dial connects to any node; cfg needs no URL.
func (c *Cluster) Dial(t testing.TB, cfg mesh.DialConfig) *nats.Conn {
	t.Helper()
	cfg.URL = c.URL
	return Dial(t, cfg)
}

// Leader waits until the stream has a leader and returns its node.
func (c *Cluster) Leader(t testing.TB, nc *nats.Conn, stream string) *Process {
	t.Helper()
	var node *Process
	Eventually(t, func() bool {
		info, err := mesh.FetchStreamInfo(within(t), nc, stream)
		if err != nil {
			return false
		}
		node = c.Node(info.Leader)
		return node != nil
	}, "stream %s has a leader", stream)
	return node
}

// Node is the node of that name, nil when there is none.
func (c *Cluster) Node(name string) *Process {
	for _, p := range c.Nodes {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Others are all nodes but p.
func (c *Cluster) Others(p *Process) []*Process {
	var others []*Process
	for _, node := range c.Nodes {
		if node != p {
			others = append(others, node)
		}
	}
	return others
}

// metaLeader is the leader of the JetStream cluster as this node sees it.
func (p *Process) metaLeader(t testing.TB) string {
	t.Helper()
	body, err := p.Get(t.Context(), "/jsz")
	if err != nil {
		return ""
	}
	var jsz struct {
		Meta struct {
			Leader string `json:"leader"`
		} `json:"meta_cluster"`
	}
	if err := json.Unmarshal(body, &jsz); err != nil {
		return ""
	}
	return jsz.Meta.Leader
}
