/**
 * `@tidings/client/zustand`: the world time of each campaign in a store of Zustand 4.5 or 5.
 *
 * ```ts
 * import { create } from "zustand";
 * import { connectZustand, worldNow, type WorldTimes } from "@tidings/client/zustand";
 *
 * const useWorld = create<WorldTimes>(() => ({ worldTimes: {} })); // or a slice of a larger store
 * connectZustand(tidings, useWorld);
 *
 * const time = useWorld((state) => state.worldTimes["campaign:42"]);
 * new Date(worldNow(time)); // as often as it is to be shown: the store changes only when the clock is set
 * ```
 *
 * @packageDocumentation
 */
import type { Catalogue } from "../catalogue.js";
import type { Client } from "../client.js";
import type { EventMap } from "../events.js";
import { pause, quiet } from "../refetch/pause.js";

/** What time it is in a world: a moment there, the moment here at which it was that, and how fast it passes. */
export interface WorldTime {
  /** Milliseconds since 1970, of the world's time. */
  readonly worldTime: number;
  /** Seconds of world time per second; 0: the clock stands still. */
  readonly rate: number;
  /** Milliseconds since 1970, as `Date.now()` counts them. */
  readonly at: number;
}

/** The part of a store's state that is kept up to date. */
export interface WorldTimes {
  /** By room: `campaign:42`. A room is in here after its first `world_time_changed`, or when the program sets it. */
  readonly worldTimes: Readonly<Record<string, WorldTime>>;
}

/** The part of Zustand's store that is used. */
export interface WorldTimeStore {
  getState(): WorldTimes;
  setState(state: WorldTimes): void;
}

/**
 * Has the store follow the world time of all rooms that the client is in, until `stop()` of what is returned is called: one
 * `setState` for all events of a burst, and none while the page is hidden. A time that cannot be read is passed over.
 */
export function connectZustand<Events extends object = EventMap>(
  client: Client<Events>,
  store: WorldTimeStore,
): { stop(): void } {
  let news: Record<string, WorldTime> | undefined; // since the last flush

  async function flush(): Promise<void> {
    await pause(quiet);
    const worldTimes = { ...store.getState().worldTimes, ...news };
    if (news) store.setState({ worldTimes });
    news = undefined;
  }

  const end = (client as Client<any> as Client<Catalogue>).on(
    "world_time_changed",
    ({ data, time }, { room }) => {
      const read = readWorldTime(data, time);
      if (!read) return;
      if (!news) void flush();
      news = { ...news, [room]: read };
    },
    { again: true },
  );
  return {
    stop() {
      end();
      news = undefined;
    },
  };
}

/**
 * The time that an API or an event gives, as a store takes it; `undefined` when it cannot be read. `at` is when it was that,
 * unless the data says so.
 */
export function readWorldTime(data: Catalogue["world_time_changed"], at: string): WorldTime | undefined {
  const time = { worldTime: Date.parse(data?.worldTime), rate: +(data?.rate ?? 0), at: Date.parse(data?.at ?? at) };
  return isFinite(time.worldTime + time.rate + time.at) ? time : undefined;
}

/** What time it is in the world now, in milliseconds since 1970. `undefined` as long as that is not known. */
export function worldNow(time: WorldTime, now?: number): number;
export function worldNow(time: WorldTime | undefined, now?: number): number | undefined;
export function worldNow(time: WorldTime | undefined, now = Date.now()): number | undefined {
  return time && time.worldTime + time.rate * (now - time.at);
}
