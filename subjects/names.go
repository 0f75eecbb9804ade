package subjects

import "fmt"

// The stream of rooms and the subjects around it. A subject has a room in its
// last two tokens, and the partition of that room before them where one edge may
// later want to take whole partitions instead of single rooms.
const (
	// StreamName is the JetStream stream that holds every room's events.
	StreamName = "ROOMS"

	// RoomWildcard is what the stream captures: rooms, fences and marks.
	RoomWildcard = "room.>"

	// RepublishSource and RepublishDestination make the server repeat every
	// stored event on the room's live subject. Room.Live spells the same.
	RepublishSource      = "room.*.*"
	RepublishDestination = "live.{{partition(256,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"

	// Partitions is the number of partitions in RepublishDestination. It is
	// part of every live subject and never changes once a mesh has run.
	Partitions = 256

	// LiveWildcard, NudgeWildcard and QuarantineWildcard match the subjects of
	// all rooms, for permissions and for tools that watch.
	LiveWildcard       = "live.>"
	NudgeWildcard      = "nudge.>"
	QuarantineWildcard = "mesh.quarantine.>"
)

// The kinds that the mesh keeps for itself. ParseRoom refuses them, so neither
// a client nor a grant can ever name one.
const (
	fenceKind = "_fence"
	markKind  = "_mark"
)

// maxEdge is the length limit of an edge name in bytes.
const maxEdge = 64

// Fence is the subject on which an edge publishes a marker whose ack gives it a
// committed sequence of the stream. An edge name is what ValidateEdge accepts;
// any other byte is encoded, so the result is a literal subject in any case.
func Fence(edge string) string {
	return Room{Kind: fenceKind, ID: edge}.Subject()
}

// Mark is the subject on which an edge publishes the messages that prove its
// own way through the stream and back. The rules of Fence apply.
func Mark(edge string) string {
	return Room{Kind: markKind, ID: edge}.Subject()
}

// ValidateEdge reports whether name can name an edge: 1 to 64 of the characters
// A-Z, a-z, 0-9, '_' and '-'. The error wraps ErrInvalidEdge.
func ValidateEdge(name string) error {
	if name == "" || len(name) > maxEdge {
		return fmt.Errorf("%w: %d characters, want 1 to %d", ErrInvalidEdge, len(name), maxEdge)
	}
	for i := range len(name) {
		if !safe(name[i]) {
			return fmt.Errorf("%w: %q has a character outside A-Z a-z 0-9 _ - at byte %d", ErrInvalidEdge, name, i)
		}
	}
	return nil
}
