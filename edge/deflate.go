package edge

import (
	"bytes"

	"github.com/tidingsmesh/tidings/edge/frames"
	"github.com/tidingsmesh/tidings/mesh/continuity"
)

// deflate returns the frames of entries, which are together in plain, with those of at least from bytes
// compressed. It returns plain itself if none gains by it.
//
// It is called at most once per event and shard, and only for events that go out live: what a client gets
// for itself alone, a replay or a control frame, is sent as it is. See ADR 10.
func deflate(entries []continuity.Entry, plain []byte, from int) []byte {
	buf := make([]byte, 0, len(plain))
	for i := range entries {
		if frame := entries[i].Frame; len(frame) < from {
			buf = append(buf, frame...)
		} else {
			buf = frames.AppendDeflated(buf, frame)
		}
	}
	if len(buf) == len(plain) {
		return plain
	}
	return bytes.Clone(buf) // a slow client's backlog may hold it for long
}
