/** The client: one connection at a time, the rooms on it, and what follows from what happens. */
import { backoff, longest } from "./backoff.js";
import { TidingsError } from "./errors.js";
import { split, type EventFrame, type RoomRef, type ServerFrame } from "./frames.js";
import { Timer } from "./timer.js";
import { webSocketTransport, type Transport } from "./transport.js";
import { Link, type LinkEvents } from "./link.js";
import { TokenKeeper, type TokenSource } from "./token.js";
import { attempt, Listeners } from "./listeners.js";
import { Membership } from "./membership.js";
import { isOffline, watchPage } from "./page.js";
import type { Connection, ConnectionState } from "./connection.js";
import type { EventHandler, EventMap } from "./events.js";
import type { Observation } from "./observation.js";
import type { Reset, Room, RoomOptions } from "./room.js";

/** Options of a client. */
export interface ClientOptions {
  /** Where an edge, or what stands before several, answers: `/ws`, `wss://…/ws`. Of a list, the next is tried when one is lost. */
  url: string | readonly string[];
  /** Gets tokens. */
  token: TokenSource;
  /** Is told what happens, for metrics and logs. The library prints nothing. */
  observe?: (observation: Observation) => void;
  /** What carries the frames. Default: the browser's WebSocket. */
  transport?: Transport;
  /** Numbers from 0 to below 1, for the random part of waits. Default: Math.random. */
  random?: () => number;
}

/** Options of a handler of a client's events. */
export interface ClientHandlerOptions {
  /**
   * The handler also gets the events that a new handle with an older `since` has read again. One that applies events to data
   * wants them: the data that the handle came with is of `since`, and may have been written over what the events said.
   * Default: false.
   */
  readonly again?: boolean;
}

/** A client, made by `createClient`: one connection and the rooms on it. */
export interface Client<Events extends object = EventMap> {
  /** The connection as it is now. */
  readonly connection: Connection;
  /**
   * Calls the listener whenever `connection` is another object. Returns what ends it. May be passed on by itself:
   * `useSyncExternalStore(client.subscribe, () => client.connection)`.
   */
  readonly subscribe: (listener: (connection: Connection) => void) => () => void;
  /**
   * A new handle to a room, which is joined within 20 ms; the first one connects. Leave the handle when it is not needed any
   * more.
   */
  room(name: string, options?: RoomOptions): Room<Events>;
  /**
   * Gets the events of a type of all rooms that the client is in, once each and in the order of each room, however many handles
   * a room has: from where it was first read on, until its last handle is left and a second has passed. Returns what ends it.
   */
  on<Type extends keyof Events & string>(
    type: Type,
    handler: EventHandler<Type, Events[Type]>,
    options?: ClientHandlerOptions,
  ): () => void;
  /** Gets the events of every type. */
  on(type: "*", handler: EventHandler, options?: ClientHandlerOptions): () => void;
  /** Continuity of a room was lost, as `Room.onReset` has it, once for all handles of the room. */
  onReset(handler: (reset: Reset) => void): () => void;
  /** Connects before there is a room, tries at once while waiting, and tries again after a failure. */
  connect(): void;
  /** Closes the connection and ends all handles, for good. */
  close(): void;
}

/** Makes a client. It does nothing until there is a room, or `connect()` is called. */
export function createClient<Events extends object = EventMap>(options: ClientOptions): Client<Events> {
  return new Engine(options) as Client<any>;
}

const batch = 20; // ms in which joins and leaves are collected
const renewal = 5_000; // ms, the least time between two tries to renew a token

type Frame<Op extends ServerFrame["op"]> = Extract<ServerFrame, { op: Op }>;

/** One method for each verb of the server; `room` is there when the frame is of a room. */
type Verbs = { [Op in ServerFrame["op"]]: (frame: Frame<Op>, room: Membership, link: Link) => void };

