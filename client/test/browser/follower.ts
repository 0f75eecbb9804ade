/** What the tests' pages have in common: clients that follow a room, and a record of all that came of it. */
import { sockets } from "./sockets.js";
import {
  createClient,
  type ClientOptions,
  type ConnectionState,
  type EventMap,
  type Observation,
  type Reset,
  type RoomState,
  type TokenReason,
} from "@tidings/client";

/** What the page is told in its address. */
export interface PageOptions {
  readonly url: readonly string[];
  readonly room: string;
  /** Clients in the page, each with a connection of its own. Default 1. */
  readonly clients?: number;
  /** Seconds that a token is good for. Default 3600. */
  readonly ttl?: number;
}

/** Something became so, at a Date.now(). */
interface Moment<State> {
  readonly state: State;
  readonly at: number;
}

/** What this page is told. */
export const { url, room, clients = 1, ttl = 3600 }: PageOptions = JSON.parse(decodeURIComponent(location.search.slice(1)));

const life: string[] = [];
for (const type of ["pagehide", "pageshow"] as const) {
  addEventListener(type, ({ persisted }) => persisted && life.push(type));
}
for (const type of ["freeze", "resume", "visibilitychange"]) {
  document.addEventListener(type, () => life.push(type == "visibilitychange" ? document.visibilityState : type));
}
for (const type of ["online", "offline"]) addEventListener(type, () => life.push(type));

/** A client, and what happens to it. */
export function connect(more: Partial<ClientOptions> = {}) {
  const connections: Moment<ConnectionState>[] = [];
  const observed: (Omit<Observation, "error"> & { error?: string; at: number })[] = [];
  const tokens: TokenReason[] = [];
  const client = createClient<EventMap & { counted: { n: number } }>({
    url,
    async token({ reason, signal }) {
      tokens.push(reason);
      return (await fetch(`/token?ttl=${ttl}`, { signal, cache: "no-store" })).text();
    },
    observe(observation) {
      const error = "error" in observation && { error: observation.error.code };
      observed.push({ ...observation, ...error, at: Date.now() } as (typeof observed)[number]);
    },
    ...more,
  });
  client.subscribe(({ state }) => connections.push({ state, at: Date.now() }));
  const see = () => {
    const { error, ...connection } = client.connection;
    return { connection: { ...connection, error: error?.code }, connections, observed, tokens };
  };
  return { client, see };
}

/** A client in the room, and what it gets there. */
function follow(more: Partial<ClientOptions>) {
  const { client, see } = connect(more);
  const numbers: number[] = [];
  const resets: Reset[] = [];
  const rooms: Moment<RoomState>[] = [];
  const handle = client.room(room);
  handle.on("counted", ({ data }) => numbers.push(data.n));
  handle.onReset((reset) => resets.push(reset));
  handle.onState((state) => rooms.push({ state, at: Date.now() }));
  return () => ({ ...see(), state: handle.state, numbers, resets, rooms });
}

/** Follows the room, and lets the test see. */
export function followRoom(more: Partial<ClientOptions> = {}): void {
  const followers = Array.from({ length: clients }, () => follow(more));
  show(() => ({ followers: followers.map((see) => see()) }));
}

/** Lets the test see this, beside what every page shows. */
export function show(see: () => object): void {
  Object.assign(globalThis, { see: () => ({ life, sockets, ...see() }) });
}

/** What every page has seen up to now. */
export interface PageSight {
  /** What the browser told the page about itself and the network. */
  readonly life: readonly string[];
  readonly sockets: typeof sockets;
}

/** What a page that follows the room has seen up to now. */
export interface Sight extends PageSight {
  readonly followers: ReturnType<ReturnType<typeof follow>>[];
}
