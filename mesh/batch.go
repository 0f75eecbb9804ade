package mesh

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/tidingsmesh/tidings/subjects"
)

// MaxRooms is how many rooms one PublishAll can reach; it is the server's limit
// for an atomic batch.
const MaxRooms = 1000

// PublishAll stores e in every room or in none, by an atomic batch (ADR-50 of
// NATS), and returns the acks in the order of rooms. For an event that concerns
// everybody, a room that everyone may join is cheaper than many rooms.
//
// Errors are those of Publish. When the ack of a batch is lost and its repetition
// is told that a message id is known, some earlier call has stored the event in
// at least one of the rooms. "None" is then no longer possible, therefore the
// event is published to the rooms one by one with the same message ids: those
// that have it answer with its place there, and afterwards all of them have it
// once. An error in the midst of that leaves the rest for a repeated call. So does
// a store that is full before the last message of a batch, which a single server
// notices too late: it is an ErrUnknownOutcome beside the ErrStoreFull.
func (p *Publisher) PublishAll(ctx context.Context, rooms []subjects.Room, e subjects.Event) ([]Ack, error) {
	if err := checkRooms(rooms, e); err != nil {
		return nil, err
	}
	done, err := p.turns.take(ctx, rooms...)
	if err != nil {
		return nil, fmt.Errorf("publish to %d rooms: %w", len(rooms), err)
	}
	defer done()
	payload := e.AppendJSON(nil)
	if len(rooms) == 1 {
		ack, err := p.publish(ctx, rooms[0], e, payload)
		if err != nil {
			return nil, err
		}
		return []Ack{ack}, nil
	}

	messages := make([]*nats.Msg, len(rooms))
	for i, room := range rooms {
		messages[i] = p.message(room, e, payload)
	}
	reply, err := p.persistBatch(ctx, rooms[0], messages)
	switch {
	case hasCode(err, codeBatchDuplicate):
		return p.publishEach(ctx, rooms, e, payload)
	case err != nil:
		return nil, fmt.Errorf("publish to %d rooms: %w", len(rooms), p.explain(ctx, err, messages...))
	case reply.Count != len(rooms):
		return nil, fmt.Errorf("publish to %d rooms: ack counts %d: %w", len(rooms), reply.Count, ErrUnknownOutcome)
	}
	// The batch is stored in one piece; the ack is the last message's.
	acks := make([]Ack, len(rooms))
	for i := range acks {
		acks[i] = Ack{Seq: reply.Seq - uint64(len(rooms)-1-i), ID: e.ID} //nolint:gosec // a length
	}
	return acks, nil
}

func checkRooms(rooms []subjects.Room, e subjects.Event) error {
	if len(rooms) == 0 || len(rooms) > MaxRooms {
		return fmt.Errorf("publish to %d rooms: %w: want 1 to %d", len(rooms), ErrRooms, MaxRooms)
	}
	seen := make(map[subjects.Room]struct{}, len(rooms))
	for _, room := range rooms {
		if err := checkPublish(room, e); err != nil {
			return err
		}
		if _, twice := seen[room]; twice {
			return fmt.Errorf("publish to %d rooms: %w: %s comes twice", len(rooms), ErrRooms, room)
		}
		seen[room] = struct{}{}
	}
	return nil
}

// persistBatch stores all messages or none.
func (p *Publisher) persistBatch(ctx context.Context, first subjects.Room, messages []*nats.Msg) (pubAck, error) {
	flight, land := p.takeOff(ctx, messages...)
	defer land()
	return p.persist(flight, first, func(ctx context.Context) (pubAck, error) {
		reply, err := p.sendBatch(ctx, messages)
		if hasCode(err, codeBatchIncomplete) && p.exceedsStream(ctx, messages) {
			return pubAck{}, ErrTooLarge
		}
		return reply, err
	})
}

// exceedsStream reports whether a message is larger than the stream takes. Nobody
// answers for those between the first and the last, the batch is just incomplete;
// and those with the longer names have the longer headers.
func (p *Publisher) exceedsStream(ctx context.Context, messages []*nats.Msg) bool {
	info, err := FetchStreamInfo(ctx, p.nc, p.cfg.Stream)
	return err == nil && info.MaxMsgSize >= 0 && largest(messages) > int(info.MaxMsgSize)
}

// sendBatch sends one atomic batch. The first message asks for an answer, which
// comes at once and carries the reason of a refusal; those between do not; the
// last commits.
func (p *Publisher) sendBatch(ctx context.Context, messages []*nats.Msg) (pubAck, error) {
	id := nuid.Next() // a new one each time: an abandoned batch lingers
	last := len(messages) - 1
	for i, m := range messages {
		m.Header["Nats-Batch-Id"] = []string{id}
		m.Header["Nats-Batch-Sequence"] = []string{strconv.Itoa(i + 1)}
		switch i {
		case 0:
			if err := p.open(ctx, m); err != nil {
				return pubAck{}, err
			}
		case last:
			m.Header["Nats-Batch-Commit"] = []string{"1"}
			return p.send(ctx, m)
		default:
			if err := p.nc.PublishMsg(m); err != nil {
				return pubAck{}, uncommitted(err)
			}
		}
	}
	return pubAck{}, nil
}

// open sends the first message of a batch, which is acked with an empty message.
func (p *Publisher) open(ctx context.Context, m *nats.Msg) error {
	reply, err := p.request(ctx, m)
	if err != nil {
		return uncommitted(err)
	}
	if len(reply.Data) == 0 {
		return nil
	}
	ack, err := decodeAck(reply, p.cfg.Stream)
	if err == nil {
		// A server that knows nothing of batches has stored it as it is.
		err = fmt.Errorf("batch stored its first message at %d: %w", ack.Seq, errNoBatches)
	}
	return err
}

// uncommitted says of an error before the commit was sent that nothing is stored.
func uncommitted(err error) error {
	if judge(err) == outcomeUnknown {
		return fmt.Errorf("%w: %w", errUncommitted, err)
	}
	return err
}

// publishEach brings every room to the same state after part of them was found
// to have the event.
func (p *Publisher) publishEach(ctx context.Context, rooms []subjects.Room, e subjects.Event, payload []byte) ([]Ack, error) {
	acks := make([]Ack, 0, len(rooms))
	for _, room := range rooms {
		ack, err := p.publish(ctx, room, e, payload)
		if err != nil {
			return acks, fmt.Errorf("after %d of %d rooms: %w", len(acks), len(rooms), err)
		}
		acks = append(acks, ack)
	}
	return acks, nil
}

var (
	errUncommitted = errors.New("batch was not committed")
	errNoBatches   = errors.New("server does not know atomic batches: want nats-server 2.12 or later")
)