class Engine extends Listeners implements LinkEvents, Verbs {
  declare connection: Connection;
  readonly #options: ClientOptions;
  readonly #random: () => number;
  readonly #transport: Transport;
  readonly #tokens: TokenKeeper;
  readonly #rooms = new Map<string, Membership>();
  readonly #unwatch: () => void;

  // The connection in use or being made. The next one is there while the first is being drained, and takes its place at its
  // welcome. Frames of any other link are never heard of.
  #current: Link | undefined;
  #next: Link | undefined;

  #turn = 0; // of the list of URLs
  #attempt = 0; // tries since the last good connection
  #earliest = 0; // performance.now() before which the server does not want to be tried
  #away = 0; // performance.now() of the loss
  readonly #retry = new Timer(); // of the current link, or of the next one while there is a current one
  readonly #flushing = new Timer();
  readonly #renewing = new Timer();
  #renewals = 0; // that failed in a row

  constructor(options: ClientOptions) {
    super();
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#transport = options.transport ?? webSocketTransport();
    this.#tokens = new TokenKeeper(options.token);
    this.#become("idle");
    this.#unwatch = watchPage(
      () => this.#wake(),
      () => (this.connection.state == "waiting" ? this.#wait(this.connection.error) : this.#wake(true)),
      () => this.#started && this.#leave("suspended"),
    );
  }

  readonly subscribe = (listener: (connection: Connection) => void): (() => void) => this.add("state", listener);

