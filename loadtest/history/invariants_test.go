package history_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tidingsmesh/tidings/loadtest/history"
)

// broken is shorthand for the invariants that a story violates, in the order of reports.
func broken(names ...history.Invariant) []history.Invariant { return names }

func TestCheck_Order(t *testing.T) {
	judge(t, map[string]example{
		"forward": {tell: func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20, 30)
			c.gets(10, 20, 30)
			s.end(c)
		}},
		"back": {func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20, 30)
			c.gets(20, 10, 30)
			s.end(c)
		}, broken(history.Ordered), "stood at 20 already"},
		"before the room was joined": {func(s *story) {
			c := s.client("a", history.Steady)
			s.events(10)
			c.up()
			c.join(0)
			c.gets(10)
			c.joined(10)
			s.end(c)
		}, broken(history.Ordered), "before the room was joined"},
		"from the start, in another history": {tell: func(s *story) {
			s.fault("roll back")
			c := s.member("a", 5)
			s.lose(10)
			c.gets(10)
			c.reset(6, "epoch")
			s.events(8, 11)
			c.gets(8, 11)
			s.end(c)
		}},
	})
}

func TestCheck_Complete(t *testing.T) {
	judge(t, map[string]example{
		"everything since the first join": {tell: func(s *story) {
			s.events(3, 4)
			c := s.member("a", 5)
			s.events(10)
			c.gets(10)
			s.end(c)
		}},
		"one is skipped": {func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20, 30)
			c.gets(10, 30)
			s.end(c)
		}, broken(history.Complete, history.Delivered), "before the client went on to 30, one of 1"},
		"one is skipped after a first join": {func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20)
			c.gets(20)
			s.end(c)
		}, broken(history.Complete, history.Delivered), "went on to 20"},
		"what was missed is replayed": {tell: func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20, 30, 40)
			c.gets(10)
			c.resume(10)
			c.recovered(30, 2)
			c.gets(20, 30, 40)
			s.end(c)
		}},
		"what was missed is neither replayed nor told": {func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20, 30)
			c.gets(10)
			c.resume(10)
			c.recovered(10, 0)
			c.gets(30)
			s.end(c)
		}, broken(history.Complete, history.Delivered), "went on to 30"},
		"a replay that was interrupted goes on where it was": {tell: func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20, 30)
			c.resume(5)
			c.recovered(30, 3)
			c.gets(10)
			c.resume(10)
			c.recovered(30, 2)
			c.gets(20, 30)
			s.end(c)
		}},
		"what was skipped was told": {tell: func(s *story) {
			s.options.History = 2
			s.fault("cut")
			c := s.member("a", 5)
			s.events(10, 20, 30, 40)
			c.gets(10)
			c.resume(10)
			c.reset(30, "truncated")
			c.gets(40)
			s.end(c)
		}},
		"what was skipped was told only afterwards": {func(s *story) {
			s.options.History = 1
			s.fault("cut")
			c := s.member("a", 5)
			s.events(10, 20, 30, 40)
			c.gets(10, 30)
			c.reset(40, "truncated")
			s.end(c)
		}, broken(history.Complete, history.Delivered), "went on to 30"},
		"who comes back without a position starts anew": {tell: func(s *story) {
			c := s.member("a", 5)
			c.leave()
			s.events(10, 20)
			c.join(0)
			c.joined(20)
			s.events(30)
			c.gets(30)
			s.end(c)
		}},
		"who comes back with its position is owed what it missed": {func(s *story) {
			c := s.member("a", 5)
			c.leave()
			s.events(10, 20)
			c.join(5)
			c.recovered(10, 0)
			c.gets(20)
			s.end(c)
		}, broken(history.Complete, history.Truthful), "went on to 10"},
		"a second answer to a first join moves nobody": {func(s *story) {
			c := s.client("a", history.Steady)
			c.up()
			c.join(0)
			c.join(0) // of the connection that it moves to
			c.joined(5)
			s.events(10, 20)
			c.up()
			c.down()
			c.joined(10)
			c.gets(20)
			s.end(c)
		}, broken(history.Complete, history.Delivered), "went on to 20"},
		"what the stream wrote in place of what it lost is due": {func(s *story) {
			c := s.member("a", 5)
			s.publish(20)
			s.write("publisher", history.Record{Kind: history.Acked, Room: room, ID: id(20), Seq: 10})
			c.record(history.Record{Kind: history.Event, Room: room, Seq: 10, ID: id(20), Hash: hash(20)})
			s.events(10, 30) // evt-10 is at 10 now
			c.gets(30)
			s.end(c)
		}, broken(history.Complete, history.Delivered), "went on to 30"},
	})
}

