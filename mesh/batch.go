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

// MaxBatch is how many rooms one PublishAll can reach, and how many events one PublishSeries can hold; it
// is the server's limit for an atomic batch.
const MaxBatch = 1000

// letter is one event on its way into one room.
type letter struct {
	room    subjects.Room
	event   subjects.Event
	payload []byte
}

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
	what := fmt.Sprintf("publish to %d rooms", len(rooms))
	if err := checkRooms(rooms, e); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	payload := e.AppendJSON(nil)
	letters := make([]letter, len(rooms))
	for i, room := range rooms {
		letters[i] = letter{room, e, payload}
	}
	return p.publishBatch(ctx, what, letters, rooms...)
}

// PublishSeries stores events in room in their order with nothing in between, or none of them, by an atomic
// batch, and returns their acks. They reach the edges together, so each client gets them in one write;
// and they cost one round trip instead of one each. Errors are those of PublishAll, events instead of rooms.
func (p *Publisher) PublishSeries(ctx context.Context, room subjects.Room, events ...subjects.Event) ([]Ack, error) {
	what := fmt.Sprintf("publish %d events to %s", len(events), room)
	if len(events) == 0 || len(events) > MaxBatch {
		return nil, fmt.Errorf("%s: %w: want 1 to %d", what, ErrBatch, MaxBatch)
	}
	letters := make([]letter, len(events))
	seen := make(map[string]struct{}, len(events))
	for i, e := range events {
		if err := checkPublish(room, e); err != nil {
			return nil, err
		}
		if _, twice := seen[e.ID]; twice {
			return nil, fmt.Errorf("%s: %w: %s comes twice", what, ErrBatch, e.ID)
		}
		seen[e.ID] = struct{}{}
		letters[i] = letter{room, e, e.AppendJSON(nil)}
	}
	return p.publishBatch(ctx, what, letters, room)
}

// publishBatch stores all letters, which are for these rooms, or none.
func (p *Publisher) publishBatch(ctx context.Context, what string, letters []letter, rooms ...subjects.Room) ([]Ack, error) {
	done, err := p.turns.take(ctx, rooms...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer done()
	if len(letters) == 1 {
		ack, err := p.publish(ctx, letters[0])
		if err != nil {
			return nil, err
		}
		return []Ack{ack}, nil
	}
	messages := make([]*nats.Msg, len(letters))
	for i, l := range letters {
		messages[i] = p.message(l)
	}
	reply, err := p.persistBatch(ctx, letters[0].room, messages)
	switch {
	case hasCode(err, codeBatchDuplicate):
		return p.publishEach(ctx, what, letters)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, p.explain(ctx, err, messages...))
	case reply.Count != len(letters):
		return nil, fmt.Errorf("%s: ack counts %d: %w", what, reply.Count, ErrUnknownOutcome)
	}
	// The batch is stored in one piece; the ack is the last message's.
	acks := make([]Ack, len(letters))
	for i, l := range letters {
		acks[i] = Ack{Seq: reply.Seq - uint64(len(letters)-1-i), ID: l.event.ID} //nolint:gosec // a length
	}
	return acks, nil
}

func checkRooms(rooms []subjects.Room, e subjects.Event) error {
	if len(rooms) == 0 || len(rooms) > MaxBatch {
		return fmt.Errorf("%w: want 1 to %d", ErrBatch, MaxBatch)
	}
	seen := make(map[subjects.Room]struct{}, len(rooms))
	for _, room := range rooms {
		if err := checkPublish(room, e); err != nil {
			return err
		}
		if _, twice := seen[room]; twice {
			return fmt.Errorf("%w: %s comes twice", ErrBatch, room)
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

// publishEach stores the letters one by one, after some of them were found to be stored.
func (p *Publisher) publishEach(ctx context.Context, what string, letters []letter) ([]Ack, error) {
	acks := make([]Ack, 0, len(letters))
	for _, l := range letters {
		ack, err := p.publish(ctx, l)
		if err != nil {
			return acks, fmt.Errorf("%s, after %d of them: %w", what, len(acks), err)
		}
		acks = append(acks, ack)
	}
	return acks, nil
}

var (
	errUncommitted = errors.New("batch was not committed")
	errNoBatches   = errors.New("server does not know atomic batches: want nats-server 2.12 or later")
)
