package swarm

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// socketio speaks Socket.IO 5 over Engine.IO 4, WebSocket only, to the server of loadtest/peers/socketio: the token is the connection's
// auth, and rooms are joined and left by the events "join", which is acknowledged with "joined" or a reason, and "leave". Nothing
// is resumed.
//
// A message begins with the type of an Engine.IO packet; that of a message, '4', is followed by the type of a Socket.IO packet.
// https://socket.io/docs/v4/engine-io-protocol and https://socket.io/docs/v4/socket-io-protocol
type socketio struct{}

const (
	engineOpen    = '0'
	engineClose   = '1'
	enginePing    = '2'
	engineMessage = '4'

	socketConnect    = '0'
	socketDisconnect = '1'
	socketEvent      = '2'
	socketAck        = '3'
	socketRefused    = '4'
)

func (socketio) header(*client) string { return "" }

func (socketio) opened(*client) {} // the server speaks first

func (s socketio) message(c *client, payload []byte) {
	if len(payload) == 0 {
		return
	}
	switch rest := payload[1:]; payload[0] {
	case engineOpen:
		s.open(c, rest)
	case engineClose:
		c.fail("closed by Engine.IO")
	case enginePing:
		c.sendText([]byte("3"))
	case engineMessage:
		if len(rest) > 0 {
			s.packet(c, rest[0], rest[1:])
		}
	}
}

// open takes the handshake of Engine.IO and asks to be connected.
func (socketio) open(c *client, handshake []byte) {
	var terms struct {
		PingInterval int `json:"pingInterval"` // ms
		PingTimeout  int `json:"pingTimeout"`
	}
	if err := json.Unmarshal(handshake, &terms); err != nil {
		c.fail(reasonFrame + ": " + err.Error())
		return
	}
	c.silence(time.Duration(terms.PingInterval+terms.PingTimeout) * time.Millisecond)
	c.sendText([]byte(`40{"token":` + quoted(c.token) + `}`))
}

func (s socketio) packet(c *client, kind byte, rest []byte) {
	switch kind {
	case socketConnect:
		for i := range c.members {
			if m := &c.members[i]; m.wanted() {
				s.join(c, m)
			}
		}
	case socketEvent:
		c.events(rest)
	case socketAck:
		s.answered(c, rest)
	case socketDisconnect:
		c.fail("disconnected by the server")
	case socketRefused:
		var refusal struct {
			Message string `json:"message"`
		}
		_ = json.Unmarshal(rest, &refusal) // what it does not say is not known
		c.giveUp("refused " + refusal.Message)
	}
}

// join names the acknowledgement that it asks for by the room.
func (socketio) join(c *client, m *member) {
	b := append([]byte("42"), strconv.Itoa(int(m.room))...)
	c.sendText(append(b, `["join",`+quoted(c.name(m))+`]`...))
}

func (socketio) leave(c *client, m *member) {
	c.sendText([]byte(`42["leave",` + quoted(c.name(m)) + `]`))
}

// answered takes `7["joined"]`.
func (socketio) answered(c *client, rest []byte) {
	room, rest, ok := digits(rest, '[')
	m := c.memberOf(int(room)) //nolint:gosec // one that is too large is no room
	if !ok || m == nil {
		return
	}
	if answer := bytes.Trim(rest, `"]`); string(answer) != "joined" {
		c.denied(m, string(answer), false)
		return
	}
	c.joined(m, false)
}

// quoted is a string as JSON.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // no string fails
		return `""`
	}
	return string(b)
}

func (socketio) closed(code int, reason string) (why string, again bool) {
	return closeReason(code, reason), true
}
