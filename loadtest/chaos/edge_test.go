package chaos_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/link"
	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
)

// edge is one `tidings serve` process with the links around it.
type edge struct {
	*process
	http, admin string // host:port
	nats        []*link.Link
	clients     *link.Link
}

// url is where clients reach it, through the link.
func (e *edge) url() string { return "ws://" + e.clients.Address + "/ws" }

// direct is where clients reach it without the link.
func (e *edge) direct() string { return "ws://" + e.http + "/ws" }

func (e *edge) ready(t *testing.T) bool {
	t.Helper()
	status, _ := get(t, "http://"+e.admin+"/readyz")
	return status == http.StatusOK
}

// awaitReady starts nothing; it waits until the edge serves.
func (e *edge) awaitReady(t *testing.T) {
	t.Helper()
	require.True(t, eventually(patience, func() bool {
		e.alive(t)
		return e.ready(t)
	}), "%s is not ready\n%s", e.name, e.tail())
}

// restart starts it after its end.
func (e *edge) restart(t *testing.T) {
	t.Helper()
	e.start(t, false)
	e.awaitReady(t)
}

// drain ends it as an operator does.
func (e *edge) drain(t *testing.T) (status int) {
	t.Helper()
	e.signal(t, syscall.SIGTERM)
	return e.ended(t, patience)
}

// metrics are what it tells, by name; nil when it does not answer.
func (e *edge) metrics(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	status, body := get(t, "http://"+e.admin+"/metrics")
	if status != http.StatusOK {
		return nil
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	return families
}

// sum is the value of a metric over all its labels, or over those with this one value of a label.
func sum(families map[string]*dto.MetricFamily, name string, label ...string) float64 {
	total := 0.0
	for _, m := range families[name].GetMetric() {
		if len(label) == 1 && (len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() != label[0]) {
			continue
		}
		total += m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
	}
	return total
}

func (e *edge) connections(t *testing.T) int {
	t.Helper()
	return int(sum(e.metrics(t), "tidings_edge_connections"))
}

// resident is the memory of a process in bytes.
func resident(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// newEdge prepares an edge on links to every node of NATS.
func (w *world) newEdge(t *testing.T, name string, flags ...string) *edge {
	t.Helper()
	e := &edge{http: port.Address(t), admin: port.Address(t)}
	urls := make([]string, 0, len(w.cluster.Nodes))
	for _, node := range w.cluster.Nodes {
		l := w.link(t, node.Host, w.options.fromNATS)
		e.nats = append(e.nats, l)
		urls = append(urls, "nats://"+l.Address)
	}
	e.clients = w.link(t, e.http, nil)
	e.process = newProcess(t, name, w.programs.tidings, append([]string{
		"serve", "--nats", strings.Join(urls, ","), "--http", e.http, "--admin", e.admin, "--edge-name", name,
		"--stream-replicas", strconv.Itoa(len(w.cluster.Nodes)), "--stream-history", longHistory, "--stream-max-bytes", "128MiB",
		"--client-buffer", "64KiB", "--slow-timeout", "20s", "--drain", fmt.Sprint(drain), "--ping", "2s", "--pong-timeout", "2s",
		"--linger", "2s", "--leeway", "1s", "--max-per-address", "100000", "--log-format", "json",
	}, flags...)...)
	e.env = []string{"TIDINGS_JWT_SECRET=" + secret}
	return e
}

// longHistory is how many events of a room the stream keeps, so that it has the whole run in the end.
const longHistory = "100000"

// drain is the time that edges give their clients.
const drain = 4 * time.Second