func TestCheck_Genuine(t *testing.T) {
	one := func(change func(r *history.Record)) func(s *story) {
		return func(s *story) {
			c := s.member("a", 5)
			s.events(10)
			c.gets(10)
			s.write("stream", history.Record{Kind: history.Stored, Room: "campaign:2", ID: "other", Hash: "0", Seq: 12})
			s.write("publisher", history.Record{Kind: history.Publish, Room: "campaign:2", ID: "other", Hash: "0"})
			r := history.Record{Kind: history.Event, Room: room, Seq: 10, ID: id(10), Hash: hash(10), Duplicate: true}
			change(&r)
			c.record(r)
			s.end(c)
		}
	}
	judge(t, map[string]example{
		"as it is in the stream": {tell: one(func(*history.Record) {})},
		"altered":                {one(func(r *history.Record) { r.Hash = "0" }), broken(history.Genuine), "its content is 0"},
		"invented": {
			one(func(r *history.Record) { r.ID, r.Seq, r.Duplicate = "none", 11, false }), broken(history.Genuine), "nobody has published it",
		},
		"of another room": {
			one(func(r *history.Record) { r.ID, r.Hash, r.Seq, r.Duplicate = "other", "0", 12, false }), broken(history.Genuine), "nobody has published it in this room",
		},
		"in another place": {one(func(r *history.Record) { r.Seq = 9 }), broken(history.Genuine), "the stream has it at 10"},
		"in the stream, and not published": {func(s *story) {
			c := s.member("a", 5)
			s.store(10)
			c.gets(10)
			s.end(c)
		}, broken(history.Genuine), "nobody published"},
		"altered by the stream": {func(s *story) {
			c := s.member("a", 5)
			s.write("publisher", history.Record{Kind: history.Publish, Room: room, ID: id(10), Hash: "0"})
			s.store(10)
			c.gets(10)
			s.end(c)
		}, broken(history.Genuine), "published was 0"},
		"published, never acknowledged, and not in the stream": {func(s *story) {
			c := s.member("a", 5)
			s.events(20)
			s.publish(10)
			c.gets(10, 20)
			s.end(c)
		}, broken(history.Genuine), "the stream does not have it"},
	})
}

func TestCheck_Once(t *testing.T) {
	judge(t, map[string]example{
		"a duplicate that the client recognised": {tell: func(s *story) {
			c := s.member("a", 5)
			s.events(10)
			c.gets(10)
			c.getsAgain(10)
			s.end(c)
		}},
		"twice after a reconnect": {func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20)
			c.gets(10, 20)
			c.resume(10)
			c.recovered(20, 1)
			c.gets(20)
			s.end(c)
		}, broken(history.Once), "applied before"},
		"twice in the stream, and so twice to everybody": {func(s *story) {
			c := s.member("a", 5)
			s.events(10)
			s.write("stream", history.Record{Kind: history.Stored, Room: room, ID: id(10), Hash: hash(10), Seq: 20})
			c.gets(10)
			c.record(history.Record{Kind: history.Event, Room: room, Seq: 20, ID: id(10), Hash: hash(10)})
			s.end(c)
		}, broken(history.Once, history.Delivered), "the stream has it at 10, too"},
		"again in another history": {tell: func(s *story) {
			s.fault("roll back")
			c := s.member("a", 5)
			s.events(10)
			s.lose(20)
			c.gets(10, 20)
			c.reset(6, "epoch")
			c.gets(10)
			s.end(c)
		}},
		"again after it left, as somebody new": {tell: func(s *story) {
			c := s.member("a", 5)
			s.events(10)
			c.gets(10)
			c.leave()
			c.join(0)
			c.joined(5)
			c.gets(10)
			s.end(c)
		}},
	})
}

