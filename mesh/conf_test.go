package mesh_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

const (
	standaloneConf = "../nats.conf"
	tlsConf        = "../deploy/nats/tls.conf"
	clusterConf    = "../deploy/nats/cluster.conf"
)

var quietLog = slog.New(slog.DiscardHandler)

// passwords are what an operator puts into the environment.
var passwords = []string{
	"TIDINGS_NATS_ADMIN_PASSWORD=padmin",
	"TIDINGS_NATS_EDGE_PASSWORD=pedge",
	"TIDINGS_NATS_WORKER_PASSWORD=pworker",
	"TIDINGS_NATS_SYSTEM_PASSWORD=psystem",
}

// as connects with the credentials of a user in nats.conf.
func as(t testing.TB, n *meshtest.Process, user string, opts ...func(*mesh.DialConfig)) *nats.Conn {
	t.Helper()
	cfg := mesh.DialConfig{User: user, Password: "p" + user, Name: user}
	for _, opt := range opts {
		opt(&cfg)
	}
	return n.Dial(t, cfg)
}

// startConf runs nats.conf as it is, with the stream created by the administrator.
func startConf(t testing.TB) *meshtest.Process {
	t.Helper()
	n := meshtest.StartProcess(t, meshtest.ProcessConfig{Config: standaloneConf, Env: passwords})
	meshtest.EnsureStream(t, as(t, n, "admin"), mesh.DefaultStreamConfig())
	return n
}

// settle returns when the server has handled all that nc has sent and all that came
// of it, and says what the stream's last sequence was before that.
func settle(t testing.TB, nc *nats.Conn, n *meshtest.Process) (lastSeq uint64) {
	t.Helper()
	require.NoError(t, nc.Flush())
	admin := as(t, n, "admin")
	p, err := mesh.NewPublisher(admin, mesh.PublisherConfig{})
	require.NoError(t, err)
	// Stores and answers are each handled in order: the first ack comes after
	// all answers to nc, the second after all that those have caused.
	first, err := p.Publish(t.Context(), room(t, "settle:1"), event(t))
	require.NoError(t, err)
	second, err := p.Publish(t.Context(), room(t, "settle:2"), event(t))
	require.NoError(t, err)
	assert.Equal(t, first.Seq+1, second.Seq, "nobody else publishes")
	// So are requests to change something; this one is refused to everybody.
	m, err := admin.Request("$JS.API.STREAM.PURGE.ROOMS", nil, 10*time.Second)
	require.NoError(t, err)
	require.Contains(t, string(m.Data), "purge not permitted")
	return first.Seq - 1
}

func room(t testing.TB, s string) subjects.Room {
	t.Helper()
	r, err := subjects.ParseRoom(s)
	require.NoError(t, err)
	return r
}

func event(t testing.TB) subjects.Event {
	t.Helper()
	return subjects.Event{ID: subjects.NewID(), Source: "/test", Type: "ping", Data: json.RawMessage(`{"n":1}`)}
}

func TestConf_NeedsEveryPassword(t *testing.T) {
	n := startConf(t)
	for _, user := range []string{"admin", "edge", "worker", "system"} {
		nc, err := nats.Connect(n.URL, nats.UserInfo(user, "wrong"))
		assert.ErrorIs(t, err, nats.ErrAuthorization, user)
		if err == nil {
			nc.Close()
		}
	}
	_, err := nats.Connect(n.URL)
	assert.ErrorIs(t, err, nats.ErrAuthorization, "without a user")
}

func TestConf_EdgeAndWorkerCanDoTheirWork(t *testing.T) {
	n := startConf(t)
	exerciseRoles(t, n, nil)
}

