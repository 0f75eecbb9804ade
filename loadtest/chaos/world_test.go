package chaos_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/history"
	"github.com/tidingsmesh/tidings/loadtest/link"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

const (
	patience = 60 * time.Second
	secret   = "0123456789abcdef0123456789abcdef"
)

// options are what runs differ in.
type options struct {
	seed       uint64
	edges      int      // 0: two
	flags      []string // further flags of the edges
	rooms      int
	clients    int
	publishers int
	rate       float64 // events per second in all
	bytes      int     // of padding at most
	oneRoom    bool    // each client is in one room
	classes    bool    // some clients churn, read slowly, or have short tokens
	direct     bool    // no links between clients and edges
	smallDisk  bool    // the last node's store is on a small disk of its own; needs root
	// expireIn is when all tokens end at once, after the clients have started; 0: never.
	expireIn time.Duration
	// fromNATS makes filters for what edges get from NATS.
	fromNATS func(link.Direction) link.Filter
}

// world is a whole installation and the history of it.
type world struct {
	options  options
	programs programs
	dir      string // of the histories
	log      *history.Writer
	random   *rand.Rand

	cluster    *meshtest.Cluster
	routes     map[[2]int]*link.Link // between nodes, by index
	store      string                // of the nodes
	edges      []*edge
	base       map[string]*history.Usage
	crowds     []*process
	publishers []*process
	rooms      []string
	expireAt   time.Time
	began      time.Time
}

// newWorld starts NATS and the edges.
func newWorld(t *testing.T, p programs, o options) *world {
	t.Helper()
	w := &world{
		options: o, programs: p, began: time.Now(),
		dir:    filepath.Join(t.ArtifactDir(), "history"),
		random: rand.New(rand.NewPCG(o.seed, 1)),
		routes: make(map[[2]int]*link.Link), base: make(map[string]*history.Usage),
	}
	require.NoError(t, os.MkdirAll(w.dir, 0o750))
	var err error
	w.log, err = history.Create(w.dir, "conductor")
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.log.Close() })
	for i := range o.rooms {
		w.rooms = append(w.rooms, fmt.Sprintf("campaign:%d", i+1))
	}

	w.store = t.TempDir()
	if o.smallDisk {
		w.mountSmallDisk(t)
	}
	w.cluster = meshtest.StartClusterVia(t, 3, meshtest.ProcessConfig{Store: w.store}, func(from, to int, address string) string {
		l := w.link(t, address, nil)
		w.routes[[2]int{from, to}] = l
		return l.Address
	})
	for i := range cmp.Or(o.edges, 2) {
		e := w.newEdge(t, "edge-"+strconv.Itoa(i+1), o.flags...)
		e.start(t, false)
		w.edges = append(w.edges, e)
	}
	for _, e := range w.edges {
		e.awaitReady(t)
	}
	w.sample(t, history.Base)
	for _, e := range w.edges {
		w.base[e.name] = w.usage(t, e, true)
	}
	w.say(t, "three nodes of NATS and the edges are up")
	return w
}

// say tells who watches what goes on.
func (w *world) say(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Logf("%6.1fs  %s", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}

func (w *world) note(t *testing.T, r history.Record) {
	t.Helper()
	require.NoError(t, w.log.Write(r))
}

func (w *world) link(t *testing.T, target string, filter func(link.Direction) link.Filter) *link.Link {
	t.Helper()
	l, err := link.Listen(t.Context(), target, filter)
	require.NoError(t, err)
	t.Cleanup(l.Close)
	return l
}

// connect is a connection to NATS for looking at it.
func (w *world) connect(t *testing.T) *nats.Conn {
	t.Helper()
	return w.cluster.Dial(t, mesh.DialConfig{Name: "conductor"})
}

// actor starts a process of package actor.
func (w *world) actor(t *testing.T, name string, cfg map[string]any) *process {
	t.Helper()
	cfg["dir"], cfg["name"], cfg["seed"] = w.dir, name, w.options.seed
	text, err := json.Marshal(cfg)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), name+".json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	p := newProcess(t, name, w.programs.actor, path)
	p.start(t, true)
	return p
}

// crowd starts the clients, in two processes, and waits until all are in.
func (w *world) crowd(t *testing.T) {
	t.Helper()
	if w.options.expireIn > 0 {
		w.expireAt = time.Now().Add(w.options.expireIn).Truncate(time.Second)
	}
	var urls, direct []string
	for _, e := range w.edges {
		urls, direct = append(urls, e.url()), append(direct, e.direct())
	}
	if w.options.direct {
		urls = direct
	}
	var halves [2][]map[string]any
	for i := range w.options.clients {
		rooms := make([]string, 0, 3)
		for _, k := range w.random.Perm(len(w.rooms))[:min(len(w.rooms), 2+i%2)] {
			rooms = append(rooms, w.rooms[k])
		}
		switch {
		case len(w.rooms) >= w.options.clients: // every room has one client
			rooms = w.rooms[i*len(w.rooms)/w.options.clients : (i+1)*len(w.rooms)/w.options.clients]
		case w.options.oneRoom:
			rooms = []string{w.rooms[i%len(w.rooms)]}
		}
		halves[i%2] = append(halves[i%2], map[string]any{
			"name": "client-" + strconv.Itoa(i+1), "class": w.class(i), "rooms": rooms,
		})
	}
	for i, half := range halves {
		clients := map[string]any{"urls": urls, "direct": direct, "secret": secret, "clients": half}
		if !w.expireAt.IsZero() {
			clients["expire_at"] = w.expireAt.Unix()
		}
		w.crowds = append(w.crowds, w.actor(t, "crowd-"+strconv.Itoa(i+1), map[string]any{"clients": clients}))
	}
	w.awaitConnections(t, w.options.clients)
	w.say(t, "%d clients are in %d rooms", w.options.clients, len(w.rooms))
}

