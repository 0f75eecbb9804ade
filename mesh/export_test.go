package mesh

import (
	"context"

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