  room(name: string, { since }: RoomOptions = {}): Room<any> {
    const { state, error } = this.connection;
    let membership = this.#rooms.get(name);
    if (!membership) {
      membership = new Membership(String(name), () => this.#change());
      this.#rooms.set(name, membership);
      if (state == "failed") membership.fail(error!);
    }
    const handle = membership.handle(since ? { ...since } : undefined); // whatever it is, an edge has an answer to an object
    if (state == "closed") membership.end(error!);
    return handle;
  }

  connect(): void {
    const { state } = this.connection;
    if (state == "failed") {
      this.#tokens.welcome(0);
      for (const room of this.#rooms.values()) if (room.state == "failed") room.retry();
    }
    if (/idle|failed/.test(state)) this.#open();
    else this.#wake();
  }

  close(): void {
    const error = new TidingsError("closed");
    this.#unwatch();
    this.#leave("closed", { error });
    this.#tokens.abort();
    for (const room of this.#rooms.values()) room.end(error);
    this.#rooms.clear();
    this.clear();
    this.#flushing.stop();
  }

  // ---- the connection

  /** Begins a connection; a second one when there is one already. */
  #open(): void {
    this.#retry.stop();
    const link = new Link(this);
    if (this.#current) this.#next = link;
    else {
      this.#current = link;
      this.#away ||= performance.now();
      this.#become("connecting");
    }
    const urls = [this.#options.url].flat();
    void link.start(this.#transport, urls[this.#turn++ % urls.length]!, this.#tokens);
  }

  /** @internal */
  open(link: Link): void {
    this.#flush(); // what is asked for is the same on both
    const asked = this.#refs((room) => (link == this.#next ? room.asked : room.ask(link.token)));
    const [first = [], ...others] = split(asked);
    link.send({ op: "hello", token: link.token, rooms: first });
    for (const rooms of others) link.send({ op: "join", rooms });
  }

  /** @internal */
  lost(link: Link, error: TidingsError): void {
    // The first refusal is worth a fresh token, the second one is the end.
    if (error.code == "token_rejected" && link.token) (error as { retryable: boolean }).retryable = this.#tokens.refused(link.token);
    this.#note({ type: "lost", error });
    if (link.stable) this.#attempt = 0;
    if (link == this.#next) {
      this.#next = undefined;
      if (error.retryable) this.#wait(error);
      return;
    }
    this.#away ||= performance.now();
    this.#current = this.#next;
    this.#next = undefined;
    this.#restart();
    if (this.#current) this.#become("connecting");
    else if (error.retryable) this.#wait(error);
    else {
      this.#rooms.forEach((room) => room.fail(error));
      this.#leave("failed", { error });
    }
  }

  /** Tries again after a while. */
  #wait(error: TidingsError | undefined): void {
    const offline = isOffline();
    const least = error?.retryAfter ?? 0;
    this.#earliest = performance.now() + least;
    const retryAt = this.#again(least + backoff(offline ? longest : this.#attempt++, this.#random));
    if (!this.#current) this.#become(offline ? "offline" : "waiting", { retryAt, error });
  }

  /** Tries again after so many milliseconds. Returns when that is. */
  #again(ms: number): number {
    this.#retry.start(ms, () => this.#open());
    return Date.now() + ms;
  }

  /** Ends all links and timers. */
  #leave(state: ConnectionState, detail?: object): void {
    this.#retry.stop();
    this.#current?.close();
    this.#next?.close();
    this.#current = this.#next = undefined;
    this.#restart();
    this.#become(state, detail);
  }

  /** Sees whether the connection still is one, or else connects at once, unless `look` is all that is wanted. */
  #wake(look = false): void {
    const { state } = this.connection;
    if (state == "connected") this.#current!.ping();
    if (look || this.#current || !this.#started) return;
    this.#attempt = 0;
    const wait = this.#earliest - performance.now();
    if (wait <= 0) this.#open();
    else this.#become("waiting", { retryAt: this.#again(wait) });
  }

  /** There is a connection, or will be one by itself. */
  get #started(): boolean {
    return !/idle|failed|closed/.test(this.connection.state);
  }

  #become(state: ConnectionState, detail?: object): void {
    this.connection = { state, attempt: state == "connected" ? 0 : this.#attempt, ...detail };
    this.emit("state", this.connection);
  }

  #note(observation: Observation): void {
    attempt(() => this.#options.observe?.(observation));
  }

  // ---- what an edge says

  /** @internal */
  frame(link: Link, frame: ServerFrame): void {
    const { op, room } = frame as EventFrame;
    const membership = this.#rooms.get(room);
    if (membership || room === undefined) (this as Verbs)[op](frame as never, membership!, link); // or else the room was left
  }

  welcome(frame: Frame<"welcome">, room: Membership, link: Link): void {
    const { edge, session } = frame;
    if (link == this.#next) {
      this.#current!.close();
      this.#current = link;
      this.#next = undefined;
      this.#restart(true);
    }
    this.#note({ type: "connected", edge, ms: this.#away && performance.now() - this.#away });
    this.#away = 0;
    this.token_ok(frame, room, link);
    this.#become("connected", { edge, session });
  }

  /** Moves to another edge at a random moment, early enough to be done when the time is over. */
  drain({ within }: Frame<"drain">, _: unknown, link: Link): void {
    if (link != this.#current || this.#next) return;
    // One that was not good for long is left like a lost one, or edges that drain in turns would have us run in circles.
    this.#again(Math.max(this.#random() * within * 0.75, link.stable ? 0 : backoff(this.#attempt++, this.#random)));
  }

  token_ok({ ttl, dropped = [] }: { ttl: number; dropped?: readonly string[] }, _: unknown, link: Link): void {
    this.#tokens.welcome(ttl);
    this.#renewals = 0;
    for (const name of dropped) this.#rooms.get(name)?.deny("forbidden", "", link.token);
    this.#renewAfter(ttl * 1000 * (0.7 + 0.1 * this.#random()));
    this.#change();
  }

  #renewAfter(ms: number): void {
    this.#renewing.start(ms, () => this.#renew());
  }

  async #renew(): Promise<void> {
    const link = this.#current!;
    let token = link.token;
    try {
      token = await this.#tokens.get("refresh");
    } catch (error) {
      this.#note({ type: "token", error: error as TidingsError });
    }
    if (link != this.#current) return; // the other one has its own, or will have
    if (token == link.token) this.#renewAfter(renewal + backoff(this.#renewals++, this.#random));
    else {
      link.token = token;
      link.send({ op: "token", token });
    }
  }

  joined(frame: Frame<"joined">, room: Membership): void {
    const { reason, spread = 0, position, replay = 0 } = frame;
    if (room.state == "failed") return; // to a join before that
    room.asked = true;
    room.awaiting = false;
    room.refusals = 0;
    const reset = room.joined(frame);
    if (reset === undefined) return this.#resync(room);
    this.#note({ type: "joined", room: room.name, replay, reset: reason });
    if (reset) {
      if (!this.#tripped(room)) room.become("live");
      const detail = { room: room.name, reason: reason ?? "", spreadMs: spread, position };
      room.reset(detail);
      this.emit("reset", detail);
    } else if (!replay) room.become("live");
    this.#change();
  }

  lag(_: Frame<"lag">, room: Membership): void {
    room.lag();
  }

  ping({ ts }: Frame<"ping">): void {
    for (const room of this.#rooms.values()) if (!room.awaiting) room.refresh(ts);
  }

  denied({ code, retryable, message }: Frame<"denied">, room: Membership): void {
    if (retryable) room.hold(1000 + backoff(room.refusals++, this.#random));
    else room.deny(code, message, this.#current!.token);
  }

  event(frame: Frame<"event">, room: Membership): void {
    const { name, replay } = room;
    if (room.awaiting || !room.asked || !room.at) return;
    const outcome = room.event(frame);
    if (outcome == "new") {
      const delivery = { room: name, position: room.at, replayed: replay };
      this.emit("event", frame.event, delivery, room.deliver(frame, delivery));
    } else this.#note({ type: outcome, room: name });
    if (outcome == "gap") this.#resync(room);
    else if (!room.replay) room.become("live");
  }

  /** Joins again from where the room stands. */
  #resync(room: Membership): void {
    if (this.#tripped(room)) return;
    room.lost();
    room.awaiting = true;
    this.#current!.send({ op: "join", rooms: [room.ref] });
  }

  /** Gives the room up when it loses continuity too often. */
  #tripped(room: Membership): boolean {
    if (!room.unstable()) return false;
    this.#note({ type: "breaker", room: room.name });
    this.#send("leave", [room.name]);
    return true;
  }

  // ---- the rooms

  /** There may be something to send: soon, together with what comes until then. */
  #change(): void {
    if (!this.#flushing.running) this.#flushing.start(batch, () => this.#flush());
  }

  /** Sends the difference between what is wanted and what was asked for. */
  #flush(): void {
    this.#flushing.stop();
    const left: string[] = [];
    for (const [name, room] of this.#rooms) {
      if (!room.wanted) {
        this.#rooms.delete(name);
        room.end();
        if (room.asked) left.push(name);
      } else if (!this.#next) room.rewind(); // hello of the next one has gone with the place as it was
    }
    this.#send("leave", left);
    if (left[0]) for (const room of this.#rooms.values()) if (room.error?.code == "limit") room.retry();
    const { hello, token } = this.#current ?? {};
    if (hello) this.#send("join", this.#refs((room) => room.ask(token!)));
    else if (this.#rooms.size && this.connection.state == "idle") this.#open();
  }

  #refs(of: (room: Membership) => boolean): RoomRef[] {
    return [...this.#rooms.values()].filter(of).map((room) => room.ref);
  }

  /** Sends over each connection that has said hello. */
  #send(op: "join" | "leave", list: readonly (RoomRef | string)[]): void {
    for (const rooms of split(list)) {
      for (const link of [this.#current, this.#next]) if (link?.hello) link.send({ op, rooms });
    }
  }

  /** Another link is the current one, or there is none: what was asked for over it is to be answered, the rest to be asked. */
  #restart(moved = false): void {
    const open = this.#current?.hello ?? false;
    if (!moved) this.#renewing.stop();
    for (const room of this.#rooms.values()) {
      room.restart();
      room.asked &&= open;
      room.awaiting = room.asked;
      if (!moved) room.lost();
    }
  }
}