func TestCheck_Delivered(t *testing.T) {
	judge(t, map[string]example{
		"the last event never came": {func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20)
			c.gets(10)
			s.end(c)
		}, broken(history.Delivered), "acknowledged, and never came"},
		"the last event, whose ack was lost, never came": {func(s *story) {
			c := s.member("a", 5)
			s.events(10)
			s.publish(20)
			s.store(20)
			s.write("publisher", history.Record{Kind: history.Failed, Room: room, ID: id(20), Unknown: true})
			c.gets(10)
			s.end(c)
		}, broken(history.Delivered), "stored without an ack, and never came"},
		"it never came to one of two": {func(s *story) {
			a, b := s.member("a", 5), s.member("b", 5)
			s.events(10)
			a.gets(10)
			s.end(a, b)
		}, broken(history.Delivered), "never came"},
		"it was away when it was published, and back in time": {func(s *story) {
			c := s.member("a", 5)
			c.resume(5)
			s.events(10)
			c.recovered(5, 0)
			s.end(c)
		}, broken(history.Delivered), "never came"},
		"not to who has left, or came later, or was killed, or refused": {tell: func(s *story) {
			left, killed, refused, stays := s.member("a", 5), s.member("b", 5), s.member("c", 5), s.member("e", 5)
			left.leave()
			refused.denied("forbidden")
			s.events(10)
			later := s.member("d", 10)
			stays.gets(10)
			s.end(left, refused, later, stays)
			_ = killed
		}},
		"not to who is away at its end": {tell: func(s *story) {
			c, stays := s.member("a", 5), s.member("b", 5)
			c.down()
			s.events(10)
			stays.gets(10)
			s.end(c, stays)
		}},
		"not what was on its way when the client ended early": {tell: func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20)
			c.gets(10)
			c.done()
		}},
		"but what had ten seconds": {func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20)
			c.gets(10)
			s.pass(11 * time.Second)
			c.done()
		}, broken(history.Delivered), "never came"},
	})
}

func TestCheck_WhatWasToldIsCountedApart(t *testing.T) {
	s := tell()
	s.options.History = 2
	s.fault("cut")
	c := s.member("a", 5)
	s.events(10, 20, 30, 40)
	c.gets(10)
	c.reset(30, "truncated")
	c.gets(40)
	s.end(c)
	report := check(t, s.source, s.options)
	assert.Equal(t, history.Holds, report.Verdict())
	assert.Equal(t, 4, report.Finding(history.Delivered).Of)
	assert.Equal(t, 2, report.Told)
	assert.Equal(t, &history.Resets{Count: 1}, report.Resets["truncated"])
}

