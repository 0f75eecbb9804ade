package mesh

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tidingsmesh/tidings/subjects"
)

// MultiLast and Batch let black-box tests read with given credentials.
func MultiLast(ctx context.Context, nc *nats.Conn, names []string, minSeq uint64) ([]Stored, uint64, error) {
	return newDirectReader(nc, subjects.StreamName).multiLast(ctx, names, minSeq)
}

func Batch(ctx context.Context, nc *nats.Conn, subject string, from uint64, max int) ([]Stored, error) {
	msgs, _, _, err := newDirectReader(nc, subjects.StreamName).batch(ctx, subject, from, max, 1<<20)
	return msgs, err
}

// Waiting is how many calls wait for their turn in a room.
func Waiting(p *Publisher) int {
	p.turns.mu.Lock()
	defer p.turns.mu.Unlock()
	return p.turns.waiting
}

// Interest is how many subscriptions the server has for a subject.
func (s *Server) Interest(subject string) int { return s.srv.GlobalAccount().Interest(subject) }

// SetLiveQueue bounds the live messages that wait for the feed's loop. Call it before Run.
func (f *Feed) SetLiveQueue(n int) { f.messages = make(chan *nats.Msg, n) }

// PublishByHand publishes with a header block that no client library would send. It returns when the
// server has it.
func PublishByHand(t testing.TB, srv *Server, subject, block, payload string) {
	t.Helper()
	newHandmade(t, srv).publish(t, subject, block, payload)
}

// Forgeries are header blocks by which a publisher tries to pass as the stream, and whether the
// client library gets to see the server's own headers behind them.
func Forgeries() map[string]bool {
	blocks := make(map[string]bool, len(forgeries))
	for _, f := range forgeries {
		blocks[f.block] = f.readable
	}
	return blocks
}

// NewLog returns a log and what was written to it.
func NewLog() (*slog.Logger, fmt.Stringer) {
	l := &lines{}
	return l.logger(), l
}

// AuditNow has all rooms compared with the stream.
func AuditNow(f *Feed) { f.disturb() }
