package subjects

import "time"

// Event types of the built-in catalogue.
const (
	EntityUpdatedType     = "entity_updated"
	StateInvalidatedType  = "state_invalidated"
	WorldTimeChangedType  = "world_time_changed"
	SettlementUpdatedType = "settlement_updated"
	StructureUpdatedType  = "structure_updated"
)

// Typed is the data of an event that knows the event's type. Every type of the
// catalogue is one; an application's own types can be.
type Typed interface {
	// EventType is the type attribute of the event: 1 to MaxIDBytes bytes.
	EventType() string
}

// Catalogue lists the built-in event types, each as a zero value. Their JSON
// Schemas in subjects/schema/catalogue are generated from these types and from the
// comments on their fields; the TypeScript types follow from the schemas. Readers
// accept fields that they do not know, so a field may be added at any time, but
// none may change its meaning.
func Catalogue() []Typed {
	return []Typed{EntityUpdated{}, StateInvalidated{}, WorldTimeChanged{}, SettlementUpdated{}, StructureUpdated{}}
}

// EntityUpdated tells that one entity of any type has changed. A client with the
// entity in its cache applies the changes without a request.
type EntityUpdated struct {
	// The type of the entity, as the API names it: "Campaign", "Party".
	EntityType string `json:"entityType"`
	// The id of the entity.
	ID string `json:"id"`
	// The version of the entity after the change. Versions of one entity only grow, so a client can drop what is older than what it has. Absent when the entity has no versions.
	Version uint64 `json:"version,omitempty"`
	// The fields that changed, with their new values. Absent when the publisher does not know them: the client then refetches the entity.
	Changes map[string]any `json:"changes,omitempty"`
}

// StateInvalidated tells that something clients may have in their caches is no
// longer true, without saying what is true now. With neither entities nor
// queries, everything that a client holds for the room is in doubt.
type StateInvalidated struct {
	// The entities in doubt.
	Entities []EntityRef `json:"entities,omitempty"`
	// The names of the queries in doubt, as the client's API layer knows them.
	Queries []string `json:"queries,omitempty"`
	// Why, for logs and for people. Programs do not decide by it.
	Reason string `json:"reason,omitempty"`
}

// EntityRef names one entity, or all entities of a type.
type EntityRef struct {
	// The type of the entity, as the API names it.
	EntityType string `json:"entityType"`
	// The id of the entity. Absent: all entities of the type.
	ID string `json:"id,omitempty"`
}

// WorldTimeChanged tells what time it is in the world of a campaign, and how fast
// it passes. The time to show at a moment now is worldTime + rate × (now − at).
type WorldTimeChanged struct {
	// The time in the world.
	WorldTime time.Time `json:"worldTime"`
	// Seconds of world time per second of real time. Absent or 0: the clock stands still.
	Rate float64 `json:"rate,omitempty"`
	// The moment in real time at which it was worldTime. Absent: the time of the event.
	At time.Time `json:"at,omitzero"`
	// What the world time was before, when it was set and did not simply pass.
	PreviousWorldTime time.Time `json:"previousWorldTime,omitzero"`
}

// SettlementUpdated tells that a settlement has changed.
type SettlementUpdated struct {
	// The id of the settlement.
	ID string `json:"id"`
	// The campaign that the settlement belongs to.
	CampaignID string `json:"campaignId,omitempty"`
	// The version of the settlement after the change. Versions of one settlement only grow. Absent when it has no versions.
	Version uint64 `json:"version,omitempty"`
	// The fields that changed, with their new values. Absent when the publisher does not know them: the client then refetches the settlement.
	Changes map[string]any `json:"changes,omitempty"`
}

// StructureUpdated tells that a structure has changed.
type StructureUpdated struct {
	// The id of the structure.
	ID string `json:"id"`
	// The settlement that the structure stands in.
	SettlementID string `json:"settlementId,omitempty"`
	// The version of the structure after the change. Versions of one structure only grow. Absent when it has no versions.
	Version uint64 `json:"version,omitempty"`
	// The fields that changed, with their new values. Absent when the publisher does not know them: the client then refetches the structure.
	Changes map[string]any `json:"changes,omitempty"`
}

// EventType is EntityUpdatedType.
func (EntityUpdated) EventType() string { return EntityUpdatedType }

// EventType is StateInvalidatedType.
func (StateInvalidated) EventType() string { return StateInvalidatedType }

// EventType is WorldTimeChangedType.
func (WorldTimeChanged) EventType() string { return WorldTimeChangedType }

// EventType is SettlementUpdatedType.
func (SettlementUpdated) EventType() string { return SettlementUpdatedType }

// EventType is StructureUpdatedType.
func (StructureUpdated) EventType() string { return StructureUpdatedType }
