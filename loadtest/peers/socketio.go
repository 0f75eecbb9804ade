package peers

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/runner/child"
)

// SocketIO is Socket.IO with the Redis adapter, and @socket.io/redis-emitter to publish.
type SocketIO struct {
	installation
	secret string
	node   string // program
	source string // folder of publisher.mjs
	redis  string // URL
	pages  []string
}

// StartSocketIO runs Redis and so many Socket.IO processes; configuration and logs go to a folder.
func StartSocketIO(ctx context.Context, t *Tools, processes int, folder string) (*SocketIO, error) {
	node, source, err := t.node(ctx)
	if err != nil {
		return nil, err
	}
	redis, err := t.redis(ctx)
	if err != nil {
		return nil, err
	}
	version, err := packageVersion(source, "socket.io")
	if err != nil {
		return nil, err
	}
	addresses, err := child.FreePorts(ctx, processes+1)
	if err != nil {
		return nil, err
	}
	addresses, broker := addresses[:processes], addresses[processes]
	s := &SocketIO{secret: rand.Text() + rand.Text(), node: node.path, source: source, redis: "redis://" + broker}
	s.folder = folder
	s.about = report.Target{
		Name: "Socket.IO, Redis adapter", Version: version, Dialect: "socketio", Servers: processes,
		Settings: map[string]string{"node": node.version, "redis": redis.version, "history": "this adapter has none"},
	}
	for _, address := range addresses {
		s.pages = append(s.pages, "http://"+address+"/collect")
		s.about.URLs = append(s.about.URLs, "ws://"+address+"/socket.io/?EIO=4&transport=websocket")
	}
	return s, s.started(s.start(ctx, redisProcess(redis, broker, folder), addresses))
}

func (s *SocketIO) start(ctx context.Context, redis process, addresses []string) error {
	if err := s.run(ctx, report.Broker, redis); err != nil {
		return err
	}
	for n, address := range addresses {
		name := "socket.io " + strconv.Itoa(n+1)
		config := filepath.Join(s.folder, name+".json")
		text, err := json.Marshal(map[string]string{"address": address, "redis": s.redis, "secret": s.secret})
		if err != nil {
			return err
		}
		if err := os.WriteFile(config, text, 0o600); err != nil {
			return fmt.Errorf("configuration of Socket.IO: %w", err)
		}
		server := process{name: name, path: s.node, args: []string{"--expose-gc", filepath.Join(s.source, "server.mjs"), config}, listen: []string{address}}
		if err := s.run(ctx, report.Server, server); err != nil {
			return err
		}
	}
	return nil
}

// Tokens are JWTs with the rooms of each holder.
func (s *SocketIO) Tokens(ctx context.Context, holders []runner.Holder) ([]string, error) {
	return runner.Secret(s.secret, "", "")(ctx, holders)
}

// Collect asks server.mjs.
func (s *SocketIO) Collect(ctx context.Context) error { return collect(ctx, s.pages...) }

// Publisher is a Node process with the emitter.
func (s *SocketIO) Publisher(_ context.Context, rooms []string) (runner.Publisher, error) {
	p := &emitter{rooms: rooms, waiting: map[uint64]chan<- emitted{}}
	p.cmd = exec.Command(s.node, filepath.Join(s.source, "publisher.mjs"), s.redis) //nolint:gosec,noctx // ours; Close ends it
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the emitter: %w", err)
	}
	p.in = in
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		_ = p.cmd.Process.Kill()
		return nil, fmt.Errorf("start the emitter: %w", p.cmd.Wait())
	}
	p.reading.Go(func() { p.read(lines) })
	return p, nil
}

// emitter talks with publisher.mjs, a line for each call and a line for each answer.
type emitter struct {
	rooms   []string
	cmd     *exec.Cmd
	reading sync.WaitGroup

	mu      sync.Mutex
	in      io.WriteCloser
	last    uint64
	waiting map[uint64]chan<- emitted // nil when it has ended
}

type emission struct {
	ID    uint64            `json:"id"`
	Room  string            `json:"room"`
	Event string            `json:"event"`
	Data  []json.RawMessage `json:"data"`
}

type emitted struct {
	ID    uint64 `json:"id"`
	Sent  int    `json:"sent"`
	Error string `json:"error"`
}

var errEmitterEnded = errors.New("the emitter has ended")

func (p *emitter) Publish(ctx context.Context, room int, events []runner.Event) (int, error) {
	call := emission{Room: p.rooms[room], Event: events[0].Type}
	for _, e := range events {
		call.Data = append(call.Data, e.Data)
	}
	answer := make(chan emitted, 1)
	if err := p.send(call, answer); err != nil {
		return 0, err
	}
	select {
	case a := <-answer:
		if a.Error != "" {
			return a.Sent, fmt.Errorf("emit: %s", a.Error)
		}
		return a.Sent, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (p *emitter) send(call emission, answer chan<- emitted) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		return fmt.Errorf("%w: %w", runner.ErrNotStored, errEmitterEnded)
	}
	p.last++
	call.ID = p.last
	line, err := json.Marshal(call)
	if err != nil {
		return fmt.Errorf("%w: %w", runner.ErrNotStored, err)
	}
	p.waiting[call.ID] = answer
	_, err = p.in.Write(append(line, '\n'))
	return err
}

// read hands out answers until the process ends.
func (p *emitter) read(lines *bufio.Scanner) {
	for lines.Scan() {
		var a emitted
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			a.Error = err.Error()
		}
		p.mu.Lock()
		if answer := p.waiting[a.ID]; answer != nil {
			answer <- a
			delete(p.waiting, a.ID)
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, answer := range p.waiting {
		answer <- emitted{ID: id, Error: errEmitterEnded.Error()}
	}
	p.waiting = nil
}

func (p *emitter) Close() {
	p.mu.Lock()
	_ = p.in.Close() // it ends by itself then
	p.mu.Unlock()
	p.reading.Wait()
	_ = p.cmd.Wait()
}

// packageVersion is the version of an installed npm package.
func packageVersion(folder, name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(folder, "node_modules", name, "package.json"))
	if err != nil {
		return "", err
	}
	var about struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(text, &about); err != nil {
		return "", fmt.Errorf("version of %s: %w", name, err)
	}
	return about.Version, nil
}
