import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { createClient, type Client, type Room } from "../src/index.js";
import { Membership } from "../src/membership.js";
import { Place } from "../src/place.js";
import { seeded, World } from "./world.js";

const runs = Number(process.env["MODEL_RUNS"] ?? 10_000);
const firstSeed = Number(process.env["MODEL_SEED"] ?? 1);
const bound = 12; // joins per room and minute that nobody but the client decided on

const settle = ((immediate) => () => new Promise<void>((resolve) => immediate(() => resolve())))(setImmediate);

async function pass(ms: number): Promise<void> {
  vi.advanceTimersByTime(ms);
  await settle();
}

/** Somebody who has a handle and looks closely at what comes. */
class Reader {
  readonly handle: Room<any>;
  #epoch: string | undefined;
  #seq: number | undefined; // everything of the room up to here was had, or is covered by a reset

  constructor(
    readonly world: World,
    client: Client,
    readonly room: string,
    since?: { epoch: string; seq: number },
    from: Pick<Client, "on" | "onReset"> | undefined = undefined, // where it hears of the room, if not from its handle
  ) {
    if (since) this.#is(since);
    this.handle = client.room(room, { since });
    this.handle.onState((state) => {
      if (state == "live" && this.#seq === undefined) this.#is(this.handle.position!);
    });
    if (this.handle.state == "live" && !since) this.#is(this.handle.position!);
    const { handle } = this;
    (from ?? handle).onReset(({ position, ...reset }) => reset.room == room && this.#is(position));
    (from ?? handle).on("*", (event, { position, ...delivery }) => {
      if (delivery.room != room) return;
      const seq = event.data as number;
      if (this.#seq !== undefined) {
        const where = `at ${seq} after ${this.#seq}`;
        if (position.epoch != this.#epoch) world.problems.push(`another history without a reset ${where}`);
        else if (seq <= this.#seq) world.problems.push(`applied twice or out of order ${where}`);
        else if (this.#epoch == `e${world.epoch}` && this.#missing(seq).length) world.problems.push(`a silent gap ${where}`);
      }
      this.#is(position);
    });
  }

  /** In the end, everything must be there. */
  check(): void {
    if (this.world.forbidden.has(this.room)) return;
    expect(this.handle.state, this.handle.error?.message).toBe("live");
    expect(this.#epoch, "the history").toBe(`e${this.world.epoch}`);
    expect(this.#missing(Infinity), "missing at the end").toEqual([]);
  }

  #is({ epoch, seq }: { epoch: string; seq: number }): void {
    this.#epoch = epoch;
    this.#seq = seq;
  }

  #missing(before: number): number[] {
    return this.world.log(this.room).filter((seq) => seq > this.#seq! && seq < before);
  }
}

/** One random life of a client. Returns the most joins per room and minute beyond those that were asked of it. */
async function live(seed: number): Promise<number> {
  vi.setSystemTime(0);
  const random = seeded(seed);
  const chance = (p: number) => random() < p;
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const world = new World(random);
  const tell = (type: string, more: object = {}) => globalThis.dispatchEvent(Object.assign(new Event(type), more));
  let tokenFails = false;
  let tokens = 0;
  const client = createClient({
    url: "ws://world.test/ws",
    transport: world.transport,
    random,
    token: async () => {
      if (tokenFails) throw new Error("no token");
      return `token-${++tokens}`;
    },
  });
  const rooms = ["campaign:1", "settlement:2"];
  const readers: Reader[] = [];
  const whole = new Reader(world, client, rooms[0]!, undefined, client); // by the events of the client, in a room that is never left
  const asked: { room: string; at: number }[] = []; // joins that somebody else decided on
  const ask = (names: readonly string[] = rooms) => names.forEach((room) => asked.push({ room, at: performance.now() }));
  const lossy = chance(0.2); // a run in which most is lost
  const each = (act: (edge: Parameters<Parameters<World["publish"]>[1]>[0]) => void) => [...world.connections].forEach(act);

  const actions: [number, () => void][] = [
    [10, () => { for (let i = 1 + random() * 4; i > 0; i--) world.publish(pick(rooms), () => chance(lossy ? 0.7 : 0.1), chance(0.1)); }],
    [lossy ? 4 : 0, () => { for (let i = 0; i < 20; i++) setTimeout(() => world.publish(rooms[0]!, () => chance(0.7), false), i * 250); }],
    [5, () => { const room = pick(rooms); ask([room]); readers.push(new Reader(world, client, room)); }],
    [2, () => {
      const room = pick(rooms);
      const since = pick([100, ...world.log(room)]);
      ask([room]);
      readers.push(new Reader(world, client, room, { epoch: `e${world.epoch}`, seq: since }));
    }],
    [3, () => { if (readers.length) readers.splice(Math.floor(random() * readers.length), 1)[0]!.handle.leave(); }],
    [3, () => each((edge) => chance(0.7) && edge.die(pick([1006, 4500, 4503, 4508, 4410, 1001])))],
    [2, () => each((edge) => { edge.silent ||= chance(0.5); })],
    [2, () => each((edge) => { if (edge.welcomed && !edge.silent) { ask(); edge.send({ op: "drain", within: Math.floor(random() * 5000) }); } })],
    [1, () => each((edge) => chance(0.5) && world.unasked(edge))],
    [1, () => each((edge) => edge.rooms.forEach((room) => edge.send({ op: "lag", room })))],
    [1, () => world.truncate(pick(rooms))],
    [0.5, () => world.recreate()],
    [1, () => { world.busy = 1 + Math.floor(random() * 4); }],
    [1, () => { world.badTokens = 1; }],
    [1, () => { tokenFails = !tokenFails; }],
    [1, () => { world.unreachable = !world.unreachable; }],
    [1, () => { const room = pick(rooms); ask([room]); if (!world.forbidden.delete(room)) world.forbidden.add(room); }],
    [1, () => tell("pagehide")],
    [1, () => { ask(); tell("pageshow", { persisted: true }); }],
    [1, () => { ask(); tell("online"); }],
    [1, () => { ask(); client.connect(); }],
    [1, () => each((edge) => edge.send({ op: "ping", ts: Date.now() }))],
  ];
  const weights = actions.reduce((sum, [weight]) => sum + weight, 0);

  try {
    for (let step = 10 + random() * 30; step > 0; step--) {
      let at = random() * weights;
      actions.find(([weight]) => (at -= weight) < 0)![1]();
      await pass(chance(0.2) ? random() * 20_000 : random() * 300);
    }
    // Everything is mended, and there is time enough for every wait, the minute of a room that was given up and the life of a token included.
    tokenFails = world.unreachable = false;
    world.busy = world.badTokens = 0;
    world.forbidden.clear();
    for (let i = 0; i < 2; i++) {
      ask();
      tell("pagehide");
      tell("pageshow", { persisted: true });
      client.connect();
      for (let s = 0; s < 10 + 5 * i; s++) await pass(7_000);
    }
    for (const room of rooms) world.publish(room, () => false, false);
    await pass(200);
    if (world.problems[0]) throw new Error(world.problems[0]);
    for (const reader of [whole, ...readers]) reader.check();
    return rooms.reduce((most, room) => Math.max(most, busiest(room, world.joins, asked)), 0);
  } finally {
    client.close();
    await pass(1_000);
    expect(vi.getTimerCount(), "timers left behind").toBe(0);
  }
}

/** The most joins of a room within a minute, less those that were asked for within it. */
function busiest(room: string, joins: readonly { room: string; at: number }[], asked: readonly { room: string; at: number }[]): number {
  const within = (list: typeof joins, end: number, minute: number) => list.filter((j) => j.room == room && j.at > end - minute && j.at <= end).length;
  return Math.max(0, ...joins.map(({ at }) => within(joins, at, 60_000) - within(asked, at, 70_000)));
}

async function search(count: number): Promise<unknown> {
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    try {
      const joins = await live(seed);
      expect(joins, "joins per room and minute").toBeLessThanOrEqual(bound);
    } catch (error) {
      return new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  return undefined;
}

describe("random lives of a client", () => {
  beforeAll(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
  });
  afterAll(() => {
    vi.useRealTimers();
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
  beforeEach(() => {
    const browser = new EventTarget();
    for (const name of ["addEventListener", "dispatchEvent"] as const) vi.stubGlobal(name, browser[name].bind(browser));
  });

  it(`have no silent gap and bounded joins: ${runs} runs`, { timeout: 120_000 }, async () => {
    const error = await search(runs);
    if (error) throw error;
  });

  it("find a client that does not look at predecessors", { timeout: 60_000 }, async () => {
    const event = Place.prototype.event;
    vi.spyOn(Place.prototype, "event").mockImplementation(function (this: Place, frame) {
      return event.call(this, { ...frame, prev: 0 });
    });
    expect(await search(500)).toMatchObject({ message: expect.stringContaining("gap") });
  });

  it("find a client that takes an event twice", { timeout: 60_000 }, async () => {
    const deliver = Membership.prototype.deliver;
    vi.spyOn(Membership.prototype, "deliver").mockImplementation(function (this: Membership, frame, delivery) {
      deliver.call(this, frame, delivery);
      return deliver.call(this, { ...frame, seq: frame.seq + 0.5 }, delivery);
    });
    expect(await search(500)).toMatchObject({ message: expect.stringContaining("twice") });
  });

  it("find a client that tells its own handlers what a late handle has had read again", { timeout: 60_000 }, async () => {
    const deliver = Membership.prototype.deliver;
    vi.spyOn(Membership.prototype, "deliver").mockImplementation(function (this: Membership, frame, delivery) {
      deliver.call(this, frame, delivery);
      return false;
    });
    expect(await search(500)).toMatchObject({ message: expect.stringContaining("twice") });
  });

  it("find a client that never gives a room up", { timeout: 60_000 }, async () => {
    vi.spyOn(Membership.prototype, "unstable").mockReturnValue(false);
    expect(await search(2_000)).toMatchObject({ message: expect.stringContaining("joins per room and minute") });
  });
});