// exerciseRoles does with the edge's and the worker's credentials all that an edge
// and a worker do.
func exerciseRoles(t *testing.T, n *meshtest.Process, opt func(*mesh.DialConfig)) {
	t.Helper()
	opts := []func(*mesh.DialConfig){}
	if opt != nil {
		opts = append(opts, opt)
	}
	edge, worker := as(t, n, "edge", opts...), as(t, n, "worker", opts...)
	campaign := room(t, "campaign:42")

	live := make(chan *nats.Msg, 16)
	for _, subject := range []string{campaign.Live(), campaign.Nudge(), "mesh.revoke.alice"} {
		_, err := edge.ChanSubscribe(subject, live)
		require.NoError(t, err)
	}
	fence, err := edge.Request(subjects.Fence("e1"), nil, 5*time.Second)
	require.NoError(t, err)
	assert.Contains(t, string(fence.Data), `"seq":`)
	_, err = edge.Request(subjects.Mark("e1"), nil, 5*time.Second)
	require.NoError(t, err)

	p, err := mesh.NewPublisher(worker, mesh.PublisherConfig{})
	require.NoError(t, err)
	e := event(t)
	ack, err := p.Publish(t.Context(), campaign, e)
	require.NoError(t, err)
	require.NoError(t, worker.Publish(campaign.Subject(), []byte(`{"type":"plain"}`)), "without an ack, as `nats pub` does")
	again, err := p.Publish(t.Context(), campaign, e)
	require.NoError(t, err)
	assert.Equal(t, mesh.Ack{Seq: ack.Seq, Duplicate: true, ID: e.ID}, again)
	all, err := p.PublishAll(t.Context(), []subjects.Room{campaign, room(t, "campaign:43"), room(t, "campaign:44")}, event(t))
	require.NoError(t, err)
	assert.Len(t, all, 3)
	_, err = p.Publish(t.Context(), campaign, subjects.Event{ID: "big", Source: "/t", Type: "big", Data: json.RawMessage(`"` + strings.Repeat("x", 65<<10) + `"`)})
	require.ErrorIs(t, err, mesh.ErrTooLarge)
	assert.ErrorContains(t, err, "65536", "the worker is told the stream's limit")

	var got []string
	for range 4 {
		select {
		case m := <-live:
			got = append(got, m.Subject)
		case <-time.After(30 * time.Second):
			t.Fatalf("only %v arrived", got)
		}
	}
	assert.ElementsMatch(t, []string{campaign.Live(), campaign.Live(), campaign.Nudge(), campaign.Live()}, got)

	info, err := mesh.EnsureStream(t.Context(), edge, mesh.DefaultStreamConfig(), quietLog)
	require.NoError(t, err, "an edge finds the stream that the administrator made")
	assert.NotZero(t, info.LastSeq)
	// In a cluster a replica answers, which may be behind.
	meshtest.Eventually(t, func() bool {
		msgs, _, err := mesh.MultiLast(t.Context(), edge, []string{campaign.Subject(), subjects.Fence("e1")}, 0)
		return err == nil && len(msgs) == 2
	}, "reads the newest of several rooms")
	meshtest.Eventually(t, func() bool {
		msgs, err := mesh.Batch(t.Context(), edge, campaign.Subject(), 0, 100)
		return err == nil && len(msgs) == 3
	}, "reads a room")
	require.NoError(t, edge.Publish(campaign.Quarantine(), []byte("x")))
	require.NoError(t, edge.Flush())
	assert.NotErrorIs(t, edge.LastError(), nats.ErrPermissionViolation)
	assert.NotErrorIs(t, worker.LastError(), nats.ErrPermissionViolation)
}

func TestConf_EdgeWithoutStreamIsToldWhatToDo(t *testing.T) {
	n := meshtest.StartProcess(t, meshtest.ProcessConfig{Config: standaloneConf, Env: passwords})
	_, err := mesh.EnsureStream(t.Context(), as(t, n, "edge"), mesh.DefaultStreamConfig(), quietLog)
	require.ErrorIs(t, err, mesh.ErrStreamMissing)
	assert.ErrorContains(t, err, "administrator")
}

