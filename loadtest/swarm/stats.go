package swarm

import (
	"github.com/HdrHistogram/hdrhistogram-go"
)

// Stats is what all clients have seen. Where "window" is said, it counts from Mark on, and from Start
// before that; everything else counts from Start.
type Stats struct {
	// Attempted clients have begun to connect. Open ones have a connection now, Joined ones are in all
	// their rooms now. Failed ones are not, after their last try failed.
	Attempted, Open, Joined, Failed int
	// Failures counts tries that failed and connections that ended, by reason: "refused", "timeout",
	// "HTTP 403", "close 4401 token rejected", "denied forbidden", [ReasonFiles] and the others.
	Failures map[string]int

	// Received are the events of the window, those meant to be sent after it began, as often as they came.
	// BytesIn are all bytes that were read in it, handshakes and frame headers included.
	Received, BytesIn uint64
	// Missing, Twice and OutOfOrder are about each room of each client. Missing is exact after Finish;
	// before that, it counts the gaps that are open. An event that came after a later one is OutOfOrder.
	Missing, Twice, OutOfOrder uint64
	// Reconnects are the returns of clients, into all their rooms, in the window.
	Reconnects int
	// NotRecovered counts the times that a server said that continuity was lost. What was missed there is
	// not in Missing.
	NotRecovered int
	// LoopsSuspected are clients that asked for one room more than 12 times within a minute, but for Churn.
	LoopsSuspected int

	// JoinTime is from the start of a connection to the last room joined, of first connections. Latency is
	// from the time at which an event of the window was meant to be sent until it was read. Reconnect is
	// from the loss of a connection, in the window, until all rooms were joined again. All in µs.
	JoinTime, Latency, Reconnect *hdrhistogram.Histogram

	// BusyShare is the share of the window in which the busiest worker was not waiting. Above 0.9 the
	// harness measures itself.
	BusyShare float64
}

// highest is the largest time that a histogram tells from larger ones, an hour in µs.
const highest = int64(3_600_000_000)

// newHistogram keeps µs with three significant digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, highest, 3) }

// record bounds a value instead of losing it.
func record(h *hdrhistogram.Histogram, microseconds int64) {
	_ = h.RecordValue(min(max(microseconds, 1), highest)) // fails only outside these bounds
}

// counts are the sums of a worker; see [Stats].
type counts struct {
	Attempted      int            `json:"attempted"`
	Open           int            `json:"open"`
	Joined         int            `json:"joined"`
	Failed         int            `json:"failed"`
	Failures       map[string]int `json:"failures"`
	Received       uint64         `json:"received"`
	BytesIn        uint64         `json:"bytes_in"`
	Missing        uint64         `json:"missing"`
	Twice          uint64         `json:"twice"`
	OutOfOrder     uint64         `json:"out_of_order"`
	Reconnects     int            `json:"reconnects"`
	NotRecovered   int            `json:"not_recovered"`
	LoopsSuspected int            `json:"loops_suspected"`
	Busy           float64        `json:"busy"` // share of the window
}

// add sums up one worker.
func (s *Stats) add(c *counts) {
	s.Attempted += c.Attempted
	s.Open += c.Open
	s.Joined += c.Joined
	s.Failed += c.Failed
	for reason, n := range c.Failures {
		s.Failures[reason] += n
	}
	s.Received += c.Received
	s.BytesIn += c.BytesIn
	s.Missing += c.Missing
	s.Twice += c.Twice
	s.OutOfOrder += c.OutOfOrder
	s.Reconnects += c.Reconnects
	s.NotRecovered += c.NotRecovered
	s.LoopsSuspected += c.LoopsSuspected
	s.BusyShare = max(s.BusyShare, c.Busy)
}
