// Made by `tidings events gen`. Do not edit.

/** EntityUpdated tells that one entity of any type has changed. A client with the entity in its cache applies the changes without a request. */
export interface EntityUpdated {
  /** The type of the entity, as the API names it: "Campaign", "Party". */
  entityType: string;
  /** The id of the entity. */
  id: string;
  /** The fields that changed, with their new values. Absent when the publisher does not know them: the client then refetches the entity. */
  changes?: Record<string, unknown>;
  /** The version of the entity after the change. Versions of one entity only grow, so a client can drop what is older than what it has. Absent when the entity has no versions. */
  version?: number;
}

/** SettlementUpdated tells that a settlement has changed. */
export interface SettlementUpdated {
  /** The id of the settlement. */
  id: string;
  /** The campaign that the settlement belongs to. */
  campaignId?: string;
  /** The fields that changed, with their new values. Absent when the publisher does not know them: the client then refetches the settlement. */
  changes?: Record<string, unknown>;
  /** The version of the settlement after the change. Versions of one settlement only grow. Absent when it has no versions. */
  version?: number;
}

/** EntityRef names one entity, or all entities of a type. */
export interface EntityRef {
  /** The type of the entity, as the API names it. */
  entityType: string;
  /** The id of the entity. Absent: all entities of the type. */
  id?: string;
}

/** StateInvalidated tells that something clients may have in their caches is no longer true, without saying what is true now. With neither entities nor queries, everything that a client holds for the room is in doubt. */
export interface StateInvalidated {
  /** The entities in doubt. */
  entities?: Array<EntityRef>;
  /** The names of the queries in doubt, as the client's API layer knows them. */
  queries?: Array<string>;
  /** Why, for logs and for people. Programs do not decide by it. */
  reason?: string;
}

/** StructureUpdated tells that a structure has changed. */
export interface StructureUpdated {
  /** The id of the structure. */
  id: string;
  /** The fields that changed, with their new values. Absent when the publisher does not know them: the client then refetches the structure. */
  changes?: Record<string, unknown>;
  /** The settlement that the structure stands in. */
  settlementId?: string;
  /** The version of the structure after the change. Versions of one structure only grow. Absent when it has no versions. */
  version?: number;
}

/** WorldTimeChanged tells what time it is in the world of a campaign, and how fast it passes. The time to show at a moment now is worldTime + rate × (now − at). */
export interface WorldTimeChanged {
  /** The time in the world. */
  worldTime: string;
  /** The moment in real time at which it was worldTime. Absent: the time of the event. */
  at?: string;
  /** What the world time was before, when it was set and did not simply pass. */
  previousWorldTime?: string;
  /** Seconds of world time per second of real time. Absent or 0: the clock stands still. */
  rate?: number;
}

/** The data of each event type of the built-in catalogue. */
export interface Catalogue {
  entity_updated: EntityUpdated;
  settlement_updated: SettlementUpdated;
  state_invalidated: StateInvalidated;
  structure_updated: StructureUpdated;
  world_time_changed: WorldTimeChanged;
}