func TestCheck_Truthful(t *testing.T) {
	judge(t, map[string]example{
		"fewer than announced, and live ones in their place": {func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20, 30)
			c.resume(5)
			c.recovered(20, 3)
			c.gets(10, 20, 30)
			s.end(c)
		}, broken(history.Truthful), "in a replay of 3 up to 20, of which 2 came"},
		"fewer than announced, and nothing more": {func(s *story) {
			c := s.member("a", 5)
			s.events(10)
			c.resume(5)
			c.recovered(10, 2)
			c.gets(10)
			s.end(c)
		}, broken(history.Truthful), "a replay of 2 was announced, 1 of it came"},
		"fewer, as the connection was lost": {tell: func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20)
			c.resume(5)
			c.recovered(20, 2)
			c.gets(10)
			c.resume(10)
			c.recovered(20, 1)
			c.gets(20)
			s.end(c)
		}},
		"duplicates count": {tell: func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20, 30)
			c.gets(10)
			c.resume(5)
			c.recovered(20, 2)
			c.getsAgain(10)
			c.gets(20, 30)
			s.end(c)
		}},
		"more than announced": {func(s *story) {
			c := s.member("a", 5)
			s.events(10, 20)
			c.resume(5)
			c.recovered(20, 1)
			c.gets(10)
			c.getsAgain(20) // the client takes it for one, as it stands at 20 by then
			s.end(c)
		}, broken(history.Complete, history.Delivered, history.Truthful), "went on to 20"},
		"nothing missed, says the edge": {func(s *story) {
			c := s.member("a", 5)
			s.events(10)
			c.resume(5)
			c.recovered(10, 0)
			s.end(c)
			c2 := s.member("b", 5)
			c2.gets(10)
		}, broken(history.Complete, history.Delivered, history.Truthful), "went on to 10"},
		"a position at an event that is not there": {func(s *story) {
			c := s.client("a", history.Steady)
			s.events(10)
			c.up()
			c.join(0)
			c.record(history.Record{Kind: history.Joined, Room: room, Position: atEvent(9)})
			c.gets(10)
			s.end(c)
		}, broken(history.Truthful), "not in the stream there"},
		"a position at an event that is": {tell: func(s *story) {
			c := s.client("a", history.Steady)
			s.events(10, 20)
			c.up()
			c.join(0)
			c.record(history.Record{Kind: history.Joined, Room: room, Position: atEvent(10)})
			c.gets(20)
			s.end(c)
		}},
		"a first answer to somebody with a position": {func(s *story) {
			c := s.member("a", 5)
			s.events(10)
			c.gets(10)
			c.resume(10)
			c.joined(10)
			s.end(c)
		}, broken(history.Truthful), "as if the client had no position"},
		"a recovery of somebody without one": {func(s *story) {
			c := s.client("a", history.Steady)
			c.up()
			c.join(0)
			c.recovered(5, 0)
			s.events(10)
			c.gets(10)
			s.end(c)
		}, broken(history.Truthful), "as if the client had a position"},
		"a client that comes with a position from elsewhere": {tell: func(s *story) {
			s.events(10, 20)
			c := s.client("a", history.Steady)
			c.up()
			c.join(10)
			c.recovered(20, 1)
			c.gets(20)
			s.end(c)
		}},
	})
}

func TestCheck_ResetsNeedACause(t *testing.T) {
	// reset has a client that is told so after three events, one of which it got.
	reset := func(reason string, before func(s *story)) func(s *story) {
		return func(s *story) {
			c := s.member("a", 5)
			before(s)
			s.events(10, 20, 30)
			c.gets(10)
			c.resume(10)
			c.reset(30, reason)
			s.events(40)
			c.gets(40)
			s.end(c)
		}
	}
	fault := func(s *story) { s.fault("cut") }
	vain := broken(history.Truthful)
	judge(t, map[string]example{
		"truncated, with too many": {tell: reset("truncated", func(s *story) {
			s.fault("cut")
			s.options.History = 2
		})},
		"truncated, with too few": {reset("truncated", fault), vain, "only 2 events followed its position at 10 and a room keeps 256"},
		"without any fault":       {reset("truncated", func(s *story) { s.options.History = 2 }), vain, "no fault took effect"},
		"without a fault that took effect": {reset("truncated", func(s *story) {
			s.options.History = 2
			s.write("conductor", history.Record{Kind: history.Begin, Who: "cut"})
			s.write("conductor", history.Record{Kind: history.End, Who: "cut"})
		}), vain, "no fault took effect"},
		"expired": {tell: func(s *story) {
			s.fault("cut")
			s.options.MaxAge = time.Minute
			c := s.client("a", history.Churn)
			s.events(10)
			c.up()
			pos := at(10)
			pos.TS = s.now / 1e6
			s.pass(time.Minute)
			c.record(history.Record{Kind: history.Join, Room: room, Position: pos})
			c.reset(10, "expired")
			s.events(20)
			c.gets(20)
			s.end(c)
		}},
		"expired, and not old": {reset("expired", fault), vain, "events are kept for"},
		"epoch, as the stream lost an event": {tell: reset("epoch", func(s *story) {
			s.fault("cut")
			s.lose(8)
		})},
		"epoch, and nothing is lost":  {reset("epoch", fault), vain, "the stream has lost nothing"},
		"behind, and nothing is lost": {reset("behind", fault), vain, "the stream has lost nothing"},
		"position":                    {reset("position", fault), vain, "a good position"},
		"a reason that there is not":  {reset("mood", fault), vain, "no reason"},
		"epoch, as it wrote at a fence": {tell: func(s *story) {
			s.fault("roll back")
			c := s.member("a", 50) // a fence, which the stream has lost since
			s.events(20)
			c.reset(20, "epoch")
			s.events(60)
			c.gets(60)
			s.end(c)
		}},
	})
}

