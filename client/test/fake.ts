/** A server that does word by word what a test says, and a client of it with time and chance under the test's control. */
import { afterEach, expect, vi } from "vitest";
import type { ClientFrame, RoomRef, ServerFrame } from "../src/frames.js";
import { createClient, type Client, type ClientOptions, type Observation, type Position, type Transport, type TransportEvents } from "../src/index.js";

/** The room of most tests. */
export const room = "campaign:42";

/** Whoever connects waits until the test accepts. */
export class FakeServer {
  readonly connections: FakeConnection[] = [];

  readonly transport: Transport = (url, events) => {
    const connection = new FakeConnection(url, events);
    this.connections.push(connection);
    return connection.end;
  };

  /** The newest connection. */
  get last(): FakeConnection {
    return this.connections.at(-1)!;
  }

  /** Opens and welcomes the newest connection. */
  accept(ttl = 3600): FakeConnection {
    const connection = this.last;
    connection.open();
    connection.welcome(ttl);
    return connection;
  }
}

export class FakeConnection {
  readonly received: ClientFrame[] = [];
  closed = false; // by the client
  #seen = 0;

  constructor(
    readonly url: string,
    readonly events: TransportEvents,
  ) {}

  /** What the client holds of it. */
  readonly end = {
    send: (text: string) => {
      expect(this.closed, "sent over a closed connection").toBe(false);
      this.received.push(JSON.parse(text));
    },
    close: () => {
      this.closed = true;
    },
  };

  open(): void {
    this.events.open();
  }

  welcome(ttl = 3600, edge = "edge-1"): void {
    this.send(welcome(ttl, edge));
  }

  send(...frames: ServerFrame[]): void {
    for (const frame of frames) this.events.message(JSON.stringify(frame));
  }

  close(code = 1006, reason = ""): void {
    this.events.close(code, reason);
  }

  /** The frames that came since the last call. */
  news(): ClientFrame[] {
    const news = this.received.slice(this.#seen);
    this.#seen = this.received.length;
    return news;
  }
}

export function position(seq: number, epoch = "e"): Position {
  return { epoch, seq, id: `evt-${seq}`, ts: 1000 + seq };
}

export function welcome(ttl = 3600, edge = "edge-1"): ServerFrame {
  return { op: "welcome", session: "s", edge, ttl, ping: 25 };
}

export function joined(seq: number, more: object = {}, name = room): ServerFrame {
  return { op: "joined", room: name, position: position(seq), ...more };
}

export function event(seq: number, prev: number, type = "settlement_updated", data: unknown = { id: `${seq}` }, name = room): ServerFrame {
  return {
    op: "event",
    room: name,
    seq,
    prev,
    ts: 1000 + seq,
    event: { specversion: "1.0", id: `evt-${seq}`, source: "/test", type, time: "2024-11-23T19:26:40Z", data },
  };
}

export function denied(code: string, retryable = false, name = room): ServerFrame {
  return { op: "denied", room: name, code, retryable, message: "for people" };
}

export const ref = (name: string, since?: Position): RoomRef => ({ room: name, ...(since && { since }) });

const clients: Client[] = [];

/** A client with a server of its own; waits take half of their cap unless the test says otherwise. */
export function start(options: Partial<ClientOptions> = {}): { server: FakeServer; client: Client; observed: Observation[]; tokens: string[] } {
  const server = new FakeServer();
  const observed: Observation[] = [];
  const tokens: string[] = [];
  const client = createClient({
    url: "ws://edge.test/ws",
    token: ({ reason }) => {
      tokens.push(reason);
      return `token-${tokens.length}`;
    },
    transport: server.transport,
    random: () => 0.5,
    observe: (observation) => observed.push(observation),
    ...options,
  });
  clients.push(client);
  return { server, client, observed, tokens };
}

/** A client in one room that is live at 7. */
export async function live(options: Partial<ClientOptions> = {}) {
  const started = start(options);
  const handle = started.client.room(room);
  const seqs: number[] = [];
  handle.on("*", (_, delivery) => void seqs.push(delivery.position.seq));
  await pass(20);
  const connection = started.server.accept();
  connection.send(joined(7));
  connection.news();
  return { ...started, handle, connection, seqs };
}

/** Lets time pass, and what follows from it happen. */
export async function pass(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** Expects uncaught errors, and no others, of what is done. */
export async function surfacing(problems: readonly unknown[], act: () => void | Promise<void>): Promise<void> {
  const surfaced: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => surfaced.push(error));
  try {
    await act();
    await pass();
    expect(surfaced).toEqual(problems);
  } finally {
    process.removeAllListeners("uncaughtException");
    for (const listener of listeners) process.on("uncaughtException", listener);
  }
}

/** Fake timers for each test of a file; every client is closed after its test, and no timer may be left then. */
export function withFakeTime(): void {
  vi.useFakeTimers();
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await pass(); // what was waited for ends after that
    expect(vi.getTimerCount(), "timers left behind").toBe(0);
  });
}
