package edge

import (
	"sync"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh"
)

// note is what readers tell a shard's loop about a session.
type note struct {
	kind    noteKind
	session *session
	// frame is what the client sent (noteFrame); principal or refusal is what became of its token.
	frame     wire.ClientFrame
	principal authz.Principal
	refusal   *refusal
}

type noteKind uint8

const (
	noteOpened   noteKind = iota // the first of a session
	noteFrame                    // a frame, its token already checked
	noteChecking                 // a token is being checked: hold frames until noteChecked
	noteChecked                  // a frame whose token was checked in the background
	noteRefused                  // the client broke the protocol: close with refusal
	notePing                     // a WebSocket ping to answer; payload in frame.Token
	noteWritable                 // await was answered
	noteGone                     // nothing more will be read; the last of a session
)

// refusal is why a connection or a token is refused: a close code and a text for the client.
type refusal struct {
	code   uint16
	reason string
}

// inbox is what waits for a shard's loop. Both queues are bounded: a reader that finds the notes
// full waits, which holds up only clients that send; the feed that finds the deliveries full waits
// as well, and what then overruns its own queue is read again from the stream. The loop itself
// never waits on anything that waits for it.
type inbox struct {
	wake chan struct{}

	mu         sync.Mutex
	room       *sync.Cond // there is space again
	notes      []note
	deliveries []mesh.Delivery
}

const (
	maxNotes      = 1 << 14
	maxDeliveries = 1 << 15
)

func newInbox() *inbox {
	b := &inbox{wake: make(chan struct{}, 1)}
	b.room = sync.NewCond(&b.mu)
	return b
}

// putNote waits for room. Whoever calls it sees to it that somebody looks: ring does.
func (b *inbox) putNote(n note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.notes) >= maxNotes {
		b.room.Wait()
	}
	b.notes = append(b.notes, n)
}

// putDeliveries waits for room, and wakes the loop.
func (b *inbox) putDeliveries(deliveries []mesh.Delivery) {
	b.mu.Lock()
	for len(b.deliveries) >= maxDeliveries {
		b.room.Wait()
	}
	b.deliveries = append(b.deliveries, deliveries...)
	b.mu.Unlock()
	b.ring()
}

func (b *inbox) ring() {
	select {
	case b.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// takeNotes exchanges the notes that have gathered for an empty slice.
func (b *inbox) takeNotes(empty []note) (notes []note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	notes, b.notes = b.notes, empty
	b.room.Broadcast()
	return notes
}

// takeDeliveries does the same with the deliveries.
func (b *inbox) takeDeliveries(empty []mesh.Delivery) (deliveries []mesh.Delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	deliveries, b.deliveries = b.deliveries, empty
	b.room.Broadcast()
	return deliveries
}

func (b *inbox) hasDeliveries() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.deliveries) > 0
}
