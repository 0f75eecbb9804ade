package continuity

// Position is a client's claim of how far it has read a room. It comes back from the client and is
// therefore believed only as far as [Room.Resume] and [Room.Fetched] can prove it.
type Position struct {
	// Epoch names the life of the stream: a recreated stream starts at sequence 1 again.
	Epoch string
	// Seq is the stream sequence of the last event applied, or of a fence when the room was empty.
	// 0 is no position.
	Seq uint64
	// ID is the id of the event at Seq; empty when Seq is a fence. It guards against a sequence
	// that was used twice because the stream rolled back.
	ID string
	// TS is the server time, in Unix milliseconds, at which the position was last known to be the
	// newest of its room. Keeping it fresh lets a quiet room outlive the stream's retention.
	TS int64
}

// Reason tells why continuity could not be proved. The set is closed: it goes to browsers and into
// metric labels.
type Reason string

const (
	// ReasonExpired: the position is older than the stream keeps events.
	ReasonExpired Reason = "expired"
	// ReasonEpoch: the position belongs to another history: the stream was recreated, or rolled
	// back and wrote something else at that sequence.
	ReasonEpoch Reason = "epoch"
	// ReasonBehind: the position is beyond everything the stream has.
	ReasonBehind Reason = "behind"
	// ReasonTruncated: more events followed the position than the room keeps, or the stream ran
	// into its size limit.
	ReasonTruncated Reason = "truncated"
	// ReasonPosition: the position is no position, or contradicts itself.
	ReasonPosition Reason = "position"
)

// Reasons lists every Reason, for metrics that want to start at zero.
func Reasons() []Reason {
	return []Reason{ReasonExpired, ReasonEpoch, ReasonBehind, ReasonTruncated, ReasonPosition}
}

// Limits is what the stream promises to keep; the proof rests on it.
type Limits struct {
	// Epoch of the stream, see [Position].
	Epoch string
	// History is the number of messages kept of a room (MaxMsgsPerSubject).
	History int
	// MaxAge is how long a message is kept, in milliseconds; 0 is for ever.
	MaxAge int64
}

// slack is subtracted from MaxAge, and added where clocks of two machines are compared: one minute,
// or a tenth of MaxAge when that is shorter.
func (l Limits) slack() int64 {
	const minute = 60_000
	if l.MaxAge > 0 && l.MaxAge/10 < minute {
		return l.MaxAge / 10
	}
	return minute
}

// FirstStored is the oldest message of the whole stream. A room's message can have been removed by
// the stream's size limit only if everything older than it is gone too.
type FirstStored struct {
	Seq  uint64
	Time int64 // Unix milliseconds
}
