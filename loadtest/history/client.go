package history

import "fmt"

// client is what is known of one client while its records are read.
type client struct {
	checker *checker
	name    string
	class   Class
	file    string
	members map[string]*member

	links  int   // connections that are up
	downAt int64 // when the last one of them ended; 0 while there is one
	outage *outage
	done   int64 // 0: its process was killed
}

func (c *client) take(r Record) error {
	if c.done != 0 {
		return fmt.Errorf("%s of client %s after its done", r.Kind, c.name)
	}
	switch r.Kind {
	case Dial:
		if c.links == 0 { // nothing that was asked before is answered
			for _, m := range c.members {
				m.asks, m.tried = nil, nil
			}
		}
	case Up:
		c.up(r)
	case Down:
		c.down(r)
	case Done:
		c.done = r.Time
	case Gap:
		c.checker.report.Gaps++
	case Lag:
		c.checker.report.Lags++
	case Join, Joined, Denied, Leave, Event:
		return c.member(r.Room).take(r)
	default:
	}
	return nil
}

func (c *client) member(name string) *member {
	m := c.members[name]
	if m == nil {
		m = &member{client: c, checker: c.checker, room: c.checker.stream.room(name), last: -1}
		c.members[name] = m
	}
	return m
}

// up is a connection that was welcomed. What an older one still brings is not looked at from here on.
func (c *client) up(r Record) {
	c.checker.report.Connections++
	c.newLink()
	if c.links > 0 {
		c.checker.report.Moves++
		if c.outage == nil {
			c.interrupted(r.Time, true)
		}
	}
	c.links++
	c.downAt = 0
}

// newLink ends what belongs to a connection: replays, and joins that wait for an answer.
func (c *client) newLink() {
	for _, m := range c.members {
		m.claim, m.rejoined = nil, false
	}
}

func (c *client) down(r Record) {
	if c.links > 0 {
		c.links--
	}
	if c.links > 0 {
		return // it was left for another one
	}
	c.downAt = r.Time
	c.newLink()
	if c.outage == nil || c.outage.moved {
		c.interrupted(r.Time, false)
	}
}

// end is until when the client can be expected to have been sent what is in a room.
func (c *client) end(room string) int64 {
	switch {
	case c.outage != nil && c.outage.waits[room]:
		return c.outage.from
	case c.downAt != 0:
		return c.downAt
	default:
		return c.done
	}
}

// finish is called when all records have been read.
func (c *client) finish() {
	count := c.checker.report.class(c.class)
	count.Clients++
	for _, name := range sortedKeys(c.members) {
		c.members[name].finish()
	}
	if c.done == 0 {
		count.Cut++
		return
	}
	c.neverBack()
}
