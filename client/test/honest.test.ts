/** The fake server of `./testing` and the real edge, side by side: what an application sees of them is the same. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import WebSocket from "ws";
import { createClient, webSocketTransport } from "../src/index.js";
import type { Client, ClientOptions, Position, Room, Transport } from "../src/index.js";
import { createFakeServer } from "../src/testing/index.js";
import { Mesh, room } from "./edges.js";
import { Proxy } from "./proxy.js";

interface Counted {
  counted: { n: number };
}

/** What a behaviour needs of the world around it. */
interface Setup {
  /** There is a second edge to go to. */
  readonly two?: boolean;
  /** Seconds that the first token is good for. */
  readonly ttl?: number;
}

/** A server, and what befalls it. It keeps 20 events of a room; tokens grant `room`, and "rubbish" is none. */
interface Stage {
  readonly url: readonly string[];
  readonly transport: Transport;
  token(ttl: number | undefined): string | Promise<string>;
  /** Publishes events that count on from 1. */
  publish(events: number): Promise<void>;
  /** As publish of one, but it is lost on its way. */
  lose(): Promise<void>;
  drop(): void;
  away(): void;
  back(): void;
  drain(): void;
  end(): Promise<void>;
}

async function fake(): Promise<Stage> {
  const server = createFakeServer<Counted>({ history: 20, ttl: Number });
  let n = 0;
  server.deny("campaign:7");
  server.rejectToken("rubbish");
  return {
    url: ["ws://edge-1/ws", "ws://edge-2/ws"],
    transport: server.transport,
    token: (ttl = 3600) => `${ttl}`,
    publish: async (events) => {
      while (events--) server.deliver(room, "counted", { n: ++n });
    },
    lose: async () => void server.gap(room, "counted", { n: ++n }),
    drop: () => server.drop(),
    away() {
      server.refuse();
      server.drop();
    },
    back: () => server.connect(),
    drain: () => server.drain(3000),
    end: async () => {},
  };
}

/** Real edges, with a network in between that can be cut. */
async function real(mesh: Mesh, { two }: Setup): Promise<Stage> {
  const edges = two ? [await mesh.another("--drain", "3s"), mesh.home] : [mesh.home];
  const [first] = edges;
  const network = await Proxy.to(first!.http);
  const before = mesh.published;
  let losing = 0;
  const open = webSocketTransport(WebSocket as never);
  return {
    url: [network.url, ...edges.slice(1).map(({ url }) => url)],
    transport: (url, events) =>
      open(url, {
        ...events,
        message(text) {
          const event = JSON.parse(text).event;
          if (event) event.data.n -= before;
          if (event && losing && losing--) return;
          events.message(event ? JSON.stringify({ ...JSON.parse(text), event }) : text);
        },
      }),
    token: (ttl) => mesh.token(...(ttl ? ["--ttl", `${ttl}s`] : [])),
    publish: (events) => mesh.count(events),
    async lose() {
      losing++;
      await mesh.count(1);
      await expect.poll(() => losing, { timeout: 20_000 }).toBe(0);
    },
    drop: () => network.cut(),
    away() {
      network.mode = "refuse";
      network.cut();
    },
    back: () => void (network.mode = "pass"),
    drain: () => void first!.process.kill("SIGTERM"),
    async end() {
      await network.stop();
      if (two) await first!.end();
    },
  };
}

/** An application, and what it sees: states of the connection and of rooms, events, resets, and requests for tokens. */
class App {
  seen: string[] = [];
  readonly client: Client<Counted>;

  constructor(
    readonly stage: Stage,
    { ttl }: Setup,
    token: ClientOptions["token"] = ({ reason }) => stage.token(reason == "connect" ? ttl : undefined),
  ) {
    this.client = createClient<Counted>({
      url: stage.url,
      transport: stage.transport,
      random: () => 0.1,
      token: (request) => {
        this.see(`token: ${request.reason}`);
        return token(request);
      },
    });
    this.client.subscribe(({ state, error }) => this.see(error ? `${state}: ${error.code}` : state));
  }

  /** Notes it. How often it is tried again in vain depends on the machine, so that is noted once. */
  see(what: string): void {
    this.seen.push(what);
    const [a, b, c, d] = this.seen.slice(-4);
    if (c?.startsWith("waiting") && a == c && b == d) this.seen.splice(-2);
  }

  async until(what: string): Promise<void> {
    await expect.poll(() => this.seen, { timeout: 20_000, interval: 10 }).toContain(what);
  }

  join(name: string = room, since?: Position): Room<Counted> {
    const handle = this.client.room(name, { since });
    const label = name == room ? "room" : "other room";
    handle.onState((state) => this.see(`${label} ${state}${handle.error ? `: ${handle.error.code}` : ""}`));
    handle.onReset(({ reason }) => this.see(`reset: ${reason}`));
    handle.on("counted", ({ data }, { replayed }) => this.see(`event ${data.n}${replayed ? " replayed" : ""}`));
    return handle;
  }

  /** Closes it and goes on with another one, until that has seen something. */
  async reopen(act: (again: App) => void, until: string): Promise<void> {
    this.client.close();
    const again = new App(this.stage, {});
    act(again);
    await again.until(until);
    this.seen = [...again.seen];
    again.client.close();
  }

  /** Is in the room, with one event had. */
  async live(): Promise<Room<Counted>> {
    const handle = this.join();
    await handle.ready();
    await this.stage.publish(1);
    await this.until("event 1");
    return handle;
  }
}

const range = (from: number, to: number, label = ""): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => `event ${from + i}${label}`);
const begin = ["connecting", "token: connect", "connected", "room live", "event 1"];
const lost = ["room recovering", "waiting: lost", "connecting"];
const away = ["room recovering", "waiting: lost", "connecting", "waiting: unreachable", "connecting"];

