/** Handlers that may be other functions in each render. */
import { useEffect, useInsertionEffect, useMemo } from "react";
import type { EventHandler, EventMap } from "../events.js";
import { useTidings } from "./provider.js";

/**
 * Calls the handler for each event of a type, or with `*` of every type, in all rooms that the client is in; it joins none. The
 * handler may be another function in each render.
 *
 * ```tsx
 * useWebSocketSubscription("settlement_updated", ({ data }, { room }) => toast(`${data.id} of ${room} has changed`));
 * ```
 */
export function useWebSocketSubscription(type: "*", handler: EventHandler): void;
export function useWebSocketSubscription<
  Events extends object = EventMap,
  Type extends keyof Events & string = keyof Events & string,
>(type: Type, handler: EventHandler<Type, Events[Type]>): void;
export function useWebSocketSubscription(type: string, handler: EventHandler<any, any>): void {
  const client = useTidings<any>();
  const latest = useLatest(handler, client, type);
  useEffect(() => client.on(type, (event, delivery) => latest.current(event, delivery)), [latest]);
}

/**
 * Holds the value of the newest render that was committed. Other keys make another holder, and the former one keeps what it had:
 * what still comes for old keys does not reach a function that was made for new ones.
 *
 * An insertion effect writes it: before any effect of any component can make something happen, never in a render that React may
 * throw away, and on the server, where a layout effect has React 18 warn, not at all.
 */
export function useLatest<Value>(value: Value, ...keys: unknown[]): { readonly current: Value } {
  const latest = useMemo(() => ({ current: value }), keys);
  useInsertionEffect(() => {
    latest.current = value;
  });
  return latest;
}