// class is how the i-th client behaves: of ten, seven are steady.
func (w *world) class(i int) history.Class {
	if !w.options.classes {
		return history.Steady
	}
	switch i % 10 {
	case 3:
		return history.Churn
	case 6:
		return history.Slow
	case 9:
		return history.Expires
	default:
		return history.Steady
	}
}

// awaitConnections waits until the edges have so many together.
func (w *world) awaitConnections(t *testing.T, n int) {
	t.Helper()
	require.True(t, eventually(patience, func() bool {
		total := 0
		for _, e := range w.edges {
			total += e.connections(t)
		}
		return total >= n*95/100 // some are always about to get a new token
	}), "there are not %d connections", n)
}

// publish starts the publishers.
func (w *world) publish(t *testing.T) {
	t.Helper()
	for i := range w.options.publishers {
		w.publishers = append(w.publishers, w.actor(t, "publisher-"+strconv.Itoa(i+1), map[string]any{
			"publisher": map[string]any{
				"nats": w.cluster.URL, "rooms": w.rooms, "bytes": w.options.bytes,
				"rate": w.options.rate / float64(w.options.publishers),
			},
		}))
	}
	w.say(t, "%d publishers with %.0f events a second", w.options.publishers, w.options.rate)
}

// finish ends the publishers, waits until the clients have what the stream has, ends them too, and writes
// down what is left.
func (w *world) finish(t *testing.T) {
	t.Helper()
	for _, p := range w.publishers {
		p.tell(t, "stop")
	}
	for _, p := range w.publishers {
		require.Zero(t, p.ended(t, patience), "%s\n%s", p.name, p.tail())
	}
	w.note(t, history.Record{Kind: history.Quiet})
	last := w.readStream(t)
	seqs, err := json.Marshal(last)
	require.NoError(t, err)
	w.say(t, "the stream was read; waiting for the clients to have it all")
	for _, p := range w.crowds {
		p.tell(t, "await %s", seqs)
	}
	patient := time.After(patience)
	for _, p := range w.crowds {
		there := make(chan bool, 1)
		go func() { there <- p.out.Scan() && p.out.Text() == "there" }()
		select {
		case ok := <-there:
			require.True(t, ok, "%s\n%s", p.name, p.tail())
		case <-patient:
			patient = time.After(0)
			w.say(t, "%s: not all of its clients have it all; the checker will say which", p.name)
		}
	}
	for _, p := range w.crowds {
		p.tell(t, "stop")
	}
	for _, p := range w.crowds {
		require.Zero(t, p.ended(t, patience), "%s\n%s", p.name, p.tail())
	}
	w.rest(t)
	for _, e := range w.edges {
		e.alive(t)
		require.Zero(t, e.drain(t), "%s\n%s", e.name, e.tail())
	}
}

// readStream writes down every event of the stream and returns the last sequence of each room.
func (w *world) readStream(t *testing.T) map[string]uint64 {
	t.Helper()
	js, err := jetstream.New(w.connect(t))
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), subjects.StreamName)
	require.NoError(t, err)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	last := make(map[string]uint64)
	consumer, err := stream.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	require.NoError(t, err)
	messages, err := consumer.Messages()
	require.NoError(t, err)
	defer messages.Stop()
	for seq := uint64(0); seq < info.State.LastSeq; {
		m, err := messages.Next(jetstream.NextContext(t.Context()))
		require.NoError(t, err)
		meta, err := m.Metadata()
		require.NoError(t, err)
		seq = meta.Sequence.Stream
		room, err := subjects.ParseSubject(m.Subject())
		if err != nil {
			continue // a fence or a mark
		}
		id, hash, err := history.Digest(m.Data())
		require.NoError(t, err)
		last[room.String()] = seq
		w.note(t, history.Record{
			Kind: history.Stored, Time: meta.Timestamp.UnixNano(), Room: room.String(), Seq: seq, ID: id, Hash: hash,
		})
	}
	return last
}

// mountSmallDisk puts the last node's store on a disk that a fault can fill.
func (w *world) mountSmallDisk(t *testing.T) {
	t.Helper()
	dir := filepath.Join(w.store, "n3")
	require.NoError(t, os.MkdirAll(dir, 0o750))
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256m"))
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}