/** Behaviours, by name: what happens, and what is to be seen. */
const table: [name: string, setup: Setup, act: (app: App, stage: Stage) => Promise<void>, seen: string[]][] = [
  ["join, and live events", {}, async (app, stage) => {
    await app.live();
    await stage.publish(2);
    await app.until("event 3");
  }, [...begin, "event 2", "event 3"]],

  ["the network breaks for a moment", {}, async (app, stage) => {
    await app.live();
    stage.drop();
    await app.until("waiting: lost");
    await app.client.room(room).ready();
    await stage.publish(1);
    await app.until("event 2");
  }, [...begin, ...lost, "connected", "room live", "event 2"]],

  ["away while events are published: they are replayed", {}, async (app, stage) => {
    await app.live();
    stage.away();
    await app.until("waiting: unreachable");
    await stage.publish(3);
    stage.back();
    await app.until("event 4 replayed");
    await stage.publish(1);
    await app.until("event 5");
  }, [...begin, ...away, "connected", ...range(2, 4, " replayed"), "room live", "event 5"]],

  ["away for all that the history keeps", {}, async (app, stage) => {
    await app.live();
    stage.away();
    await app.until("waiting: unreachable");
    await stage.publish(20);
    stage.back();
    await app.until("room live");
    await app.until("event 21 replayed");
  }, [...begin, ...away, "connected", ...range(2, 21, " replayed"), "room live"]],

  ["away for more than the history keeps: a reset, and on from there", {}, async (app, stage) => {
    await app.live();
    stage.away();
    await app.until("waiting: unreachable");
    await stage.publish(25);
    stage.back();
    await app.until("reset: truncated");
    await stage.publish(1);
    await app.until("event 27");
  }, [...begin, ...away, "connected", "room live", "reset: truncated", "event 27"]],

  ["an event is lost on its way", {}, async (app, stage) => {
    await app.live();
    await stage.lose();
    await stage.publish(1);
    await app.until("event 3 replayed");
    await stage.publish(1);
    await app.until("event 4");
  }, [...begin, "room recovering", ...range(2, 3, " replayed"), "room live", "event 4"]],

  ["drained: nothing is to be seen", { two: true }, async (app, stage) => {
    await app.live();
    const { session } = app.client.connection;
    stage.drain();
    await stage.publish(1);
    await expect.poll(() => app.client.connection.session, { timeout: 20_000 }).not.toBe(session);
    await stage.publish(1);
    await app.until("event 3");
  }, [...begin, "event 2", "connected", "event 3"]],

  ["a room that is not granted, and none at all", {}, async (app) => {
    for (const name of ["campaign:7", `campaign:${"é".repeat(100)}`]) {
      await expect(app.join(name).ready()).rejects.toMatchObject({ retryable: false });
    }
  }, ["connecting", "token: connect", "connected", "other room denied: forbidden", "other room denied: bad_room"]],

  ["a token that is nearly over is renewed", { ttl: 2 }, async (app, stage) => {
    await app.live();
    await app.until("token: refresh");
    await stage.publish(1);
    await app.until("event 2");
  }, [...begin, "token: refresh", "event 2"]],

  ...Object.entries({
    epoch: { epoch: "another life", seq: 7 },
    behind: { seq: 2 ** 40 },
    position: { epoch: "", seq: 0 },
  }).map(([reason, wrong]): (typeof table)[number] => [`joined from a wrong position: ${reason}`, {}, async (app) => {
    const handle = await app.live();
    const since = { ...handle.position!, ...wrong };
    await app.reopen((again) => again.join(room, since), `reset: ${reason}`);
  }, ["connecting", "token: connect", "connected", "room live", `reset: ${reason}`]]),

  ["opened anew, and read on from where it was", {}, async (app, stage) => {
    const { position } = await app.live();
    await stage.publish(2);
    await app.reopen((again) => again.join(room, position), "room live");
  }, ["connecting", "token: connect", "connected", ...range(2, 3, " replayed"), "room live"]],
];

const refused = ["connecting", "token: connect", "waiting: token_rejected", "connecting", "token: rejected"];

const tokens: [name: string, token: (stage: Stage) => ClientOptions["token"], seen: string[]][] = [
  ["refused, and a fresh one is good", (stage) => ({ reason }) => (reason == "connect" ? "rubbish" : stage.token(undefined)),
    [...refused, "connected", "room live"]],
  ["refused twice", () => () => "rubbish",
    [...refused, "room failed: token_rejected", "failed: token_rejected"]],
];

describe("what an application sees", { timeout: 60_000 }, () => {
  let mesh: Mesh;
  const ends: (() => void | Promise<void>)[] = [];
  const servers = [
    ["of the fake server", fake],
    ["of the real edge", (setup: Setup) => real(mesh, setup)],
  ] as const;

  beforeAll(async () => {
    mesh = await Mesh.start("--stream-history", "20");
  });
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  afterAll(() => mesh.stop());

  async function stage(start: (setup: Setup) => Promise<Stage>, setup: Setup): Promise<Stage> {
    const stage = await start(setup);
    ends.push(() => stage.end());
    return stage;
  }

  for (const [server, start] of servers) {
    it.each(table)(`${server}: %s`, async (_, setup, act, seen) => {
      const world = await stage(start, setup);
      const app = new App(world, setup);
      ends.push(() => app.client.close());
      await act(app, world);
      expect(app.seen).toEqual(seen);
    });

    it.each(tokens)(`${server}: a token is %s`, async (_, token, seen) => {
      const world = await stage(start, {});
      const app = new App(world, {}, token(world));
      ends.push(() => app.client.close());
      app.join();
      await app.until(seen.at(-1)!);
      expect(app.seen).toEqual(seen);
    });
  }
});