// TestConf_ForbiddenSubjects tries each subject that a stolen credential would be
// used for.
func TestConf_ForbiddenSubjects(t *testing.T) {
	n := startConf(t)
	api := []string{
		"$JS.API.STREAM.PURGE.ROOMS", "$JS.API.STREAM.DELETE.ROOMS", "$JS.API.STREAM.UPDATE.ROOMS",
		"$JS.API.STREAM.CREATE.ROOMS", "$JS.API.STREAM.CREATE.OTHER", "$JS.API.STREAM.MSG.DELETE.ROOMS",
		"$JS.API.STREAM.SNAPSHOT.ROOMS", "$JS.API.STREAM.RESTORE.ROOMS", "$JS.API.STREAM.LEADER.STEPDOWN.ROOMS",
		"$JS.API.STREAM.PEER.REMOVE.ROOMS", "$JS.API.CONSUMER.CREATE.ROOMS", "$JS.API.STREAM.NAMES",
		"$JS.API.META.LEADER.STEPDOWN", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PING.STATZ",
	}
	publish := map[string][]string{
		"edge": append([]string{
			"room.campaign.42", "room._fence.e1.more", "live.1.campaign.42", "nudge.1.campaign.42", "mesh.revoke.alice",
			"_INBOX.somebody.else",
		}, api...),
		"worker": append([]string{
			"room._fence.e1", "room._mark.e1", "room.campaign", "room.campaign.42.more", "live.1.campaign.42",
			"mesh.revoke.alice", "mesh.quarantine.campaign.42", "$JS.API.DIRECT.GET.ROOMS", "_INBOX.somebody.else",
		}, api...),
	}
	subscribe := map[string][]string{
		"edge":   {">", "room.>", "$SYS.>", "$JS.>", "$JS.EVENT.>", "_R_.>"},
		"worker": {">", "room.>", "live.>", "nudge.>", "mesh.>", "$SYS.>", "$JS.>", "_R_.>"},
	}
	before, err := mesh.FetchStreamInfo(t.Context(), as(t, n, "admin"), subjects.StreamName)
	require.NoError(t, err)
	for _, user := range []string{"edge", "worker"} {
		for _, subject := range publish[user] {
			nc := as(t, n, user)
			require.NoError(t, nc.PublishRequest(subject, nc.NewInbox(), []byte(`{"name":"ROOMS"}`)))
			require.NoError(t, nc.Flush())
			assert.ErrorIs(t, nc.LastError(), nats.ErrPermissionViolation, "%s publishes %s", user, subject)
			nc.Close()
		}
		for _, subject := range subscribe[user] {
			nc := as(t, n, user)
			_, err := nc.SubscribeSync(subject)
			require.NoError(t, err)
			require.NoError(t, nc.Flush())
			assert.ErrorIs(t, nc.LastError(), nats.ErrPermissionViolation, "%s subscribes %s", user, subject)
			nc.Close()
		}
	}
	assert.Equal(t, before.LastSeq, settle(t, as(t, n, "admin"), n), "the stream is as it was")
	after, err := mesh.FetchStreamInfo(t.Context(), as(t, n, "admin"), subjects.StreamName)
	require.NoError(t, err)
	assert.Equal(t, before.Epoch, after.Epoch)
}

// TestConf_ServersAnswerIsNoWeapon names as the reply of permitted messages what
// the sender may not publish to. The server sends its answers with rights of its own.
func TestConf_ServersAnswerIsNoWeapon(t *testing.T) {
	n := startConf(t)
	worker, edge, admin := as(t, n, "worker"), as(t, n, "edge"), as(t, n, "admin")
	events, err := admin.SubscribeSync("$JS.EVENT.ADVISORY.API")
	require.NoError(t, err)
	require.NoError(t, admin.Flush())
	campaign := room(t, "campaign:42")
	_, err = worker.Request(campaign.Subject(), nil, 5*time.Second)
	require.NoError(t, err)
	targets := []string{
		"$JS.API.STREAM.DELETE.ROOMS", "$JS.API.STREAM.PURGE.ROOMS", "$JS.API.STREAM.UPDATE.ROOMS",
		"$JS.API.STREAM.LEADER.STEPDOWN.ROOMS", "$JS.API.STREAM.CREATE.OTHER", "room.campaign.1", "$SYS.REQ.SERVER.PING",
	}
	for _, target := range targets {
		// Opening a batch is answered with an empty message.
		require.NoError(t, worker.PublishMsg(&nats.Msg{
			Subject: campaign.Subject(), Reply: target,
			Header: nats.Header{"Nats-Batch-Id": {subjects.NewID()}, "Nats-Batch-Sequence": {"1"}},
		}))
		require.NoError(t, edge.PublishRequest(subjects.Fence("e1"), target, nil))
		require.NoError(t, edge.PublishRequest("$JS.API.STREAM.INFO.ROOMS", target, nil))
		require.NoError(t, edge.PublishRequest("$JS.API.DIRECT.GET.ROOMS", target, []byte(`{"last_by_subj":"room.campaign.42"}`)))
		require.NoError(t, edge.PublishRequest("$JS.API.DIRECT.GET.ROOMS", target, []byte(`{"seq":1,"next_by_subj":"room.campaign.42","batch":1}`)))
		require.NoError(t, edge.PublishRequest("$JS.API.DIRECT.GET.ROOMS", target, []byte(`{"last_by_subj":"room.none.none"}`)))
	}
	require.NoError(t, worker.Flush())
	assert.Equal(t, uint64(1+len(targets)), settle(t, edge, n), "one event and the fences, nothing else")

	// Requests to change something leave an audit trail, up to settle's own.
	for {
		m, err := events.NextMsg(10 * time.Second)
		require.NoError(t, err)
		var advisory struct {
			Subject string `json:"subject"`
			Client  struct {
				User string `json:"user"`
			} `json:"client"`
		}
		require.NoError(t, json.Unmarshal(m.Data, &advisory))
		if advisory.Subject == "$JS.API.STREAM.PURGE.ROOMS" && advisory.Client.User == "admin" {
			break
		}
		assert.Equal(t, "$JS.API.STREAM.INFO.ROOMS", advisory.Subject)
	}
}

