// Package history is what the processes of a fault run write down, and the judgement of it. Every
// process appends to a file of its own, one JSON record a line, before it acts on what the record says;
// a checker reads all files afterwards, together with the stream itself, and says whether the promise of
// docs/guarantees.md was kept. Nothing here speaks to a server.
package history

import "github.com/tidingsmesh/tidings/edge/wire"

// Record is one line of a history. Kind says which of the other fields are set.
type Record struct {
	Kind Kind `json:"k"`
	// Time is Unix nanoseconds by the clock of the machine, which all processes of a run share.
	Time int64 `json:"t"`

	// Who it is about: a publisher's name, a client's (unique in the run), an edge's, a fault's.
	Who  string `json:"who,omitempty"`
	Room string `json:"room,omitempty"` // kind:id

	// publish, acked, failed, event, stored
	ID   string `json:"id,omitempty"`   // the event's
	Hash string `json:"hash,omitempty"` // of type and data, see Digest
	Seq  uint64 `json:"seq,omitempty"`
	Prev uint64 `json:"prev,omitempty"`
	// acked: the stream had it already. event: the client had it already, and did not apply it again.
	Duplicate bool `json:"dup,omitempty"`
	// failed: it may be stored nevertheless.
	Unknown bool `json:"unknown,omitempty"`
	// event: it is one that a joined frame announced as replay.
	Replay bool `json:"replay,omitempty"`

	// join: since. joined: where the client stands after the replay.
	Position  *wire.Position `json:"pos,omitempty"`
	Recovered *bool          `json:"recovered,omitempty"` // joined; absent for a first join
	Count     int            `json:"n,omitempty"`         // joined: events of the replay; sample: what was counted
	// Text is a reason: of a denial, a reset, a closed connection, a failure; or a fault's evidence.
	Text string `json:"text,omitempty"`
	Code int    `json:"code,omitempty"` // down: WebSocket close code, 0 when there was none

	// client: how it behaves.
	Class Class `json:"class,omitempty"`

	// sample: what an edge's process holds, see Usage.
	Usage *Usage `json:"usage,omitempty"`
}

// Kind names a record.
type Kind string

// Records of publishers.
const (
	Publish Kind = "publish" // before it is sent: Room, ID, Hash
	Acked   Kind = "acked"   // Room, ID, Seq, Duplicate
	Failed  Kind = "failed"  // Room, ID, Unknown, Text
)

// Records of clients. A client is in a room from a Joined to a Leave, a Denied or the end of its history,
// across all its connections: while it has none it is away, and what it missed is due when it is back.
const (
	Client Kind = "client" // first of a client: Class
	Dial   Kind = "dial"   // before a connection is tried: Text is the address
	Up     Kind = "up"     // welcomed: Text is the edge's name
	Join   Kind = "join"   // before it is sent, also in hello: Room, Position (since)
	Joined Kind = "joined" // Room, Position, Recovered, Count, Text (reason)
	Denied Kind = "denied" // Room, Text (code)
	Leave  Kind = "leave"  // before it is sent: Room
	Event  Kind = "event"  // before it is applied: Room, Seq, Prev, ID, Hash, Replay, Duplicate
	Gap    Kind = "gap"    // an event that was not applied because one before it is missing: Room, Seq, Prev
	Lag    Kind = "lag"    // Room
	Down   Kind = "down"   // a connection that was up ended, or was left for another one: Code, Text
	Done   Kind = "done"   // last of a client: from here on it reads no more
)

// Records of whoever conducts the run.
const (
	// Begin and End of a fault: Who is its name, Text the target and the evidence that it took effect; End
	// with an empty Text says that there was none.
	Begin Kind = "begin"
	End   Kind = "end"
	// Healed: no fault is under way any more and none will come. Quiet: publishers have ended, too.
	Healed Kind = "healed"
	Quiet  Kind = "quiet"
	// Stored is one event of the stream, read at the end: Room, Seq, ID, Hash, Time (when it was stored).
	Stored Kind = "stored"
	// Base and Sample are what a process holds without clients at the start, and at other times; Rest
	// after all clients have left. Who is the edge.
	Base   Kind = "base"
	Sample Kind = "sample"
	Rest   Kind = "rest"
)

// Class is how a client behaves.
type Class string

const (
	Steady  Class = "steady"  // stays in its rooms and reads all the time
	Churn   Class = "churn"   // leaves and joins again and again
	Slow    Class = "slow"    // reads about 1 KiB/s while faults go on
	Expires Class = "expires" // has short tokens and gets new ones, some of them too late
)

// Usage is what a process holds at one moment.
type Usage struct {
	RSS           int64 `json:"rss"`  // bytes, of /proc
	Heap          int64 `json:"heap"` // bytes in use after a collection
	Goroutines    int   `json:"goroutines"`
	Files         int   `json:"files"`         // open descriptors
	Subscriptions int   `json:"subscriptions"` // at NATS, of the edge's connections
	Connections   int   `json:"connections"`   // WebSockets
	Rooms         int   `json:"rooms"`         // followed
	Queued        int64 `json:"queued"`        // bytes not yet sent to slow clients
}