func TestCheck_Agreement(t *testing.T) {
	judge(t, map[string]example{
		"two events at one place": {func(s *story) {
			a, b := s.member("a", 5), s.member("b", 5)
			s.events(20)
			for _, c := range []*teller{a, b} {
				c.record(history.Record{Kind: history.Event, Room: room, Seq: 10, ID: "from " + c.name, Hash: "0"})
				c.gets(20)
			}
			s.end(a, b)
		}, broken(history.Genuine, history.Agreement), "nobody has published"},
		"two in the stream": {func(s *story) {
			a := s.member("a", 5)
			s.events(10)
			s.write("publisher", history.Record{Kind: history.Publish, Room: "campaign:2", ID: "x", Hash: "0"})
			s.write("stream", history.Record{Kind: history.Stored, Room: "campaign:2", ID: "x", Hash: "0", Seq: 10})
			a.gets(10)
			s.end(a)
		}, broken(history.Agreement), "two events at this sequence"},
	})
}

func TestCheck_WhatNATSLosesIsToldApart(t *testing.T) {
	s := tell()
	c := s.member("a", 5)
	s.events(10)
	s.lose(12)
	c.gets(10, 12)
	s.publish(20)
	s.store(20)
	s.write("publisher", history.Record{Kind: history.Acked, Room: room, ID: id(20), Seq: 14})
	c.gets(20)
	s.end(c)
	report := check(t, s.source, s.options)
	assert.Equal(t, history.Holds, report.Verdict(), text(report))
	n := report.NATS
	assert.Equal(t, []int{3, 1, 1, 1}, []int{n.Acked, n.Lost, n.Elsewhere, n.Delivered})
	assert.Len(t, n.Examples, 3)
	assert.Contains(t, text(report), "1 of 3 acknowledged events are not in the stream, 1 are elsewhere in it")
	assert.Equal(t, 1, report.Finding(history.Delivered).Of, "what is elsewhere is not expected")
}

