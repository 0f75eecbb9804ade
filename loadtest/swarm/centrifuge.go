package swarm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// centrifuge speaks the client protocol of Centrifugo and of the library Centrifuge, as JSON: a room is a channel of the same name. As
// its JavaScript client does, it sends the subscriptions together with the connection's token, and asks to recover from the offset
// it has come to. A message holds one or more lines.
//
// https://centrifugal.dev/docs/transports/client_protocol
type centrifuge struct{}

// centrifugeCommand is a command of the client. Replies bear its id: 1 for connect, for subscribe what subscribeID says.
type centrifugeCommand struct {
	ID          uint32                 `json:"id"`
	Connect     *centrifugeConnect     `json:"connect,omitempty"`
	Subscribe   *centrifugeSubscribe   `json:"subscribe,omitempty"`
	Unsubscribe *centrifugeUnsubscribe `json:"unsubscribe,omitempty"`
}

type centrifugeConnect struct {
	Token string `json:"token"`
	Name  string `json:"name"`
}

type centrifugeSubscribe struct {
	Channel string `json:"channel"`
	Recover bool   `json:"recover,omitempty"`
	Epoch   string `json:"epoch,omitempty"`
	Offset  uint64 `json:"offset,omitempty"`
}

type centrifugeUnsubscribe struct {
	Channel string `json:"channel"`
}

// centrifugeReply is what a server sends, but for publications that need no decoding.
type centrifugeReply struct {
	ID    uint32 `json:"id"`
	Error *struct {
		Code      int    `json:"code"`
		Message   string `json:"message"`
		Temporary bool   `json:"temporary"`
	} `json:"error"`
	Connect *struct {
		Ping int `json:"ping"` // seconds
	} `json:"connect"`
	Subscribe *centrifugeSubscribed `json:"subscribe"`
	Push      *struct {
		Channel     string `json:"channel"`
		Unsubscribe *struct {
			Code   int    `json:"code"`
			Reason string `json:"reason"`
		} `json:"unsubscribe"`
	} `json:"push"`
}

type centrifugeSubscribed struct {
	Epoch         string            `json:"epoch"`
	Offset        uint64            `json:"offset"`
	Recovered     bool              `json:"recovered"`
	WasRecovering bool              `json:"was_recovering"`
	Publications  []json.RawMessage `json:"publications"`
}

const (
	connectID      = 1
	firstSubscribe = 2
)

func subscribeID(m *member) uint32 { return firstSubscribe + uint32(m.room) } //nolint:gosec // not negative

func (centrifuge) header(*client) string { return "" }

func (d centrifuge) opened(c *client) {
	frame := d.line(c, nil, centrifugeCommand{ID: connectID, Connect: &centrifugeConnect{Token: c.token, Name: "js"}})
	for i := range c.members {
		if m := &c.members[i]; m.wanted() {
			frame = d.line(c, frame, subscription(c, m))
		}
	}
	c.sendText(frame)
}

func (d centrifuge) join(c *client, m *member) { c.sendText(d.line(c, nil, subscription(c, m))) }

func (d centrifuge) leave(c *client, m *member) {
	const nobodyWaits = 1 << 31 // the reply tells nothing
	c.sendText(d.line(c, nil, centrifugeCommand{ID: nobodyWaits, Unsubscribe: &centrifugeUnsubscribe{c.name(m)}}))
}

func subscription(c *client, m *member) centrifugeCommand {
	s := centrifugeSubscribe{Channel: c.name(m)}
	if m.at.epoch != "" {
		s.Recover, s.Epoch, s.Offset = true, m.at.epoch, m.at.offset
	}
	return centrifugeCommand{ID: subscribeID(m), Subscribe: &s}
}

// line appends a command to a frame.
func (centrifuge) line(c *client, frame []byte, command centrifugeCommand) []byte {
	b, err := json.Marshal(command)
	if err != nil { // nothing in it can fail
		c.giveUp(err.Error())
	}
	if len(frame) > 0 {
		frame = append(frame, '\n')
	}
	return append(frame, b...)
}

func (d centrifuge) message(c *client, payload []byte) {
	generation := c.generation
	for line := range bytes.SplitSeq(payload, []byte{'\n'}) {
		if c.generation != generation {
			return // one of the lines has ended the connection
		}
		switch {
		case len(line) == 0:
		case string(line) == "{}":
			c.sendText(line) // a ping and its answer
		case !d.publication(c, line):
			d.reply(c, line)
		}
	}
}

// publication takes {"push":{"channel":"a:1","pub":{"data":{…},"offset":7}}}, in which the offset is left out where there is no
// history. It reports whether the line is one.
func (centrifuge) publication(c *client, line []byte) bool {
	rest, ok := after(line, `{"push":{"channel":"`)
	if !ok {
		return false
	}
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return false
	}
	if _, ok := after(rest[end:], `","pub":{`); !ok {
		return false
	}
	m := c.named(rest[:end])
	if m == nil || m.state != memberLive {
		return true
	}
	c.events(line)
	const offset = `"offset":`
	if at := bytes.LastIndex(line, []byte(offset)); at >= 0 {
		if n, _, ok := digits(line[at+len(offset):], '}'); ok {
			m.at.offset = max(m.at.offset, n)
		}
	}
	return true
}

func (d centrifuge) reply(c *client, line []byte) {
	var r centrifugeReply
	if err := json.Unmarshal(line, &r); err != nil {
		c.fail(reasonFrame + ": " + err.Error())
		return
	}
	switch {
	case r.Push != nil && r.Push.Unsubscribe != nil:
		d.unsubscribed(c, r.Push.Channel, r.Push.Unsubscribe.Code, r.Push.Unsubscribe.Reason)
	case r.ID == connectID && r.Error != nil:
		c.giveUp("connect " + r.Error.Message)
	case r.ID == connectID && r.Connect != nil:
		const grace = 10
		if r.Connect.Ping > 0 {
			c.silence(time.Duration(r.Connect.Ping+grace) * time.Second)
		}
	case r.ID >= firstSubscribe:
		m := c.memberOf(int(r.ID - firstSubscribe))
		switch {
		case m == nil:
		case r.Error != nil:
			c.denied(m, r.Error.Message, r.Error.Temporary)
		case r.Subscribe != nil:
			d.subscribed(c, m, r.Subscribe)
		}
	}
}

// subscribed takes the answer, with what was missed when it recovered.
func (centrifuge) subscribed(c *client, m *member, s *centrifugeSubscribed) {
	if m.at.epoch != s.Epoch {
		m.at.epoch = s.Epoch
	}
	m.at.offset = s.Offset
	c.joined(m, s.WasRecovering && !s.Recovered)
	for _, publication := range s.Publications {
		c.events(publication)
	}
}

// unsubscribed: from 2500 on the client is to subscribe again.
func (centrifuge) unsubscribed(c *client, channel string, code int, reason string) {
	const again = 2500
	m := c.named([]byte(channel))
	switch {
	case m == nil:
	case code < again:
		c.denied(m, reason, false)
	default:
		c.rejoin(m)
	}
}

// closed: codes from 3500 to 3999 and from 4500 to 4999 are for good.
func (centrifuge) closed(code int, reason string) (why string, again bool) {
	const kind, terminal = 1000, 500
	return fmt.Sprintf("close %d %s", code, reason), code < 3000 || code%kind < terminal
}
