/** The fake server. */
import type { EventMap, TidingsEvent } from "../events.js";
import type { ClientFrame, ResetReason, RoomRef } from "../frames.js";
import type { Position } from "../position.js";
import type { Transport } from "../transport.js";
import { History } from "./history.js";
import { Session, type FakeConnection } from "./session.js";

/** Options of a fake server. */
export interface FakeServerOptions {
  /** Events kept per room; whoever has missed more gets a reset. Default: 256, as at an edge. */
  readonly history?: number;
  /** Seconds that a token is good for; a client asks for another one after 70 to 80 % of them. Default: 3600 for each. */
  readonly ttl?: number | ((token: string) => number);
  /** Milliseconds over which a reset asks clients to spread their requests. Default: 0, where an edge says 500 or more. */
  readonly spreadMs?: number;
}

/** The attributes of an event beside its type and data; what is left out is made up. */
export type EventAttributes = Partial<Pick<TidingsEvent, "id" | "source" | "subject" | "time">>;

/** What becomes of who connects. */
type Gate = "open" | "held" | { readonly code: number; readonly reason: string };

/**
 * A server in the memory of a test. It keeps the protocol as an edge does: it stores what is delivered, replays what a client
 * has missed, and says so when it cannot. Events arrive within the call that delivers them; what a client asks for is answered
 * in a microtask. The same calls have the same effects, with fake timers and with real ones; the only timer is that of `drain`.
 *
 * @typeParam Events - The data of each event type, for what `deliver` takes.
 */
export class FakeServer<Events extends object = EventMap> {
  readonly #options: Required<FakeServerOptions>;
  readonly #sessions = new Set<Session>();
  readonly #histories = new Map<string, History>();
  readonly #denials = new Map<string, string>();
  readonly #shown = new Set<string>(); // tokens
  readonly #rejected = new Set<string>(); // tokens
  readonly #heard: Session[] = []; // all there ever were
  #gate: Gate = "open";
  #seq = 1; // of the newest event of all rooms

  /** @internal */
  constructor({ history = 256, ttl = 3600, spreadMs = 0 }: FakeServerOptions = {}) {
    this.#options = { history, ttl, spreadMs };
  }