func TestConf_RolesCannotHearEachOther(t *testing.T) {
	n := startConf(t)
	worker, edge := as(t, n, "worker"), as(t, n, "edge")
	heard, err := worker.SubscribeSync("_INBOX.>")
	require.NoError(t, err)
	require.NoError(t, worker.Flush())
	_, err = edge.Request(subjects.Fence("e1"), nil, 5*time.Second)
	require.NoError(t, err)
	require.NoError(t, worker.Flush())
	pending, _, err := heard.Pending()
	require.NoError(t, err)
	assert.Zero(t, pending)
}

func TestConf_StreamConfigurationOutlivesTheServer(t *testing.T) {
	n := startConf(t)
	admin := as(t, n, "admin")
	p, err := mesh.NewPublisher(admin, mesh.PublisherConfig{})
	require.NoError(t, err)
	ack, err := p.Publish(t.Context(), room(t, "campaign:42"), event(t))
	require.NoError(t, err)
	before, err := mesh.FetchStreamInfo(t.Context(), admin, subjects.StreamName)
	require.NoError(t, err)
	n.Kill()
	n.Restart(t)
	after := meshtest.EnsureStream(t, as(t, n, "edge"), mesh.DefaultStreamConfig())
	assert.Equal(t, before.Epoch, after.Epoch)
	assert.Equal(t, ack.Seq, after.LastSeq)
}

func TestConf_TLS(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	cert, key := ca.issue(t, "server")
	n := meshtest.StartProcess(t, meshtest.ProcessConfig{Config: tlsConf, TLS: true, Env: append([]string{
		"TIDINGS_NATS_CERT=" + quoted(cert), "TIDINGS_NATS_KEY=" + quoted(key),
	}, passwords...)})
	trust := func(cfg *mesh.DialConfig) { cfg.TLS.CAFile = ca.file }
	admin := as(t, n, "admin", trust)
	meshtest.EnsureStream(t, admin, mesh.DefaultStreamConfig())
	state, err := admin.TLSConnectionState()
	require.NoError(t, err)
	assert.True(t, state.HandshakeComplete)
	exerciseRoles(t, n, trust)

	_, err = nats.Connect(n.URL, nats.UserInfo("edge", "pedge"))
	require.ErrorContains(t, err, "certificate", "an unknown authority is refused")
	plain, err := net.Dial("tcp", n.Host)
	require.NoError(t, err)
	defer func() { _ = plain.Close() }()
	_, err = fmt.Fprint(plain, "CONNECT {\"user\":\"edge\",\"pass\":\"pedge\"}\r\nPING\r\n")
	require.NoError(t, err)
	require.NoError(t, plain.SetReadDeadline(time.Now().Add(30*time.Second)))
	answer := make([]byte, 4096)
	for {
		k, err := plain.Read(answer)
		if err != nil {
			break
		}
		assert.NotContains(t, string(answer[:k]), "PONG", "no talk without TLS")
	}
}

