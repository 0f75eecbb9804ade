package swarm

// raw is the least that clients can say: "join <room>\n", answered by "joined <room>\n" before any event, and
// "leave <room>\n", each a text message. An event's message is its data. Nothing is resumed.
type raw struct{}

func (raw) header(*client) string { return "" }

func (r raw) opened(c *client) {
	for i := range c.members {
		if m := &c.members[i]; m.wanted() {
			r.join(c, m)
		}
	}
}

func (raw) join(c *client, m *member)  { c.sendText([]byte("join " + c.name(m) + "\n")) }
func (raw) leave(c *client, m *member) { c.sendText([]byte("leave " + c.name(m) + "\n")) }

func (raw) message(c *client, payload []byte) {
	const joined = "joined "
	if len(payload) > len(joined) && string(payload[:len(joined)]) == joined {
		if m := c.named(payload[len(joined) : len(payload)-1]); m != nil {
			c.joined(m, false)
		}
		return
	}
	c.events(payload)
}

func (raw) closed(code int, reason string) (why string, again bool) {
	return closeReason(code, reason), true
}
