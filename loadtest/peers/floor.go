package peers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/runner/child"
)

// Floor is loadtest/floor: the least that a server can do. It knows no tokens.
type Floor struct {
	installation
	ingest string
}

// StartFloor runs it; its log goes to a folder.
func StartFloor(ctx context.Context, t *Tools, folder string) (*Floor, error) {
	path, err := t.Build(ctx, "./loadtest/floor")
	if err != nil {
		return nil, err
	}
	addresses, err := child.FreePorts(ctx, 2)
	if err != nil {
		return nil, err
	}
	f := &Floor{ingest: addresses[1]}
	f.folder = folder
	f.about = report.Target{
		Name: "floor", Dialect: "raw", Servers: 1, URLs: []string{"ws://" + addresses[0] + "/"},
		Settings: map[string]string{"history": "none, nor anything else"},
	}
	return f, f.started(f.run(ctx, report.Server, process{
		name: "floor", path: path, args: []string{"-http", addresses[0], "-ingest", addresses[1]}, listen: addresses,
	}))
}

// Tokens are empty.
func (f *Floor) Tokens(_ context.Context, holders []runner.Holder) ([]string, error) {
	return make([]string, len(holders)), nil
}

// Publisher is one connection to the port of publishers, made again when it was lost.
func (f *Floor) Publisher(_ context.Context, rooms []string) (runner.Publisher, error) {
	return &ingest{rooms: rooms, address: f.ingest}, nil
}

// ingest sends lines and counts their answers, which come in the same order.
type ingest struct {
	rooms   []string
	address string
	reading sync.WaitGroup

	mu   sync.Mutex
	link *ingestLink // nil: none
}

type ingestLink struct {
	conn    net.Conn
	waiting chan chan<- error // of each line, in their order
}

var errIngestLost = errors.New("the connection was lost")

func (p *ingest) Publish(ctx context.Context, room int, events []runner.Event) (int, error) {
	var lines bytes.Buffer
	for _, e := range events {
		_, _ = fmt.Fprintf(&lines, "%s %s\n", p.rooms[room], e.Data)
	}
	answers, err := p.send(ctx, lines.Bytes(), len(events))
	if err != nil {
		return 0, err
	}
	for i := range events {
		select {
		case err := <-answers:
			if err != nil {
				return i, err
			}
		case <-ctx.Done():
			return i, ctx.Err()
		}
	}
	return len(events), nil
}

// send queues who waits for the answers before it writes.
func (p *ingest) send(ctx context.Context, lines []byte, count int) (<-chan error, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == nil {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", p.address)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", runner.ErrNotStored, errors.Unwrap(err))
		}
		const most = 1 << 16
		link := &ingestLink{conn: conn, waiting: make(chan chan<- error, most)}
		p.link = link
		p.reading.Go(func() { p.read(link) })
	}
	answers := make(chan error, count)
	for range count {
		select {
		case p.link.waiting <- answers:
		default:
			return nil, fmt.Errorf("%w: too many events are on their way", runner.ErrNotStored)
		}
	}
	_, err := p.link.conn.Write(lines) // read finds out as well
	return answers, err
}

// read hands out answers until the connection ends.
func (p *ingest) read(link *ingestLink) {
	lines := bufio.NewScanner(link.conn)
	for lines.Scan() {
		(<-link.waiting) <- nil
	}
	_ = link.conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == link {
		p.link = nil
	}
	for len(link.waiting) > 0 {
		(<-link.waiting) <- errIngestLost
	}
}

func (p *ingest) Close() {
	p.mu.Lock()
	if p.link != nil {
		_ = p.link.conn.Close()
	}
	p.mu.Unlock()
	p.reading.Wait()
}
