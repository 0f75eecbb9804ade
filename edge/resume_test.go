package edge_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/subjects"
)

func TestEdge_DeliversToMembersOnly(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		a, b := room(t), room(t)
		inA, inB, inBoth := n.join(t, a), n.join(t, b), n.join(t, a, b)

		c := n.dial(t, nil)
		welcome := c.hello(t, token(t, a.String()), wire.RoomRef{Room: a.String()})
		assert.NotEmpty(t, welcome.Session)
		assert.NotEmpty(t, welcome.Edge)
		assert.InDelta(t, 3600, welcome.TTL, 60)
		assert.EqualValues(t, 25, welcome.Ping)
		joined := c.want(t, wire.OpJoined)
		assert.Nil(t, joined.Recovered, "it has not been here before")
		require.NotNil(t, joined.Position, "an empty room has a position, too")
		assert.NotZero(t, joined.Position.Seq)
		assert.NotEmpty(t, joined.Position.Epoch)

		sent := event(10)
		ack, err := w.publisher.Publish(t.Context(), a, sent)
		require.NoError(t, err)
		w.publish(t, b, 1, 10)

		got := c.want(t, wire.OpEvent)
		assert.Equal(t, a.String(), got.Room)
		assert.Equal(t, ack.Seq, got.Seq)
		assert.Equal(t, joined.Position.Seq, got.Prev)
		assert.NotZero(t, got.TS)
		var e subjects.Event
		require.NoError(t, json.Unmarshal(got.Event, &e))
		assert.Equal(t, sent.ID, e.ID)
		assert.JSONEq(t, string(sent.Data), string(e.Data))

		assert.Equal(t, a.String(), inA.want(t, wire.OpEvent).Room)
		assert.Equal(t, b.String(), inB.want(t, wire.OpEvent).Room)
		assert.Equal(t, a.String(), inBoth.want(t, wire.OpEvent).Room)
		assert.Equal(t, b.String(), inBoth.want(t, wire.OpEvent).Room)
		for _, c := range []*client{c, inA, inB, inBoth} {
			c.quiet(t)
		}
	})
}

func TestEdge_ResumeBringsExactlyWhatWasMissed(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		for name, followed := range map[string]bool{"with others in the room": true, "with nobody in it": false} {
			t.Run(name, func(t *testing.T) {
				r := room(t)
				c := n.join(t, r)
				w.publish(t, r, 2, 10)
				c.want(t, wire.OpEvent)
				last := c.want(t, wire.OpEvent)
				id, err := strconv.Unquote(idOf(t, last))
				require.NoError(t, err)
				position := &wire.Position{Epoch: c.pos[r.String()].Epoch, Seq: last.Seq, ID: id, TS: last.TS}

				var missed []uint64
				if followed {
					stay := n.join(t, r)
					c.bye(t)
					missed = w.publish(t, r, 200, 10)
					assert.Equal(t, missed, stay.events(t, r, last.Seq, 200))
				} else {
					c.bye(t)
					n.await(t, 0, "tidings_mesh_rooms")
					missed = w.publish(t, r, 200, 10)
				}

				c = n.dial(t, nil)
				joined := c.resume(t, r, position)
				require.NotNil(t, joined.Recovered)
				assert.True(t, *joined.Recovered, joined.Reason)
				assert.Equal(t, len(missed), joined.Replay)
				assert.Equal(t, missed[len(missed)-1], joined.Position.Seq)
				assert.Equal(t, missed, c.events(t, r, last.Seq, len(missed)))
				c.quiet(t)
				live := w.publish(t, r, 2, 10)
				assert.Equal(t, live, c.events(t, r, joined.Position.Seq, 2))
				c.bye(t)

				// From there, nothing is missed.
				c = n.dial(t, nil)
				joined = c.resume(t, r, &wire.Position{Epoch: position.Epoch, Seq: live[1]})
				assert.True(t, *joined.Recovered)
				assert.Zero(t, joined.Replay)
				c.quiet(t)
			})
		}
	})
}

// epoch is the epoch that an edge tells clients.
func (n *node) epoch(t testing.TB, r subjects.Room) string {
	t.Helper()
	c := n.dial(t, nil)
	defer c.bye(t)
	return c.resume(t, r, nil).Position.Epoch
}

