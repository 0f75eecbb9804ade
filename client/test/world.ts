/** A mesh of edges in memory that keeps the protocol, and breaks in every way that it allows for. */
import type { ClientFrame, RoomRef, ServerFrame } from "../src/frames.js";
import type { Position, Transport, TransportEvents } from "../src/index.js";

/** Numbers from 0 to below 1, the same ones for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The stream: what was ever published, and how much of it is still kept. */
export class World {
  epoch = 1;
  seq = 100;
  readonly connections = new Set<Edge>();
  readonly #log = new Map<string, number[]>(); // of the present epoch, by room
  readonly #kept = new Map<string, number>(); // the first seq that is kept
  forbidden = new Set<string>();
  busy = 0; // joins to be refused for now
  badTokens = 0; // hellos to be refused
  unreachable = false;
  /** What readers found wrong. */
  readonly problems: string[] = [];
  /** Joins asked for: room and time. */
  readonly joins: { room: string; at: number }[] = [];

  constructor(readonly random: () => number) {}

  readonly transport: Transport = (_, events) => {
    const edge = new Edge(this, events);
    this.connections.add(edge);
    edge.later(() => (this.unreachable ? edge.die(1006) : events.open()));
    return { send: (text) => edge.receive(JSON.parse(text)), close: () => edge.gone() };
  };

  log(room: string): number[] {
    let log = this.#log.get(room);
    if (!log) this.#log.set(room, (log = []));
    return log;
  }

  position(room: string): Position {
    return this.#position(this.log(room).at(-1) ?? 100);
  }

  /** Publishes; `lost` edges do not send it on. */
  publish(room: string, lost: (edge: Edge) => boolean, twice: boolean): void {
    const prev = this.log(room).at(-1) ?? 100;
    this.log(room).push(++this.seq);
    for (const edge of this.connections) if (edge.rooms.has(room) && !lost(edge)) for (let i = 0; i <= Number(twice); i++) edge.event(room, this.seq, prev);
  }

  /** Keeps only the newest event of the room. */
  truncate(room: string): void {
    this.#kept.set(room, this.log(room).at(-1) ?? 0);
  }

  /** The stream is created anew and counts from the beginning. */
  recreate(): void {
    this.epoch++;
    this.seq = 100;
    this.#log.clear();
    this.#kept.clear();
    for (const edge of this.connections) for (const room of edge.rooms) edge.send(this.#lost(room, "epoch"));
  }

  answer({ room, since }: RoomRef): { joined: ServerFrame; replay: number[] } {
    const position = this.position(room);
    if (!since) return { joined: { op: "joined", room, position }, replay: [] };
    if (since.epoch != `e${this.epoch}`) return { joined: this.#lost(room, "epoch"), replay: [] };
    if (since.seq > position.seq) return { joined: this.#lost(room, "behind"), replay: [] };
    const replay = this.log(room).filter((seq) => seq > since.seq);
    if (replay.some((seq) => seq < (this.#kept.get(room) ?? 0))) return { joined: this.#lost(room, "truncated"), replay: [] };
    return { joined: { op: "joined", room, position, recovered: true, replay: replay.length }, replay };
  }

  /** Tells an edge's clients that continuity is lost, though it is not. */
  #lost(room: string, reason: string): ServerFrame {
    return { op: "joined", room, position: this.position(room), recovered: false, reason, spread: 500 };
  }

  unasked(edge: Edge): void {
    for (const room of edge.rooms) edge.send(this.#lost(room, "truncated"));
  }

  #position(seq: number): Position {
    return { epoch: `e${this.epoch}`, seq, ts: Date.now() };
  }
}

/** One connection, from the side of the edge. */
export class Edge {
  readonly rooms = new Set<string>();
  silent = false; // a black hole: nothing arrives any more, in either direction
  welcomed = false;
  #open = true;
  #due = 0;

  constructor(
    readonly world: World,
    readonly events: TransportEvents,
  ) {}

  /** Does something after the time that a frame takes, in order. */
  later(act: () => void): void {
    this.#due = Math.max(this.#due, Date.now() + Math.floor(this.world.random() * 40));
    setTimeout(() => this.#open && act(), this.#due - Date.now());
  }

  send(frame: ServerFrame): void {
    const text = JSON.stringify(frame);
    this.later(() => this.silent || this.events.message(text));
  }

  event(room: string, seq: number, prev: number): void {
    const event = { specversion: "1.0" as const, id: `evt-${seq}`, source: "/world", type: "counted", time: "", data: seq };
    this.send({ op: "event", room, seq, prev, ts: Date.now(), event });
  }

  die(code: number): void {
    if (!this.#open || this.silent) return;
    this.gone();
    this.events.close(code, "");
  }

  gone(): void {
    this.#open = false;
    this.world.connections.delete(this);
  }

  receive(frame: ClientFrame): void {
    if (!this.#open) throw new Error(`${frame.op} over a connection that was closed`);
    this.later(() => this.silent || this.#take(frame));
  }

  #take(frame: ClientFrame): void {
    if (frame.op == "hello") {
      if (this.world.badTokens > 0 && this.world.badTokens--) return this.die(4401);
      this.welcomed = true;
      this.send({ op: "welcome", session: "s", edge: "e", ttl: 120, ping: 25 });
    } else if (!this.welcomed) return this.die(4400);
    if (frame.op == "token") this.send({ op: "token_ok", ttl: 120, dropped: [] });
    if (frame.op == "leave") for (const room of frame.rooms) this.rooms.delete(room as string);
    if (frame.op == "hello" || frame.op == "join") for (const ref of frame.rooms) this.#join(typeof ref == "string" ? { room: ref } : ref);
  }

  #join(ref: RoomRef): void {
    const { world } = this;
    const deny = (code: string, retryable: boolean) => this.send({ op: "denied", room: ref.room, code, retryable, message: "" });
    if (ref.room == "?") return deny("bad_room", false);
    world.joins.push({ room: ref.room, at: performance.now() });
    if (world.forbidden.has(ref.room)) return deny("forbidden", false);
    if (world.busy > 0 && world.busy--) return deny("rate_limit", true);
    const { joined, replay } = world.answer(ref);
    this.rooms.add(ref.room);
    this.send(joined);
    for (const seq of replay) this.event(ref.room, seq, 0);
  }
}
