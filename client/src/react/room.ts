/** A room that a component follows. */
import { useMemo, useSyncExternalStore } from "react";
import type { Client } from "../client.js";
import type { TidingsError } from "../errors.js";
import type { EventHandler, EventMap } from "../events.js";
import type { Reset, RoomOptions, RoomState } from "../room.js";
import { useLatest } from "./handler.js";
import { useTidings } from "./provider.js";

/** What a component does when something happens in a room: a handler by event type, and what a room has besides events. */
export type RoomHandlers<Events extends object = EventMap> = {
  readonly [Type in keyof Events & string]?: EventHandler<Type, Events[Type]> | undefined;
} & {
  /** Gets the events of every type, after the handler of the type. */
  readonly "*"?: EventHandler | undefined;
  /** Continuity is lost: fetch the room's state again, within `spreadMs`. */
  readonly onReset?: ((reset: Reset) => void) | undefined;
  /** The room is in another state. */
  readonly onState?: ((state: RoomState) => void) | undefined;
};

/** A room at one moment. Never changes: another moment is another object. */
export interface RoomStatus {
  /** `idle` without a name; `joining` until there is an answer, and on the server. */
  readonly state: RoomState;
  /** Why the room is denied or failed. */
  readonly error?: TidingsError | undefined;
}

/**
 * Is in a room as long as the component is mounted; no name (null or undefined) is no room. Another name leaves the one and joins
 * the other. Handlers may be other functions in each render. The component is rendered again when the room's state changes, not
 * for events: what those change, handlers put into a state or a cache.
 *
 * `since` counts at the join: a position that was taken before the page's data was read, so that nothing falls between the two.
 * What was hidden by `<Activity>` reads on from where it was when it is shown again.
 *
 * ```tsx
 * const { state, error } = useRoom(`campaign:${id}`, {
 *   settlement_updated: ({ data }) => setName(data.id, data.changes?.name),
 *   onReset: ({ spreadMs }) => setTimeout(refetch, Math.random() * spreadMs),
 * }, { since: page.position });
 * ```
 */
export function useRoom<Events extends object = EventMap>(
  name: string | null | undefined,
  handlers?: NoInfer<RoomHandlers<Events>>,
  options?: RoomOptions,
): RoomStatus {
  const client = useTidings();
  const latest = useLatest((handlers ?? {}) as Handlers, client, name);
  const [follow, status] = useMemo(() => following(client, name, latest, options?.since), [latest]);
  return useSyncExternalStore(follow, status, status);
}

/** `useRoom` of the rooms of one kind, which are named by an id. */
export type UseRoomOfKind = <Events extends object = EventMap>(
  id: string | number | null | undefined,
  handlers?: NoInfer<RoomHandlers<Events>>,
  options?: RoomOptions,
) => RoomStatus;

const ofKind = (kind: string): UseRoomOfKind => (id, handlers, options) =>
  useRoom(id == null ? id : `${kind}:${id}`, handlers, options);

/**
 * `useRoom` of `campaign:<id>`.
 *
 * ```tsx
 * useCampaignSubscription(campaign?.id, { world_time_changed: ({ data }) => setWorldTime(data.worldTime) });
 * ```
 */
export const useCampaignSubscription: UseRoomOfKind = /* @__PURE__ */ ofKind("campaign");

/**
 * `useRoom` of `settlement:<id>`.
 *
 * ```tsx
 * useSettlementSubscription(settlement.id, { settlement_updated: ({ data }) => merge(data.changes) });
 * ```
 */
export const useSettlementSubscription: UseRoomOfKind = /* @__PURE__ */ ofKind("settlement");

/**
 * `useRoom` of `structure:<id>`.
 *
 * ```tsx
 * useStructureSubscription(selected, { structure_updated: ({ data }) => merge(data.changes) });
 * ```
 */
export const useStructureSubscription: UseRoomOfKind = /* @__PURE__ */ ofKind("structure");

// What an edge says is no type for which there can be a handler. Events called so reach `*` only.
const reserved = /^(\*|on[A-Z])/;

type Handlers = Readonly<Record<string, ((...args: any[]) => void) | undefined>>;

/** What `useSyncExternalStore` takes to be in a room: subscribing is joining, and the room's status is the snapshot. */
function following(
  client: Client,
  name: string | null | undefined,
  latest: { readonly current: Handlers },
  since: RoomOptions["since"],
): [follow: (changed: () => void) => () => void, status: () => RoomStatus] {
  let status: RoomStatus = { state: name == null ? "idle" : "joining" };
  const call = (key: string, ...args: any[]): void => {
    if (Object.hasOwn(latest.current, key)) latest.current[key]?.(...args);
  };
  const follow = (changed: () => void): (() => void) => {
    if (name == null) return () => {};
    const room = client.room(name, { since });
    const look = (): void => {
      const { state, error } = room;
      if (state == status.state && error == status.error) return;
      status = { state, error };
      changed();
    };
    look();
    room.on("*", (event, delivery) => reserved.test(event.type) || call(event.type, event, delivery));
    room.on("*", (event, delivery) => call("*", event, delivery));
    room.onReset((reset) => call("onReset", reset));
    const off = room.onState((state) => {
      look();
      call("onState", state);
    });
    return () => {
      off();
      since = room.position ?? since;
      room.leave();
    };
  };
  return [follow, () => status];
}