  /** What `createClient` takes as its `transport`, for any number of clients. Each address is an edge of the same mesh. */
  readonly transport: Transport = (url, events) => {
    const { ttl, spreadMs } = this.#options;
    const session = new Session(`session-${this.#heard.length + 1}`, url, events, {
      ttl: (token) => (typeof ttl == "function" ? ttl(token) : ttl),
      accepts: (token) => !this.#rejected.has(token) && Boolean(this.#shown.add(token)),
      denial: (room) => (isRoom(room) ? this.#denials.get(room) : "bad_room"),
      join: ({ room, since }: RoomRef) => this.#history(room).join(since, spreadMs),
      ended: (session) => this.#sessions.delete(session),
    });
    this.#heard.push(session);
    this.#sessions.add(session);
    void Promise.resolve().then(() => this.#admit(session));
    return session;
  };

  // ---- what there is

  /** The connections that are there now, those that wait for `connect()` included. */
  get connections(): readonly FakeConnection[] {
    return [...this.#sessions];
  }

  /** The rooms that are joined over any of the connections. */
  get rooms(): readonly string[] {
    return [...new Set([...this.#sessions].flatMap(({ rooms }) => rooms))];
  }

  /** What clients have sent since the beginning, as frames of the protocol: to count joins, and the like. */
  get received(): readonly ClientFrame[] {
    return this.#heard.flatMap(({ received }) => received);
  }

  /** Where a room stands: what an API would give with its data for a client to read on from (`since`). */
  position(room: string): Position {
    return this.#history(room).position;
  }

  // ---- the network

  /** Lets connections come about: those that were held, and those to come. So it is at the start. */
  connect(): void {
    this.#admitAll("open");
  }

  /** Lets whoever connects wait, until `connect()` or `refuse()`. A client gives up after 10 s, and tries again. */
  hold(): void {
    this.#gate = "held";
  }

  /** Refuses connections from now on; those that are there stay. The codes are those of the protocol's close frames. */
  refuse(code = 1006, reason = ""): void {
    this.#admitAll({ code, reason });
  }

  /**
   * Breaks all connections. Clients come back after a while, and get what was delivered meanwhile. 1006 is a broken network;
   * the other codes are those of the protocol.
   */
  drop(code = 1006, reason = ""): void {
    for (const session of this.#sessions) session.end(code, reason);
  }

  /** Turns all connections there are into black holes: nothing arrives, and nobody is told. A client notices after 35 s. */
  silence(): void {
    for (const session of this.#sessions) session.silent = true;
  }

  /** Asks all clients to move to another connection, and closes this one after `within` milliseconds. Nothing is to be seen. */
  drain(within = 1000): void {
    for (const session of this.#sessions) session.drain(within);
  }

  /** Rejects a token from now on, by default each that was shown until now: who has it, loses the connection. */
  rejectToken(token?: string): void {
    for (const each of token === undefined ? this.#shown : [token]) this.#rejected.add(each);
    for (const session of this.#sessions) if (this.#rejected.has(session.token)) session.end(4401, "token rejected");
  }

  // ---- rooms

  /** Delivers an event to the room, and to who comes back to it later. Returns the room's position with it. */
  deliver<Type extends keyof Events & string>(
    room: string,
    type: Type,
    data: Events[Type],
    attributes?: EventAttributes,
  ): Position {
    const members = this.#members(room);
    const frame = this.#store(room, type, data, attributes);
    for (const session of members) session.event(frame);
    return this.position(room);
  }

  /**
   * Loses an event on its way: it is stored and reaches nobody. A client notices by the next event of the room that it gets,
   * or when it comes back, and has it replayed.
   */
  gap<Type extends keyof Events & string>(
    room: string,
    type: Type,
    data: Events[Type],
    attributes?: EventAttributes,
  ): Position {
    this.#store(room, type, data, attributes);
    return this.position(room);
  }

  /** Tells who is in the room that continuity cannot be proved. */
  reset(room: string, reason: ResetReason = "truncated", spreadMs: number = this.#options.spreadMs): void {
    const frame = this.#history(room).lost(reason, spreadMs);
    for (const session of this.#members(room)) session.say(frame);
  }

  /** Keeps none of the room's events until now: who has missed one of them gets a reset on coming back. */
  forget(room: string): void {
    this.#history(room).forget();
  }

  /**
   * Denies the room from now on. As `forbidden`, who is in it loses it at once, as with a token that does not grant it any more.
   * `rate_limit` is the one code with which a client asks again by itself.
   */
  deny(room: string, code: "forbidden" | "limit" | "rate_limit" | (string & {}) = "forbidden"): void {
    const members = this.#members(room);
    this.#denials.set(valid(room), code);
    if (code == "forbidden") for (const session of members) session.review();
  }

  /** Ends `deny`. A client that was denied asks again when it has another token. */
  allow(room: string): void {
    this.#denials.delete(room);
  }

  /** Holds the room's events back, as from a client that reads too slowly, until `catchUp`. */
  lag(room: string): void {
    for (const session of this.#members(room)) session.lag(room);
  }

  /** Ends `lag`: what was held back arrives. */
  catchUp(room: string): void {
    for (const session of this.#members(room)) session.catchUp(room);
  }

  /** Who is in the room, when all that was sent until now is heard. */
  #members(room: string): Session[] {
    for (const session of this.#sessions) session.read();
    return [...this.#sessions].filter(({ rooms }) => rooms.includes(room));
  }

  #history(room: string): History {
    let history = this.#histories.get(valid(room));
    if (!history) {
      history = new History(room, { epoch: "fake", seq: this.#seq, ts: Date.now() }, this.#options.history);
      this.#histories.set(room, history);
    }
    return history;
  }

  #store(room: string, type: string, data: unknown, attributes?: EventAttributes) {
    if (!type) throw new TypeError("an event needs a type, such as settlement_updated");
    const history = this.#history(room);
    const seq = ++this.#seq;
    const time = new Date().toISOString();
    return history.append(seq, { specversion: "1.0", id: `evt-${seq}`, source: "/fake", time, ...attributes, type, data });
  }

  #admitAll(gate: Gate): void {
    this.#gate = gate;
    for (const session of this.#sessions) this.#admit(session);
  }

  #admit(session: Session): void {
    if (this.#gate == "held") return;
    if (this.#gate == "open") session.open();
    else if (!session.opened) session.end(this.#gate.code, this.#gate.reason);
  }
}

/** kind:id, where the id has at most 128 bytes. */
function isRoom(room: string): boolean {
  const id = /^[a-z][a-z0-9-]{0,31}:(\P{Cc}+)$/u.exec(room)?.[1];
  return id !== undefined && new TextEncoder().encode(id).length <= 128;
}

function valid(room: string): string {
  if (isRoom(room)) return room;
  throw new TypeError(`${JSON.stringify(room)} is no room: write kind:id, such as campaign:42`);
}
