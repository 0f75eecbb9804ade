package swarm

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/tidingsmesh/tidings/subjects"
)

// natsClient speaks the client protocol of NATS over WebSocket: a room is its subject. A token is a user's JWT and the seed of the
// user's key in base64url, separated by a space; the key signs the nonce of each connection. Nothing is resumed.
//
// Messages are a stream: a line of the protocol may begin in one and end in the next.
//
// https://docs.nats.io/reference/reference-protocols/nats-protocol
type natsClient struct {
	// begun is what came of lines that have not ended, of the few clients that have one.
	begun map[*client][]byte
}

const lineEnd = "\r\n"

func (*natsClient) header(*client) string { return "" }

func (d *natsClient) opened(c *client) { delete(d.begun, c) } // the server speaks first

func (d *natsClient) message(c *client, payload []byte) {
	if len(d.begun) > 0 {
		if begun, ok := d.begun[c]; ok {
			delete(d.begun, c)
			payload = append(begun, payload...)
		}
	}
	generation := c.generation
	for len(payload) > 0 {
		size := d.operation(c, payload)
		if c.generation != generation {
			return // it has ended the connection
		}
		if size == 0 {
			if d.begun == nil {
				d.begun = map[*client][]byte{}
			}
			d.begun[c] = bytes.Clone(payload)
			return
		}
		payload = payload[size:]
	}
}

// operation takes the first operation of b and returns its size, 0 when it is not all there.
func (d *natsClient) operation(c *client, b []byte) (size int) {
	end := bytes.Index(b, []byte(lineEnd))
	if end < 0 {
		return 0
	}
	line, rest := b[:end], b[end+len(lineEnd):]
	size = end + len(lineEnd)
	verb, arguments, _ := bytes.Cut(line, []byte{' '})
	switch string(verb) {
	case "MSG", "HMSG":
		length, err := strconv.Atoi(string(arguments[bytes.LastIndexByte(arguments, ' ')+1:]))
		if err != nil || length < 0 {
			c.fail(reasonFrame + ": " + string(line))
			return size
		}
		if len(rest) < length+len(lineEnd) {
			return 0
		}
		c.events(rest[:length])
		size += length + len(lineEnd)
	case "PING":
		c.sendBinary([]byte("PONG" + lineEnd))
	case "PONG":
		d.confirmed(c)
	case "INFO":
		d.connect(c, arguments)
	case "-ERR":
		d.failed(c, string(arguments))
	}
	return size
}

// connect answers the server's first line, and subscribes. The server answers PING after all that went before.
func (d *natsClient) connect(c *client, info []byte) {
	var server struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal(info, &server); err != nil {
		c.fail(reasonFrame + ": " + err.Error())
		return
	}
	if c.state != clientJoins {
		return // a later INFO tells of other servers
	}
	token, seed, _ := strings.Cut(c.token, " ")
	key, err := base64.RawURLEncoding.DecodeString(seed)
	if err != nil || len(key) != ed25519.SeedSize {
		c.giveUp("a token is not a JWT and a seed")
		return
	}
	signature := ed25519.Sign(ed25519.NewKeyFromSeed(key), []byte(server.Nonce))
	hello, err := json.Marshal(map[string]any{
		"jwt": token, "sig": base64.RawURLEncoding.EncodeToString(signature),
		"verbose": false, "pedantic": false, "protocol": 1, "lang": "nats.ws", "version": "1", "headers": true, "no_responders": true,
	})
	if err != nil { // nothing in it can fail
		c.giveUp(err.Error())
		return
	}
	b := append([]byte("CONNECT "), hello...)
	b = append(b, lineEnd...)
	for i := range c.members {
		if m := &c.members[i]; m.wanted() {
			b = appendSubscription(b, c, m)
		}
	}
	c.sendBinary(append(b, "PING"+lineEnd...))
}

func (*natsClient) join(c *client, m *member) {
	c.sendBinary(append(appendSubscription(nil, c, m), "PING"+lineEnd...))
}

func (*natsClient) leave(c *client, m *member) {
	b := append([]byte("UNSUB "), strconv.Itoa(subscriptionID(m))...)
	c.sendBinary(append(b, lineEnd...))
}

func subscriptionID(m *member) int { return int(m.room) + 1 }

func appendSubscription(b []byte, c *client, m *member) []byte {
	b = append(b, "SUB "+subjectOf(c, m)+" "...)
	b = strconv.AppendInt(b, int64(subscriptionID(m)), 10)
	return append(b, lineEnd...)
}

// subjectOf is the subject of a room; a name that is no room is its own.
func subjectOf(c *client, m *member) string {
	room, err := subjects.ParseRoom(c.name(m))
	if err != nil {
		return c.name(m)
	}
	return room.Subject()
}

// confirmed: what was subscribed before the PING and not refused holds.
func (*natsClient) confirmed(c *client) {
	for i := range c.members {
		if m := &c.members[i]; m.state == memberAsked {
			c.joined(m, false)
		}
	}
}

// failed takes 'Permissions Violation for Subscription to "room.a.1"', with which the connection goes on, and errors after which the
// server closes it.
func (*natsClient) failed(c *client, text string) {
	text = strings.Trim(text, "'")
	if subject, refused := strings.CutPrefix(text, "Permissions Violation for Subscription to "); refused {
		for i := range c.members {
			if m := &c.members[i]; strings.Trim(subject, `"`) == subjectOf(c, m) {
				c.denied(m, "subscription", false)
			}
		}
		return
	}
	if strings.HasPrefix(text, "Authorization Violation") || strings.HasPrefix(text, "User Authentication") {
		c.giveUp(text)
		return
	}
	c.fail(text)
}

func (*natsClient) closed(code int, reason string) (why string, again bool) {
	return closeReason(code, reason), true
}
