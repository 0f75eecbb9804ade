package swarm

import "fmt"

// dialect is how clients talk to one kind of server. One value serves all clients of a worker, and all of it
// runs in the worker's one goroutine. It keeps nothing of its own per client: what it must remember of a room
// goes into the position of the member.
//
// To its clients it does this:
//
//	c.sendText, c.sendBinary      send one message; it is copied
//	c.joined(m, false)            the server has let the client into room m, and it goes on where it was
//	c.joined(m, true)             … but says that it cannot prove that nothing was missed
//	c.denied(m, why, again)       it has not; again asks once more after a second
//	c.events(payload)             count every mark in a message, of rooms that the client is in
//	c.silence(d)                  the connection is dead when nothing was received for so long
//	c.fail(why)                   this connection is of no use: close it, count the reason, reconnect
//	c.giveUp(why)                 the same, and never reconnect
//	c.members, c.name(m)          the rooms of the client; those with m.wanted() are to be joined
//
// A client counts as joined when each of its rooms was answered by joined. Events that come for a room
// before that are not counted: protocols allow them.
type dialect interface {
	// header is what the request of the opening handshake needs beside what RFC 6455 demands: whole lines,
	// each ended by "\r\n".
	header(c *client) string
	// opened comes after the handshake. Where clients speak first they do so here, and ask for all their
	// rooms, from their positions where there are any.
	opened(c *client)
	// message takes one whole message, text or binary, but for ping, pong and close frames, which are
	// dealt with. The payload is valid until it returns.
	message(c *client, payload []byte)
	// join asks for one room on an open connection. After leave, its position has been forgotten.
	join(c *client, m *member)
	// leave leaves one room.
	leave(c *client, m *member)
	// closed says what a close frame means: a reason to count, and whether to reconnect.
	closed(code int, reason string) (why string, again bool)
}

// dialects has one for each name. A dialect is a file of this package and a line here.
var dialects = map[string]func() dialect{
	"tidings":    func() dialect { return &tidings{} },
	"raw":        func() dialect { return raw{} },
	"socketio":   func() dialect { return socketio{} },
	"centrifuge": func() dialect { return centrifuge{} },
	"nats":       func() dialect { return &natsClient{} },
}

// closeReason is the reason to count for a close code that a dialect knows nothing of.
func closeReason(code int, reason string) string {
	const short = 60
	if reason == "" {
		return fmt.Sprintf("close %d", code)
	}
	return fmt.Sprintf("close %d %.*s", code, short, reason)
}
