package subjects

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a room's two parts, in bytes.
const (
	maxKind = 32
	maxID   = 128
)

// Room is one place where events happen and clients listen, written "kind:id"
// ("campaign:42"). It is comparable and meant as a map key: two rooms are the
// same exactly when their bytes are; nothing is folded or normalised.
//
// A Room from ParseRoom, ParseSubject or ParseLive is valid. One that was put
// together by hand should pass Validate before it is used. The subject methods
// encode both parts whatever they hold, so even a Room with wildcards in it never
// spells a subject that matches another room.
type Room struct {
	Kind string // [a-z][a-z0-9-]{0,31}
	ID   string // 1 to 128 bytes of UTF-8 without control characters
}

// ParseRoom reads "kind:id". The first colon ends the kind; an id may contain
// more of them. The error wraps ErrInvalidRoom and says what is wrong. The parts
// share the memory of s.
func ParseRoom(s string) (Room, error) {
	kind, id, found := strings.Cut(s, ":")
	if !found {
		return Room{}, fmt.Errorf("%w: %.64q has no ':' between kind and id", ErrInvalidRoom, s)
	}
	r := Room{Kind: kind, ID: id}
	if err := r.Validate(); err != nil {
		return Room{}, err
	}
	return r, nil
}

// Validate reports what makes r no room. The error wraps ErrInvalidRoom.
func (r Room) Validate() error {
	if err := validateKind(r.Kind); err != nil {
		return err
	}
	return validateID(r.ID)
}

// String is the room as people write it: "campaign:42".
func (r Room) String() string { return r.Kind + ":" + r.ID }

// Subject is where events of the room are published: room.campaign.42.
func (r Room) Subject() string { return r.spell(roomPrefix, false) }

// Live is where the stream repeats what it has stored: live.21.campaign.42.
func (r Room) Live() string { return r.spell(livePrefix, true) }

// Nudge is where a publisher asks edges to look at the room now:
// nudge.21.campaign.42.
func (r Room) Nudge() string { return r.spell(nudgePrefix, true) }

// Quarantine is where an edge puts a message of the room that is no event:
// mesh.quarantine.campaign.42.
func (r Room) Quarantine() string { return r.spell(quarantinePrefix, false) }

// First tokens of the subjects that carry a room.
const (
	roomPrefix       = "room."
	livePrefix       = "live."
	nudgePrefix      = "nudge."
	quarantinePrefix = "mesh.quarantine."
)

// spell is one subject of the room, in a single allocation.
func (r Room) spell(prefix string, partitioned bool) string {
	const partition = 4 // three digits and a dot
	var b strings.Builder
	b.Grow(len(prefix) + partition + escapedLen(r.Kind) + 1 + escapedLen(r.ID))
	b.WriteString(prefix)
	if partitioned {
		var digits [partition]byte
		b.Write(strconv.AppendInt(digits[:0], int64(r.Partition()), 10))
		b.WriteByte('.')
	}
	escape(&b, r.Kind)
	b.WriteByte('.')
	escape(&b, r.ID)
	return b.String()
}

// ParseSubject is the inverse of Room.Subject. It accepts exactly what Subject
// spells for a valid room: wildcards, further tokens and any other encoding of
// the same id are refused. The error wraps ErrInvalidSubject.
func ParseSubject(subject string) (Room, error) {
	rest, ok := strings.CutPrefix(subject, roomPrefix)
	if !ok {
		return Room{}, fmt.Errorf("%w: %.64q does not begin with %q", ErrInvalidSubject, subject, roomPrefix)
	}
	return parseTokens(subject, rest)
}

// ParseLive is the inverse of Room.Live, as strict as ParseSubject; the
// partition must be the room's own. The error wraps ErrInvalidSubject.
func ParseLive(subject string) (Room, error) {
	rest, ok := strings.CutPrefix(subject, livePrefix)
	if !ok {
		return Room{}, fmt.Errorf("%w: %.64q does not begin with %q", ErrInvalidSubject, subject, livePrefix)
	}
	partition, rest, _ := strings.Cut(rest, ".")
	r, err := parseTokens(subject, rest)
	if err != nil {
		return Room{}, err
	}
	var digits [4]byte
	if partition != string(strconv.AppendInt(digits[:0], int64(r.Partition()), 10)) {
		return Room{}, fmt.Errorf("%w: %.64q has partition %.8q, its room has %d", ErrInvalidSubject, subject, partition, r.Partition())
	}
	return r, nil
}

// parseTokens reads "<kind>.<encoded id>", the end of subject.
func parseTokens(subject, tokens string) (Room, error) {
	kind, token, ok := strings.Cut(tokens, ".")
	if !ok {
		return Room{}, fmt.Errorf("%w: %.64q ends before the id of a room", ErrInvalidSubject, subject)
	}
	id, ok := unescape(token)
	if !ok {
		return Room{}, fmt.Errorf("%w: %.64q does not end in one canonically encoded id", ErrInvalidSubject, subject)
	}
	r := Room{Kind: kind, ID: id}
	if err := r.Validate(); err != nil {
		return Room{}, fmt.Errorf("%w: %.64q: %w", ErrInvalidSubject, subject, err)
	}
	return r, nil
}

func validateKind(kind string) error {
	switch {
	case kind == "":
		return fmt.Errorf("%w: the kind is empty", ErrInvalidRoom)
	case len(kind) > maxKind:
		return fmt.Errorf("%w: the kind has %d bytes, the limit is %d", ErrInvalidRoom, len(kind), maxKind)
	case kind[0] == '_':
		return fmt.Errorf("%w: kind %q: kinds that begin with '_' are the mesh's own", ErrInvalidRoom, kind)
	case kind[0] < 'a' || kind[0] > 'z':
		return fmt.Errorf("%w: kind %q does not begin with a-z", ErrInvalidRoom, kind)
	}
	for i := range len(kind) {
		if c := kind[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("%w: kind %q has a character outside a-z 0-9 - at byte %d", ErrInvalidRoom, kind, i)
		}
	}
	return nil
}

func validateID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: the id is empty", ErrInvalidRoom)
	case len(id) > maxID:
		return fmt.Errorf("%w: the id has %d bytes, the limit is %d", ErrInvalidRoom, len(id), maxID)
	case !utf8.ValidString(id):
		return fmt.Errorf("%w: id %q is not valid UTF-8", ErrInvalidRoom, id)
	}
	if i := strings.IndexFunc(id, unicode.IsControl); i >= 0 {
		return fmt.Errorf("%w: id %q has a control character at byte %d", ErrInvalidRoom, id, i)
	}
	return nil
}
