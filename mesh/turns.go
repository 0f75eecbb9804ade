package mesh

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tidingsmesh/tidings/subjects"
)

// turns lets one publish at a time into a room, in the order in which they
// came. It holds an entry only for rooms with a publish under way.
type turns struct {
	max int // bound on waiting calls, over all rooms

	mu      sync.Mutex
	waiting int
	rooms   map[subjects.Room]*turn
}

// turn is one room's. The channel holds a token while somebody publishes.
type turn struct {
	token chan struct{}
	users int // who holds or waits; the last one removes the entry
}

func newTurns(maxWaiting int) *turns {
	return &turns{max: maxWaiting, rooms: make(map[subjects.Room]*turn)}
}

// take waits for the turns of all rooms and returns what gives them back. Rooms
// are taken in one order, so that two calls never wait for each other.
func (t *turns) take(ctx context.Context, rooms ...subjects.Room) (done func(), err error) {
	if len(rooms) > 1 {
		rooms = slices.SortedFunc(slices.Values(rooms), func(a, b subjects.Room) int {
			return strings.Compare(a.Subject(), b.Subject())
		})
	}
	for i, room := range rooms {
		if err := t.takeOne(ctx, room); err != nil {
			t.giveBack(rooms[:i])
			return nil, err
		}
	}
	return func() { t.giveBack(rooms) }, nil
}

func (t *turns) takeOne(ctx context.Context, room subjects.Room) error {
	t.mu.Lock()
	r := t.rooms[room]
	if r == nil {
		r = &turn{token: make(chan struct{}, 1)}
		t.rooms[room] = r
	}
	if r.users > 0 && t.waiting >= t.max {
		t.mu.Unlock()
		return fmt.Errorf("%d calls: %w", t.max, ErrBusy)
	}
	r.users++
	t.waiting++
	t.mu.Unlock()

	var err error
	select {
	case r.token <- struct{}{}:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting--
	if err != nil {
		t.forget(room, r)
	}
	return err
}

func (t *turns) giveBack(rooms []subjects.Room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, room := range rooms {
		r := t.rooms[room]
		<-r.token
		t.forget(room, r)
	}
}

// forget needs mu.
func (t *turns) forget(room subjects.Room, r *turn) {
	if r.users--; r.users == 0 {
		delete(t.rooms, room)
	}
}
