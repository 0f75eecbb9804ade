import { afterEach, describe, expect, it, vi } from "vitest";
import { createClient, type Client, type ClientOptions } from "../src/index.js";
import { createFakeServer, type FakeServer, type FakeServerOptions } from "../src/testing/index.js";
import { pass, withFakeTime } from "./fake.js";

const room = "campaign:42";

describe("the fake server", () => {
  const clients: Client[] = [];
  withFakeTime();
  afterEach(() => clients.splice(0).forEach((client) => client.close())); // runs before that of withFakeTime

  function made(options: Partial<ClientOptions>): Client {
    const client = createClient({ url: "ws://edge/ws", token: () => "token", random: () => 0, ...options });
    clients.push(client);
    return client;
  }

  /** A server and a client in one room, and what its handlers have got. */
  async function live(options?: FakeServerOptions, more: Partial<ClientOptions> = {}) {
    const server = createFakeServer(options);
    const client = made({ transport: server.transport, ...more });
    const handle = client.room(room);
    const got: unknown[] = [];
    handle.on("*", ({ data }) => got.push(data));
    handle.onReset(({ reason, spreadMs }) => got.push({ reason, spreadMs }));
    await pass(20);
    expect(handle.state).toBe("live");
    return { server, client, handle, got };
  }

  const say = (server: FakeServer, ...ids: string[]) => ids.forEach((id) => server.deliver(room, "settlement_updated", { id }));
  const ids = (...list: string[]) => list.map((id) => ({ id }));

  it("delivers within the call", async () => {
    const { server, got } = await live();
    const at = server.deliver(room, "settlement_updated", { id: "1" }, { subject: "1" });
    expect(got).toEqual(ids("1"));
    expect(at).toEqual(server.position(room));
    server.deliver("campaign:7", "settlement_updated", { id: "2" });
    expect(got).toEqual(ids("1"));
  });

  it("delivers in order what handlers deliver on their part", async () => {
    const { server, handle, got } = await live();
    handle.on("settlement_updated", ({ data }) => data.id == "1" && say(server, "2"));
    const second: string[] = [];
    handle.on("settlement_updated", ({ data }) => second.push(data.id));
    say(server, "1");
    expect(got).toEqual(ids("1", "2"));
    expect(second).toEqual(["1", "2"]);
  });

  it("delivers to those whose join was sent before, though it was not answered yet", async () => {
    const server = createFakeServer();
    server.hold();
    const client = made({ transport: server.transport });
    const handle = client.room(room);
    const got: string[] = [];
    handle.on("settlement_updated", ({ data }) => got.push(data.id));
    await pass(20);
    expect(client.connection.state).toBe("connecting");
    server.connect();
    say(server, "1");
    expect(got).toEqual(["1"]);
  });

  it("says the same to everybody, and knows who is there", async () => {
    const { server, got } = await live();
    const other = made({ transport: server.transport, url: "wss://other/ws", token: () => "another-token" });
    const heard: string[] = [];
    other.room(room).on("settlement_updated", ({ data }) => heard.push(data.id));
    other.room("settlement:7");
    await pass(20);
    say(server, "1");
    expect([got, heard]).toEqual([ids("1"), ["1"]]);
    expect(server.rooms).toEqual([room, "settlement:7"]);
    expect(server.connections).toMatchObject([
      { url: "ws://edge/ws", token: "token", rooms: [room] },
      { url: "wss://other/ws", token: "another-token", rooms: [room, "settlement:7"] },
    ]);
    expect(other.connection).toMatchObject({ edge: "other", session: "session-2" });
    other.close();
    expect(server.connections).toHaveLength(1);
    expect(server.received.map(({ op }) => op)).toEqual(["hello", "hello"]);
  });

  it("replays what was missed, unless it has forgotten it", async () => {
    const { server, got } = await live();
    server.drop();
    say(server, "1");
    await pass();
    expect(got).toEqual(ids("1"));
    server.drop();
    server.forget(room); // what everyone has had
    await pass();
    expect(got).toEqual(ids("1"));
    server.drop();
    say(server, "2");
    server.forget(room);
    await pass();
    say(server, "3");
    expect(got).toEqual([...ids("1"), { reason: "truncated", spreadMs: 0 }, ...ids("3")]);
  });

  it("keeps as many events as it was told to", async () => {
    const { server, got } = await live({ history: 2, spreadMs: 500 });
    server.drop();
    say(server, "1", "2", "3");
    await pass();
    expect(got).toEqual([{ reason: "truncated", spreadMs: 500 }]);
  });

  it("resets a room unasked", async () => {
    const { server, got, handle } = await live();
    server.reset(room, "epoch", 3000);
    expect(got).toEqual([{ reason: "epoch", spreadMs: 3000 }]);
    expect(handle.state).toBe("live");
    server.reset("campaign:7");
    expect(got).toHaveLength(1);
  });

  it("loses an event, which the next one shows", async () => {
    const { server, got, handle } = await live();
    server.gap(room, "settlement_updated", { id: "1" });
    await pass(60_000);
    expect(got).toEqual([]);
    say(server, "2");
    expect(handle.state).toBe("recovering");
    await pass();
    expect(got).toEqual(ids("1", "2"));
  });

  it("denies rooms, takes them away, and gives them back to another token", async () => {
    const tokens = ["first", "second", "third"];
    const { server, client, handle } = await live({}, { token: () => tokens.shift()! });
    server.deny("campaign:7");
    const other = client.room("campaign:7");
    await pass(20);
    expect(other.error?.code).toBe("forbidden");
    server.deny(room);
    expect(handle.error?.code).toBe("forbidden");
    expect(server.rooms).toEqual([]);
    server.allow(room);
    server.rejectToken();
    await pass(20);
    expect(handle.state).toBe("live");
    expect(other.state).toBe("denied");
  });

  it("denies for now", async () => {
    const { server, client } = await live();
    server.deny("campaign:7", "rate_limit");
    const other = client.room("campaign:7");
    await pass(20);
    expect(other.state).toBe("joining");
    server.allow("campaign:7");
    await pass(1100);
    expect(other.state).toBe("live");
  });

  it("refuses, holds and lets in", async () => {
    const server = createFakeServer();
    const client = made({ transport: server.transport, random: () => 0.5 });
    server.refuse();
    client.connect();
    await pass();
    expect(client.connection).toMatchObject({ state: "waiting", error: { code: "unreachable" } });
    server.hold();
    await pass(500);
    expect(client.connection.state).toBe("connecting");
    server.refuse(4429, "retry_after=30; too many");
    expect(client.connection).toMatchObject({ state: "waiting", error: { code: "limit_reached", retryAfter: 30_000 } });
    server.connect();
    await pass(32_000);
    expect(client.connection.state).toBe("connected");
    server.refuse();
    expect(client.connection.state).toBe("connected");
  });

  it("falls silent, which a client finds out", async () => {
    const { server, client, handle, got } = await live();
    server.silence();
    server.drop(); // nobody is told
    say(server, "1");
    expect(client.connection.state).toBe("connected");
    expect(got).toEqual([]);
    await pass(35_010);
    expect(handle.state).toBe("live");
    expect(got).toEqual(ids("1"));
    expect(server.connections).toHaveLength(1);
  });

  it("answers for hours", async () => {
    const { server, client, got } = await live();
    const { session } = client.connection;
    await pass(5 * 3_600_000);
    say(server, "1");
    expect(client.connection.session).toBe(session);
    expect(got).toEqual(ids("1"));
  });

  it("holds back from a client that lags", async () => {
    const { server, handle, got } = await live();
    server.lag(room);
    say(server, "1", "2");
    server.lag(room);
    say(server, "3");
    expect(got).toEqual([]);
    server.catchUp(room);
    server.catchUp(room);
    expect(got).toEqual(ids("1", "2", "3"));
    say(server, "4");
    expect(got).toHaveLength(4);
    expect(handle.state).toBe("live");
  });

  it("drains: nobody notices", async () => {
    const { server, client, handle, got } = await live({}, { random: () => 0.5 });
    const states: string[] = [];
    client.subscribe(({ state }) => states.push(state));
    handle.onState((state) => states.push(state));
    server.drain();
    say(server, "1");
    await pass(1000);
    say(server, "2");
    expect(got).toEqual(ids("1", "2"));
    expect(client.connection.session).toBe("session-2");
    expect(new Set(states)).toEqual(new Set(["connected"]));
    expect(server.connections).toHaveLength(1);
  });

  it("drained clients that stay are closed", async () => {
    const { server, client } = await live();
    server.hold();
    server.drain(5);
    await pass(5);
    expect(client.connection.state).toBe("connecting");
  });

  it("rejects tokens", async () => {
    let token = "old";
    const reasons: string[] = [];
    const { server, client } = await live({}, { token: ({ reason }) => (reasons.push(reason), token) });
    token = "new";
    server.rejectToken();
    await pass();
    expect(client.connection.state).toBe("connected");
    server.rejectToken("new");
    await pass();
    expect(client.connection).toMatchObject({ state: "failed", error: { code: "token_rejected" } });
    expect(reasons).toEqual(["connect", "rejected", "rejected"]);
  });

  it("tells how long each token is good for", async () => {
    const reasons: string[] = [];
    const { server } = await live({ ttl: (token) => Number(token) }, { token: ({ reason }) => `${60 * reasons.push(reason)}` });
    await pass(42_000);
    expect(reasons).toEqual(["connect", "refresh"]);
    await pass(83_000);
    expect(reasons).toHaveLength(2);
    await pass(1_000);
    expect(server.received.map(({ op }) => op).filter((op) => op == "token")).toHaveLength(2);
  });

  it("closes a connection that breaks the protocol", async () => {
    const bad = ['{"op":"join","rooms":["campaign:42"]}', '{"op":"nonsense"}', "no JSON", '{"op":"hello","rooms":{}}'];
    for (const text of bad) {
      const close = vi.fn();
      const connection = createFakeServer().transport("ws://edge/ws", { open: () => connection.send(text), message() {}, close });
      await pass();
      expect(close, text).toHaveBeenCalledExactlyOnceWith(4400, expect.any(String));
    }
    const closed = createFakeServer().transport("ws://edge/ws", { open() {}, message() {}, close() {} });
    expect(() => closed.send("{}")).toThrow("not open");
  });

  it("is used with names and types that can be", () => {
    const server = createFakeServer();
    expect(() => server.deliver("campaign", "settlement_updated", { id: "1" })).toThrow(
      '"campaign" is no room: write kind:id, such as campaign:42',
    );
    expect(() => server.deny("Campaign:42")).toThrow("is no room");
    expect(() => createFakeServer<any>().deliver(room, "", {})).toThrow("an event needs a type");
    // @ts-expect-error a misspelt event
    server.deliver(room, "settlement_udpated", { id: "1" });
    // @ts-expect-error a misspelt field
    server.deliver(room, "settlement_updated", { idd: "1" });
    createFakeServer<{ counted: { n: number } }>().gap(room, "counted", { n: 1 });
  });

  it("does the same with real timers, and with nothing faked", async () => {
    vi.useRealTimers();
    try {
      const server = createFakeServer();
      const client = made({ transport: server.transport });
      const handle = client.room(room);
      const got: string[] = [];
      handle.on("settlement_updated", ({ data }) => got.push(data.id));
      await handle.ready();
      say(server, "1");
      server.drop();
      say(server, "2");
      await expect.poll(() => got, { timeout: 20_000, interval: 10 }).toEqual(["1", "2"]);
      client.close();
    } finally {
      vi.useFakeTimers();
    }
  });
});
