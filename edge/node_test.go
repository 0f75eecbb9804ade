package edge_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
	"github.com/tidingsmesh/tidings/subjects/schema"
)

// patience bounds every wait of these tests. Machines that run them may be busy.
const patience = 60 * time.Second

var testSecret = []byte("a secret of the tests, long enough for HS256")

// world is a NATS and the way in which the edges of a test drive their sockets.
type world struct {
	nats      *meshtest.NATS
	publisher *mesh.Publisher
	transport edge.Transport
	tls       bool
}

// eachTransport runs test for every transport, with one NATS for all.
func eachTransport(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	shared := newWorld(t)
	for name, w := range map[string]world{
		"epoll":        {transport: edge.TransportEpoll},
		"portable":     {transport: edge.TransportPortable},
		"portable tls": {transport: edge.TransportPortable, tls: true},
	} {
		if name == "epoll" && !hasEpoll {
			continue // such a system has no epoll, and New says so
		}
		w.nats, w.publisher = shared.nats, shared.publisher
		t.Run(name, func(t *testing.T) { test(t, &w) })
	}
}

// newWorld is a NATS of its own and the transport that an edge takes by itself.
func newWorld(t testing.TB) *world {
	t.Helper()
	nats := meshtest.Start(t)
	publisher, err := mesh.NewPublisher(nats.Conn(t), mesh.PublisherConfig{})
	require.NoError(t, err)
	return &world{nats: nats, publisher: publisher, transport: edge.TransportAuto}
}

var rooms atomic.Int64

// room is a room that no other test uses.
func room(t testing.TB) subjects.Room {
	t.Helper()
	r, err := subjects.ParseRoom("campaign:" + strconv.FormatInt(rooms.Add(1), 10))
	require.NoError(t, err)
	return r
}

// settings are what a test changes about a node.
type settings struct {
	edge edge.Config
	feed mesh.FeedConfig
	auth authz.Config
	// level is the least of what is logged.
	level slog.Level
}

// node is a running edge.
type node struct {
	world   *world
	addr    string
	edge    *edge.Edge
	admin   http.Handler
	metrics *prometheus.Registry
	log     *logBuffer
	http    *http.Client

	stop, hard context.CancelFunc
	done       chan struct{} // closed when Run has returned
	err        error         // of Run
}

var nodes atomic.Int64

// start runs an edge until the test ends and waits until it is ready. Without change it gives clients
// no time to move away, and all the time of a test for whatever else they should do soon: on a busy machine
// the test's own clients may be late.
func (w *world) start(t testing.TB, change ...func(*settings)) *node {
	t.Helper()
	n := w.launch(t, change...)
	meshtest.Eventually(t, func() bool { return n.edge.Ready() == nil }, "edge ready")
	return n
}

// launch is start without waiting.
func (w *world) launch(t testing.TB, change ...func(*settings)) *node {
	t.Helper()
	n := &node{
		world: w, metrics: prometheus.NewRegistry(), log: &logBuffer{}, done: make(chan struct{}),
	}
	schemas, err := schema.Load("")
	require.NoError(t, err)

	s := settings{edge: edge.DefaultConfig(), feed: mesh.DefaultFeedConfig(), auth: authz.DefaultConfig(), level: slog.LevelDebug}
	s.edge.Name = "edge-" + strconv.FormatInt(nodes.Add(1), 10)
	s.edge.Transport, s.edge.TLS = w.transport, w.tls
	s.edge.Shards = 2
	s.edge.Drain = 0
	l := &s.edge.Limits
	l.HandshakeTimeout, l.HelloTimeout, l.SlowTimeout, l.PongTimeout = patience, patience, patience, patience
	s.edge.Metrics = n.metrics
	s.feed.Edge = s.edge.Name
	s.feed.Dial.URL = w.nats.URL
	s.feed.Validate = schemas.Check
	s.feed.Encode = edge.EncodeEvent
	s.feed.Metrics = n.metrics
	s.feed.Linger = 0
	s.auth.Secret = testSecret
	for _, f := range change {
		f(&s)
	}
	log := slog.New(slog.NewJSONHandler(n.log, &slog.HandlerOptions{Level: s.level}))
	if s.edge.Feed == nil {
		s.edge.Feed, err = mesh.NewFeed(s.feed, log)
		require.NoError(t, err)
	}
	s.edge.Verifier, err = authz.NewVerifier(s.auth, log)
	require.NoError(t, err)
	n.edge, err = edge.New(s.edge, log)
	require.NoError(t, err)
	n.admin = n.edge.AdminHandler(n.metrics)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n.addr = listener.Addr().String()
	transport := &http.Transport{}
	if w.tls {
		server, client := certificate(t)
		listener = tls.NewListener(listener, server)
		transport.TLSClientConfig = client
	}
	n.http = &http.Client{Transport: transport}

	ctx, stop := context.WithCancel(context.Background())
	hardCtx, hard := context.WithCancel(context.Background())
	n.stop, n.hard = stop, hard
	go func() {
		defer close(n.done)
		n.err = n.edge.Run(ctx, hardCtx, listener)
	}()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		hard()
		<-n.done
		assert.NoError(t, n.err)
		if t.Failed() {
			t.Logf("log of %s:\n%s", s.edge.Name, n.log.tail())
		}
	})
	return n
}

// url is where WebSockets are accepted.
func (n *node) url() string {
	if n.world.tls {
		return "wss://" + n.addr + "/ws"
	}
	return "ws://" + n.addr + "/ws"
}

// ended waits for Run to return.
func (n *node) ended(t testing.TB) error {
	t.Helper()
	select {
	case <-n.done:
		return n.err
	case <-time.After(patience):
		require.Fail(t, "Run does not return")
		return nil
	}
}

// get asks the operators' handler.
func (n *node) get(path string) (status int, body string) {
	w := httptest.NewRecorder()
	n.admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// metric is the value of a metric with that one label value, or of one without labels.
func (n *node) metric(t testing.TB, name string, label ...string) float64 {
	t.Helper()
	families, err := n.metrics.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if len(label) == 0 && len(m.GetLabel()) == 0 || len(m.GetLabel()) == 1 && len(label) == 1 && m.GetLabel()[0].GetValue() == label[0] {
				return value(m)
			}
		}
	}
	return 0
}

func value(m *dto.Metric) float64 {
	if m.GetGauge() != nil {
		return m.GetGauge().GetValue()
	}
	return m.GetCounter().GetValue()
}

// await waits until a metric has a value.
func (n *node) await(t testing.TB, want float64, name string, label ...string) {
	t.Helper()
	meshtest.Eventually(t, func() bool { return n.metric(t, name, label...) == want }, "%s %v is %v", name, label, want)
}

// awaitAtLeast waits until a metric has reached a value.
func (n *node) awaitAtLeast(t testing.TB, want float64, name string, label ...string) {
	t.Helper()
	meshtest.Eventually(t, func() bool { return n.metric(t, name, label...) >= want }, "%s %v is at least %v", name, label, want)
}

// logBuffer keeps what an edge logs.
type logBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) tail() string {
	lines := strings.Split(l.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// makeCertificate makes a certificate for 127.0.0.1, signed by itself.
var makeCertificate = sync.OnceValues(func() (*tls.Config, *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	server := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}
	client := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return server, client
})

func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	server, client = makeCertificate()
	return server.Clone(), client.Clone()
}