func TestCheck_Reconnection(t *testing.T) {
	// back has clients that are away for these times.
	back := func(class history.Class, aways ...time.Duration) func(s *story) {
		return func(s *story) {
			c := s.client("a", class)
			c.up()
			c.join(0)
			c.joined(5)
			s.events(10)
			c.gets(10)
			for _, away := range aways {
				c.down()
				s.pass(away)
				c.up()
				c.join(10)
				c.recovered(10, 0)
				s.pass(2 * time.Minute)
			}
			s.end(c)
		}
	}
	slow := broken(history.Returned)
	judge(t, map[string]example{
		"in time":              {tell: back(history.Steady, time.Second, 12*time.Second, time.Second)},
		"the mean":             {back(history.Steady, 6*time.Second), slow, "the mean is 6.0s"},
		"the 99th percentile":  {back(history.Expires, time.Second, time.Second, time.Second, time.Second, 16*time.Second), slow, "the 99th percentile is 16.0s"},
		"others have no bar":   {tell: back(history.Churn, time.Minute)},
		"a slow reader either": {tell: back(history.Slow, time.Minute)},
		"never back": {func(s *story) {
			c, stays := s.member("a", 5), s.member("b", 5)
			s.events(10)
			c.gets(10)
			stays.gets(10)
			c.down()
			s.pass(20 * time.Second)
			c.up()
			c.join(10)
			s.end(c, stays)
		}, slow, "not back in 1 of its rooms until its end, 20.0s later"},
		"from the first loss to the last answer": {func(s *story) {
			c := s.member("a", 5)
			s.events(10)
			c.gets(10)
			c.down()
			s.pass(4 * time.Second)
			c.up()
			c.down()
			s.pass(4 * time.Second)
			c.up()
			c.join(10)
			c.recovered(10, 0)
			s.end(c)
		}, slow, "the mean is 8.0s"},
		"denied for now does not count as back": {func(s *story) {
			c := s.member("a", 5)
			c.down()
			c.up()
			c.join(5)
			c.denied("rate_limit")
			s.pass(7 * time.Second)
			c.join(5)
			c.recovered(5, 0)
			s.events(10)
			c.gets(10)
			s.end(c)
		}, slow, "the mean is 7.0s"},
		"denied for good is nothing to wait for": {tell: func(s *story) {
			c := s.member("a", 5)
			s.events(10)
			c.gets(10)
			c.down()
			c.up()
			c.join(10)
			c.denied("forbidden")
			s.pass(time.Minute)
			s.end(c)
		}},
	})
}

func TestCheck_MovesAndFaultsAreToldApart(t *testing.T) {
	s := tell()
	c := s.member("a", 5)
	s.events(10)
	c.gets(10)

	c.join(10)
	c.up()
	c.down() // the older connection
	s.pass(time.Second)
	c.recovered(10, 0)

	s.write("conductor", history.Record{Kind: history.Begin, Who: "kill", Text: "edge-1"})
	s.write("conductor", history.Record{Kind: history.End, Who: "kill", Text: "it was killed"})
	s.pass(time.Second) // of the aftermath
	c.resume(10)
	s.pass(3 * time.Second)
	c.recovered(10, 0)

	s.pass(time.Minute)
	s.write("conductor", history.Record{Kind: history.Begin, Who: "tickle", Text: "edge-1"})
	s.write("conductor", history.Record{Kind: history.End, Who: "tickle"})
	s.pass(time.Minute)
	c.resume(10)
	s.pass(time.Second)
	c.recovered(10, 0)
	s.end(c)

	report := check(t, s.source, s.options)
	assert.Equal(t, history.Holds, report.Verdict(), text(report))
	r := report.Reconnection
	assert.Equal(t, []int{2, 0, 1}, []int{r.Steady.Count, r.Others.Count, r.Moved.Count})
	assert.Equal(t, 1, report.Moves)
	assert.InDelta(t, 1, r.Moved.Max.Seconds(), 0.1)
	assert.Len(t, r.Faults, 2)
	assert.InDelta(t, 3, r.Faults["kill"].Max.Seconds(), 0.1)
	assert.InDelta(t, 1, r.Faults[""].Max.Seconds(), 0.1)
	assert.Contains(t, text(report), "kill: 1 of 1")
	assert.Contains(t, text(report), "tickle: 0 of 1")
	assert.Contains(t, text(report), "no evidence of tickle at ")
}

