package authz

import (
	"strings"

	"github.com/tidingsmesh/tidings/subjects"
)

// Rules decide who may join which room. The zero value has no public rooms. Rules are safe for concurrent use as long as
// nobody changes them.
type Rules struct {
	// Public rooms may be joined by every principal, whatever its token grants.
	Public []Pattern
}

// Decision is the answer to one question of access.
type Decision struct {
	Allowed bool

	// Rule names what decided: "public broadcast:*", "grant campaign:42", "no grant" or "reserved kind". It is meant for
	// logs. It is no metric label, because it may hold a room, and no answer to a client, who must not learn the
	// difference between a room that is forbidden and one that does not exist.
	Rule string
}

// MayJoin decides whether the principal may join the room. It looks at no clock: that the principal's token is still in
// force is the caller's matter (Verifier.Deadline).
func (r Rules) MayJoin(p Principal, room subjects.Room) Decision {
	if strings.HasPrefix(room.Kind, "_") {
		return Decision{Rule: "reserved kind"}
	}
	for _, pattern := range r.Public {
		if pattern.Match(room) {
			return Decision{Allowed: true, Rule: "public " + pattern.String()}
		}
	}
	for _, pattern := range p.Grants {
		if pattern.Match(room) {
			return Decision{Allowed: true, Rule: "grant " + pattern.String()}
		}
	}
	return Decision{Rule: "no grant"}
}
