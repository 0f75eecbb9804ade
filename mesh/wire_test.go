package mesh_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/link"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
)

// wire is the way between a client and NATS. Bytes that it loses leave something
// that makes no sense, so whoever loses some cuts afterwards, as a network does.
type wire struct {
	link *link.Link

	mu     sync.Mutex
	deaf   bool   // what the server says is lost
	deafAt string // it is from this text on; "" for none
	mute   bool   // what the client says is lost
}

// newWire is a wire to the NATS at url, until the test ends.
func newWire(t testing.TB, url string) *wire {
	t.Helper()
	w := &wire{}
	var err error
	w.link, err = link.Listen(t.Context(), strings.TrimPrefix(url, "nats://"), func(d link.Direction) link.Filter {
		if d == link.Up {
			return w.said
		}
		return w.heard
	})
	require.NoError(t, err)
	t.Cleanup(w.link.Close)
	return w
}

// dial connects through the wire.
func (w *wire) dial(t testing.TB) *nats.Conn {
	t.Helper()
	return meshtest.Dial(t, mesh.DialConfig{URL: "nats://" + w.link.Address})
}

// hold keeps back what the server says until heal.
func (w *wire) hold() { w.link.Set(link.Down, link.Condition{Hold: true}) }

// deafen loses what the server says until heal.
func (w *wire) deafen() { w.set(func() { w.deaf = true }) }

// deafenAt is deafen as soon as the server says text.
func (w *wire) deafenAt(text string) { w.set(func() { w.deafAt = text }) }

// gag loses what the client says until heal.
func (w *wire) gag() { w.set(func() { w.mute = true }) }

// cut breaks all connections and lets no new ones through until heal.
func (w *wire) cut() { w.link.Cut() }

// heal ends all of these.
func (w *wire) heal() {
	w.set(func() { w.deaf, w.deafAt, w.mute = false, "", false })
	w.link.Mend()
}

func (w *wire) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *wire) heard(b []byte) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deafAt != "" && bytes.Contains(b, []byte(w.deafAt)) {
		w.deaf = true
	}
	if w.deaf {
		return nil
	}
	return b
}

func (w *wire) said(b []byte) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mute {
		return nil
	}
	return b
}