func TestConf_Cluster(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	cert, key := ca.issue(t, "node")
	c := meshtest.StartClusterConfig(t, 3, meshtest.ProcessConfig{Config: clusterConf, TLS: true, Env: append([]string{
		"TIDINGS_NATS_CERT=" + quoted(cert), "TIDINGS_NATS_KEY=" + quoted(key), "TIDINGS_NATS_CA=" + quoted(ca.file),
	}, passwords...)})
	trust := func(cfg *mesh.DialConfig) { cfg.TLS.CAFile = ca.file }
	admin := as(t, c.Nodes[0], "admin", trust)
	cfg := mesh.DefaultStreamConfig()
	cfg.Replicas = 3
	meshtest.EnsureStream(t, admin, cfg)
	leader := c.Leader(t, admin, subjects.StreamName)
	exerciseRoles(t, c.Others(leader)[0], trust)

	// A worker rides out the crash of the leader.
	worker := c.Dial(t, mesh.DialConfig{User: "worker", Password: "pworker", TLS: mesh.TLSConfig{CAFile: ca.file}})
	p, err := mesh.NewPublisher(worker, mesh.PublisherConfig{})
	require.NoError(t, err)
	elected := make(chan *nats.Msg, 8)
	edge := as(t, c.Others(leader)[0], "edge", trust)
	_, err = edge.ChanSubscribe("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.ROOMS", elected)
	require.NoError(t, err)
	require.NoError(t, edge.Flush())
	leader.Kill()
	ack, err := p.Publish(t.Context(), room(t, "campaign:42"), event(t))
	require.NoError(t, err)
	assert.NotZero(t, ack.Seq)
	// An edge hears of the new leader, and compares its rooms with it.
	select {
	case m := <-elected:
		assert.Contains(t, string(m.Data), `"stream":"ROOMS"`)
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was heard of the new leader")
	}
}

// TestConf_FenceHoldsAcrossAccounts is the reason why an edge believes its fence:
// once it is acked, each event that is stored later arrives, on whatever node.
func TestConf_FenceHoldsAcrossAccounts(t *testing.T) {
	ca := newAuthority(t, t.TempDir())
	cert, key := ca.issue(t, "node")
	c := meshtest.StartClusterConfig(t, 3, meshtest.ProcessConfig{Config: clusterConf, TLS: true, Env: append([]string{
		"TIDINGS_NATS_CERT=" + quoted(cert), "TIDINGS_NATS_KEY=" + quoted(key), "TIDINGS_NATS_CA=" + quoted(ca.file),
	}, passwords...)})
	trust := func(cfg *mesh.DialConfig) { cfg.TLS.CAFile = ca.file }
	admin := as(t, c.Nodes[0], "admin", trust)
	cfg := mesh.DefaultStreamConfig()
	cfg.Replicas = 3
	meshtest.EnsureStream(t, admin, cfg)
	leader := c.Leader(t, admin, subjects.StreamName)
	worker := as(t, leader, "worker", trust)
	for _, node := range c.Others(leader) {
		edge := as(t, node, "edge", trust)
		for i := range 200 {
			r := room(t, fmt.Sprintf("fence:%s-%d", node.Name, i))
			live := make(chan *nats.Msg, 1)
			sub, err := edge.ChanSubscribe(r.Live(), live)
			require.NoError(t, err)
			_, err = edge.Request(subjects.Fence("e1"), nil, 10*time.Second)
			require.NoError(t, err)
			_, err = worker.Request(r.Subject(), []byte(`{"type":"x"}`), 10*time.Second)
			require.NoError(t, err)
			select {
			case <-live:
			case <-time.After(10 * time.Second):
				t.Fatalf("event of %s never arrived at %s", r, node.Name)
			}
			require.NoError(t, sub.Unsubscribe())
		}
	}
}

func TestConf_AdministratorMayReconfigure(t *testing.T) {
	n := startConf(t)
	js, err := jetstream.New(as(t, n, "admin"))
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), subjects.StreamName)
	require.NoError(t, err)
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgsPerSubject = 1000
	_, err = js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
	require.Error(t, stream.Purge(t.Context()), "not even the administrator purges by mistake")
}

func quoted(path string) string { return strconv.Quote(path) }

// authority signs certificates for loopback.
type authority struct {
	dir, file string
	cert      *x509.Certificate
	key       *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, dir string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	a := &authority{dir: dir, file: filepath.Join(dir, "ca.pem"), cert: cert, key: key}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func (a *authority) issue(t testing.TB, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+"-key.pem")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", keyDER)
	return certFile, keyFile
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
