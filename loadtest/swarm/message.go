package swarm

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Parent and worker talk in JSON, one message a line: commands on the worker's standard input, reports on
// its standard output.

// reportEvery is how often a worker reports by itself.
const reportEvery = 200 * time.Millisecond

// verb is what a command asks for.
type verb string

const (
	doSetup   verb = "setup"   // the first one
	doConnect verb = "connect" // Rate
	doChurn   verb = "churn"   // Rate
	doCut     verb = "cut"
	doMark    verb = "mark"    // At
	doFinish  verb = "finish"  // Last: read without bound, report what is due
	doVerdict verb = "verdict" // Last: what did not come is missing; answered by a report with Final
)

type command struct {
	Do    verb     `json:"do"`
	Setup *setup   `json:"setup,omitempty"`
	Rate  float64  `json:"rate,omitempty"` // per second
	At    int64    `json:"at,omitempty"`   // Unix ns
	Last  []uint64 `json:"last,omitempty"` // number of the last event of each room
}

// setup is what a worker needs to know once.
type setup struct {
	Dialect   string   `json:"dialect"`
	Servers   []server `json:"servers"`
	Rooms     []string `json:"rooms"`
	Clients   []Client `json:"clients"`
	First     int      `json:"first"` // index of the first client among all
	Reconnect bool     `json:"reconnect"`
	Haste     int64    `json:"haste,omitempty"` // ns
	Spread    bool     `json:"spread"`          // over source addresses
}

// server is a resolved URL.
type server struct {
	Address   string `json:"address"` // ip:port
	Authority string `json:"authority"`
	Path      string `json:"path"`
}

// report is what a worker says: sums since Start or Mark, and what was recorded since its last report.
type report struct {
	Error  string `json:"error,omitempty"` // it cannot go on
	Counts counts `json:"counts"`
	// Reset: the window has begun since the last report, what Latency and Reconnect held before is over.
	Reset     bool   `json:"reset,omitempty"`
	JoinTime  []byte `json:"join_time,omitempty"` // encoded histograms
	Latency   []byte `json:"latency,omitempty"`
	Reconnect []byte `json:"reconnect,omitempty"`

	// Due are the rooms of clients that have not come to the end that a finish command named; meaningless
	// before one, which Finishing tells.
	Due       int    `json:"due,omitempty"`
	Finishing bool   `json:"finishing,omitempty"`
	Moves     uint64 `json:"moves"` // changes whenever something happens
	Final     bool   `json:"final,omitempty"`
}

// drainHistogram encodes a histogram and empties it. It returns nil for an empty one.
func drainHistogram(h *hdrhistogram.Histogram) ([]byte, error) {
	if h.TotalCount() == 0 {
		return nil, nil
	}
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	h.Reset()
	return b, err
}

// addHistogram adds what drainHistogram returned.
func addHistogram(to *hdrhistogram.Histogram, encoded []byte) error {
	if len(encoded) == 0 {
		return nil
	}
	h, err := hdrhistogram.Decode(encoded)
	if err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	to.Merge(h)
	return nil
}
