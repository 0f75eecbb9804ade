package authz

import (
	"fmt"
	"strings"

	"github.com/tidingsmesh/tidings/subjects"
)

const wholeKind = "*"

// Pattern names rooms: one room ("campaign:42") or all rooms of a kind ("settlement:*"). There is no other wildcard, so
// an id with a '*' in it can only be reached through its whole kind.
//
// A Pattern is comparable, costs the two words of a string, and is made by ParsePattern; the zero Pattern matches
// nothing. It shares the memory of the string it was parsed from.
type Pattern struct {
	text string // canonical "kind:id" or "kind:*"; a kind has no ':'
}

// ParsePattern reads a pattern. What is no room is no pattern either, so the mesh's own kinds, those that begin with '_',
// cannot be granted. The error wraps ErrPattern.
func ParsePattern(s string) (Pattern, error) {
	room, err := subjects.ParseRoom(s)
	if err != nil {
		return Pattern{}, fmt.Errorf("%w %.64q: %w", ErrPattern, s, err)
	}
	if room.ID != wholeKind && strings.Contains(room.ID, wholeKind) {
		return Pattern{}, fmt.Errorf("%w %.64q: '*' stands for all rooms of a kind, as in %s:*, not for part of an id", ErrPattern, s, room.Kind)
	}
	return Pattern{text: s}, nil // a room has exactly one spelling
}

// ParsePatterns reads a list of patterns and stops at the first bad one.
func ParsePatterns(list []string) ([]Pattern, error) {
	patterns := make([]Pattern, 0, len(list))
	for _, s := range list {
		p, err := ParsePattern(s)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

// Match reports whether the pattern names the room. It compares decoded values, never text as it came from a client.
func (p Pattern) Match(room subjects.Room) bool {
	kind, id, ok := strings.Cut(p.text, ":")
	return ok && kind == room.Kind && (id == wholeKind || id == room.ID)
}

// String returns the canonical text, which ParsePattern reads back to the same Pattern.
func (p Pattern) String() string { return p.text }