func TestCheck_Silence(t *testing.T) {
	judge(t, map[string]example{
		"late after healing": {func(s *story) {
			c := s.member("a", 5)
			s.conduct(history.Healed)
			s.events(10)
			s.pass(11 * time.Second)
			c.gets(10)
			s.end(c)
		}, broken(history.Audible), "reached the client 11.0s after its ack"},
		"late while faults go on": {tell: func(s *story) {
			c := s.member("a", 5)
			s.events(10)
			s.pass(11 * time.Second)
			c.gets(10)
			s.conduct(history.Healed)
			s.end(c)
		}},
		"late to a slow reader": {tell: func(s *story) {
			c := s.client("a", history.Slow)
			c.up()
			c.join(0)
			c.joined(5)
			s.conduct(history.Healed)
			s.events(10)
			s.pass(11 * time.Second)
			c.gets(10)
			s.end(c)
		}},
		"never": {func(s *story) {
			c := s.member("a", 5)
			s.conduct(history.Healed)
			s.events(10, 20)
			c.gets(10)
			s.pass(11 * time.Second)
			s.end(c)
		}, broken(history.Delivered, history.Audible), "never came"},
	})
}

func TestCheck_Rejoins(t *testing.T) {
	joins := func(class history.Class, n int, every time.Duration) func(s *story) {
		return func(s *story) {
			c := s.client("a", class)
			c.up()
			c.join(0)
			c.joined(5)
			s.events(10)
			c.gets(10)
			for range n - 1 {
				s.pass(every)
				c.join(10)
				c.recovered(10, 0)
			}
			s.end(c)
		}
	}
	judge(t, map[string]example{
		"twelve in a minute":          {tell: joins(history.Steady, 12, time.Second)},
		"thirteen":                    {joins(history.Steady, 13, time.Second), broken(history.Calm), "for the 13th time"},
		"thirteen in more than that":  {tell: joins(history.Steady, 13, 5*time.Second)},
		"some leave and come all day": {tell: joins(history.Churn, 100, time.Second)},
	})
}

func TestCheck_Usage(t *testing.T) {
	base := history.Usage{RSS: 50 << 20, Heap: 8 << 20, Goroutines: 20, Files: 15, Subscriptions: 4}
	edge := func(rest *history.Usage) func(s *story) {
		return func(s *story) {
			c := s.member("a", 5)
			s.events(10)
			c.gets(10)
			s.write("conductor", history.Record{Kind: history.Base, Who: "edge-1", Usage: &base})
			s.write("conductor", history.Record{Kind: history.Sample, Who: "edge-1", Usage: &history.Usage{RSS: 90 << 20, Connections: 7}})
			s.end(c)
			if rest != nil {
				s.write("conductor", history.Record{Kind: history.Rest, Who: "edge-1", Usage: rest})
			}
		}
	}
	changed := func(change func(u *history.Usage)) func(s *story) {
		u := base
		change(&u)
		return edge(&u)
	}
	leak := broken(history.Released)
	judge(t, map[string]example{
		"as before": {tell: edge(&base)},
		"a little more": {tell: changed(func(u *history.Usage) {
			u.Goroutines, u.Files, u.Subscriptions, u.Heap = 25, 20, 6, 28<<20
		})},
		"goroutines":    {changed(func(u *history.Usage) { u.Goroutines = 26 }), leak, "26 goroutines after all clients have left, the bar is 25"},
		"files":         {changed(func(u *history.Usage) { u.Files = 21 }), leak, "files"},
		"subscriptions": {changed(func(u *history.Usage) { u.Subscriptions = 7 }), leak, "subscriptions"},
		"connections":   {changed(func(u *history.Usage) { u.Connections = 1 }), leak, "connections"},
		"rooms":         {changed(func(u *history.Usage) { u.Rooms = 1 }), leak, "rooms"},
		"queued":        {changed(func(u *history.Usage) { u.Queued = 1 }), leak, "bytes queued"},
		"heap":          {changed(func(u *history.Usage) { u.Heap = 28<<20 + 1 }), leak, "bytes of heap"},
		"unknown":       {edge(nil), leak, "no record of what it held"},
	})
	s := tell()
	edge(&base)(s)
	report := check(t, s.source, s.options)
	assert.Equal(t, int64(90<<20), report.Usage[0].PeakRSS)
	assert.Equal(t, 1, report.Usage[0].Samples)
}