func TestEdge_LongerAwayThanTheHistoryIsTold(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		r := room(t)
		c := n.dial(t, nil)
		position := c.resume(t, r, nil).Position
		first := w.publish(t, r, 1, 10)
		got := c.want(t, wire.OpEvent)
		assert.Equal(t, first[0], got.Seq)
		c.bye(t)
		w.publish(t, r, 257, 10)

		for name, since := range map[string]*wire.Position{
			"empty room": position,
			"an event":   {Epoch: position.Epoch, Seq: first[0], TS: got.TS},
		} {
			c := n.dial(t, nil)
			joined := c.resume(t, r, since)
			require.NotNil(t, joined.Recovered, name)
			assert.False(t, *joined.Recovered, name)
			assert.EqualValues(t, "truncated", joined.Reason, name)
			assert.GreaterOrEqual(t, joined.Spread, int64(500), name)
			assert.Zero(t, joined.Replay, name)
			next := w.publish(t, r, 1, 10)
			assert.Equal(t, next, c.events(t, r, joined.Position.Seq, 1), "%s: live from here on, without the history", name)
			c.bye(t)
		}
	})
}

func TestEdge_LyingPositionsNeverGetTheHistory(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		r, other := room(t), room(t)
		seqs := w.publish(t, r, 20, 10)
		w.publish(t, other, 1, 10)
		foreign := eventAt(t, n, w, other)
		epoch := n.epoch(t, r)
		quoted, err := json.Marshal(epoch)
		require.NoError(t, err)
		at := func(seq, more string) string { return `{"epoch":` + string(quoted) + `,"seq":` + seq + more + `}` }
		middle := jsonUint(seqs[10])

		for name, since := range map[string]string{
			"sequence 0":            at("0", ""),
			"negative":              at("-1", ""),
			"2^53+1":                at("9007199254740993", ""),
			"2^64-1":                at("18446744073709551615", ""),
			"2^64":                  at("18446744073709551616", ""),
			"a float":               at("1.5", ""),
			"a string":              at(`"12"`, ""),
			"no sequence":           `{"epoch":` + string(quoted) + `}`,
			"empty":                 `{}`,
			"beyond the last":       at(jsonUint(seqs[19]+1_000_000), ""),
			"beyond, with id":       at(jsonUint(seqs[19]+1_000_000), `,"id":"x"`),
			"wrong id":              at(middle, `,"id":"nobody"`),
			"id of the wrong type":  at(middle, `,"id":7`),
			"another epoch":         `{"epoch":"zzz","seq":` + middle + `}`,
			"no epoch":              `{"seq":` + middle + `}`,
			"epoch of a wrong type": `{"epoch":3,"seq":` + middle + `}`,
			"place of another room": at(jsonUint(foreign.Seq), `,"id":`+idOf(t, foreign)),
		} {
			c := n.dial(t, nil)
			c.send(t, `{"op":"hello","token":"`+token(t, r.String())+`","rooms":[{"room":"`+r.String()+`","since":`+since+`}]}`)
			c.want(t, wire.OpWelcome)
			joined := c.want(t, wire.OpJoined)
			if assert.NotNil(t, joined.Recovered, name) {
				assert.False(t, *joined.Recovered, name)
			}
			assert.NotEmpty(t, joined.Reason, name)
			assert.Zero(t, joined.Replay, name)
			c.quiet(t)
			c.bye(t)
		}
	})
}

// eventAt publishes an event in a room and returns it as a member sees it.
func eventAt(t testing.TB, n *node, w *world, r subjects.Room) wire.ServerFrame {
	t.Helper()
	c := n.join(t, r)
	defer c.bye(t)
	w.publish(t, r, 1, 10)
	return c.want(t, wire.OpEvent)
}

func idOf(t testing.TB, f wire.ServerFrame) string {
	t.Helper()
	var e subjects.Event
	require.NoError(t, json.Unmarshal(f.Event, &e))
	b, err := json.Marshal(e.ID)
	require.NoError(t, err)
	return string(b)
}

func jsonUint(n uint64) string {
	b, _ := json.Marshal(n) // a number is always JSON
	return string(b)
}

func TestEdge_ResumeAcrossEdgesLosesNothing(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		one, two := w.start(t), w.start(t)
		r := room(t)
		c, stay := one.join(t, r), two.join(t, r)
		seqs := w.publish(t, r, 3, 10)
		start := c.pos[r.String()]
		assert.Equal(t, seqs, c.events(t, r, start.Seq, 3))
		assert.Equal(t, seqs, stay.events(t, r, stay.pos[r.String()].Seq, 3))

		one.stop()
		c.closed(t, 4503)
		require.NoError(t, one.ended(t))
		missed := w.publish(t, r, 5, 10)

		moved := two.dial(t, nil)
		joined := moved.resume(t, r, &wire.Position{Epoch: start.Epoch, Seq: seqs[2]})
		assert.True(t, *joined.Recovered)
		assert.LessOrEqual(t, joined.Replay, len(missed), "what this edge has not got yet comes live")
		missed = append(missed, w.publish(t, r, 1, 10)...)
		assert.Equal(t, missed, moved.events(t, r, seqs[2], 6))
		assert.Equal(t, missed, stay.events(t, r, seqs[2], 6))
	})
}
