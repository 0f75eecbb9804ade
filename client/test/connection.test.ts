import { describe, expect, it, vi } from "vitest";
import { ConnectionState, createClient, type Connection } from "../src/index.js";
import { event, joined, live, pass, position, ref, room, start, withFakeTime } from "./fake.js";

withFakeTime();

describe("connecting", () => {
  it("does nothing until there is a room", async () => {
    const { server, client } = start();
    await pass(60_000);
    expect(client.connection).toEqual({ state: ConnectionState.Idle, attempt: 0 });
    expect(server.connections).toHaveLength(0);
  });

  it("shows each state as another object", async () => {
    const { server, client } = start();
    const seen: Connection[] = [];
    const off = client.subscribe((connection) => seen.push(connection));
    client.connect();
    await pass();
    server.accept();
    expect(seen).toEqual([
      { state: "connecting", attempt: 0 },
      { state: "connected", attempt: 0, edge: "edge-1", session: "s" },
    ]);
    expect(client.connection).toBe(seen[1]);
    off();
    server.last.close();
    expect(seen).toHaveLength(2);
  });

  it("says hello with all rooms in one frame", async () => {
    const { server, client } = start();
    client.room(room);
    client.room("settlement:7", { since: position(3) });
    await pass(20);
    server.last.open();
    expect(server.last.news()).toEqual([
      { op: "hello", token: "token-1", rooms: [ref(room), ref("settlement:7", position(3))] },
    ]);
  });

  it("resolves addresses as they stand in a page", async () => {
    vi.stubGlobal("location", { href: "https://app.test/campaigns/42" });
    const { server, client } = start({ url: "/ws" });
    client.connect();
    await pass();
    expect(server.last.url).toBe("wss://app.test/ws");
  });

  it("tries the next of several addresses", async () => {
    const { server, client } = start({ url: ["ws://a.test/ws", "ws://b.test/ws"] });
    client.connect();
    await pass();
    server.last.close();
    await pass(500);
    server.last.close();
    await pass(1000);
    expect(server.connections.map(({ url }) => url)).toEqual(["ws://a.test/ws", "ws://b.test/ws", "ws://a.test/ws"]);
  });

  it.each(["http://", "no address"])("fails for an address that cannot work: %s", async (url) => {
    const { client } = start({ url });
    client.connect();
    await pass();
    expect(client.connection).toMatchObject({ state: "failed", error: { code: "unreachable", retryable: false } });
  });

  it("fails when the transport says that it cannot work", async () => {
    const { client } = start({
      transport: () => {
        throw new DOMException("mixed content", "SecurityError");
      },
    });
    client.connect();
    await pass();
    expect(client.connection.error).toMatchObject({ code: "unreachable", cause: { name: "SecurityError" } });
  });
});

describe("backoff", () => {
  it("has caps of 1, 2, 4, 8, 16, 32, 32 s", async () => {
    const { server, client } = start({ random: () => 0.999_999 });
    client.connect();
    await pass();
    for (const cap of [1, 2, 4, 8, 16, 32, 32]) {
      const before = server.connections.length;
      server.last.close();
      const { retryAt, state } = client.connection;
      expect(state).toBe("waiting");
      expect(retryAt! - Date.now()).toBeCloseTo(cap * 1000, -1);
      await pass(cap * 1000 - 100);
      expect(server.connections).toHaveLength(before);
      await pass(100);
      expect(server.connections).toHaveLength(before + 1);
    }
    expect(client.connection).toMatchObject({ state: "connecting", attempt: 7 });
  });

  it("is random from 0 to the cap", async () => {
    const { server, client } = start({ random: () => 0 });
    client.connect();
    await pass();
    server.last.close();
    await pass(0);
    expect(server.connections).toHaveLength(2);
  });

  it("starts over only after 10 s of a good connection", async () => {
    const { server, client } = start();
    client.connect();
    await pass();
    server.last.close();
    await pass(500);
    server.accept();
    expect(client.connection.attempt).toBe(0);
    await pass(9_900);
    server.last.close();
    expect(client.connection.attempt, "the second in a row").toBe(2);
    await pass(1_000);
    server.accept();
    await pass(10_000);
    server.last.close();
    expect(client.connection.attempt, "the first").toBe(1);
    expect(client.connection.retryAt! - Date.now()).toBe(500);
  });

  it.each([
    [4400, "protocol_error"],
    [4403, "disconnected"],
    [4413, "too_large"],
    [1007, "protocol_error"],
  ])("ends for good with %i", async (code, name) => {
    const { client, connection, handle, server } = await live();
    connection.close(code, "why");
    expect(client.connection).toMatchObject({ state: "failed", error: { code: name, retryable: false } });
    expect(handle.state).toBe("failed");
    await expect(handle.ready()).rejects.toMatchObject({ code: name });
    await pass(600_000);
    expect(server.connections).toHaveLength(1);
  });

  it("waits as long as the server says, whatever else happens", async () => {
    const { client, connection, server } = await live();
    connection.close(4429, "retry_after=30; too many connections");
    await pass(29_900);
    client.connect();
    await pass();
    expect(server.connections).toHaveLength(1);
    await pass(600);
    expect(server.connections).toHaveLength(2);
  });

  it("is cut short by connect(), which also tries again after a failure", async () => {
    const { client, connection, handle, server } = await live();
    connection.close();
    client.connect();
    await pass();
    expect(server.connections).toHaveLength(2);
    server.last.close(4400);
    expect(client.connection.state).toBe("failed");
    client.connect();
    expect(handle.state).toBe("recovering");
    await pass();
    server.accept().send(joined(7, { recovered: true, replay: 0 }));
    expect(handle.state).toBe("live");
  });
});

describe("health", () => {
  it("gives up a server that accepts and stays silent", async () => {
    const { client, server } = start();
    client.connect();
    await pass();
    server.last.open();
    await pass(10_000);
    expect(server.last.closed).toBe(true);
    expect(client.connection).toMatchObject({ state: "waiting", error: { code: "silent" } });
  });

  it("gives up a server that never opens", async () => {
    const { client, server } = start();
    client.connect();
    await pass(10_000);
    expect(server.last.closed).toBe(true);
    expect(client.connection.error).toMatchObject({ code: "silent" });
  });

  it("answers pings", async () => {
    const { connection } = await live();
    connection.send({ op: "ping", ts: 5000 });
    expect(connection.news()).toEqual([{ op: "pong" }]);
  });

  it("takes a connection for dead ping + 10 s after the last frame", async () => {
    const { client, connection, server } = await live();
    await pass(20_000);
    connection.send({ op: "ping", ts: 1 });
    await pass(34_900);
    expect(client.connection.state).toBe("connected");
    await pass(100);
    expect(client.connection).toMatchObject({ state: "waiting", error: { code: "silent" } });
    expect(connection.closed).toBe(true);
    await pass(500);
    expect(server.connections).toHaveLength(2);
  });

  it("keeps a connection that answers the probe, as after a suspend", async () => {
    const { client, connection } = await live();
    await pass(32_000);
    expect(connection.news()).toEqual([{ op: "join", rooms: ["?"] }]);
    connection.send({ op: "denied", room: "?", code: "bad_room", retryable: false, message: "" });
    await pass(20_000);
    expect(client.connection.state).toBe("connected");
  });

  it("hears nothing of an old socket", async () => {
    const { client, connection, handle, seqs, server } = await live();
    connection.close();
    await pass(500);
    server.accept().send(joined(7, { recovered: true, replay: 0 }));
    const before = client.connection;
    connection.close(4400);
    connection.send(event(9, 7), { op: "drain", within: 0 });
    connection.open();
    expect(client.connection).toBe(before);
    expect(handle.state).toBe("live");
    expect(seqs).toEqual([]);
  });

  it("reconnects when what comes is no frame", async () => {
    const { client, connection, handle, server } = await live();
    connection.events.message("{");
    expect(client.connection).toMatchObject({ state: "waiting", error: { code: "protocol_error", retryable: true } });
    expect(connection.closed).toBe(true);
    await pass(500);
    server.accept().send(joined(7, { recovered: true, replay: 0 }));
    expect(handle.state).toBe("live");
  });

  it("passes over frames of a newer protocol", async () => {
    const { client, connection } = await live();
    connection.events.message('{"op":"presence","room":"campaign:42"}');
    expect(client.connection.state).toBe("connected");
  });

  it("does not mind a clock that jumps", async () => {
    const { client, connection } = await live();
    vi.setSystemTime(Date.now() - 86_400_000);
    await pass(20_000);
    connection.send({ op: "ping", ts: 1 });
    vi.setSystemTime(Date.now() + 10 * 86_400_000);
    await pass(20_000);
    expect(client.connection.state).toBe("connected");
    connection.close();
    await pass(500);
    expect(client.connection.state).toBe("connecting");
  });
});

describe("closing", () => {
  it("is for good", async () => {
    const { client, connection, handle, server } = await live();
    client.close();
    expect(connection.closed).toBe(true);
    expect(client.connection).toMatchObject({ state: "closed", attempt: 0 });
    expect(handle.state).toBe("idle");
    client.connect();
    const late = client.room(room);
    await expect(late.ready()).rejects.toMatchObject({ code: "closed" });
    late.leave();
    await pass(60_000);
    expect(server.connections).toHaveLength(1);
    client.close();
  });

  it("ends a connection that is being made", async () => {
    const { client, server } = start();
    client.connect();
    await pass();
    client.close();
    expect(server.last.closed).toBe(true);
  });
});

describe("the application", () => {
  it("may do anything from within what it is told", async () => {
    const { client, connection, handle, server } = await live();
    handle.on("settlement_updated", () => client.close());
    connection.send(event(9, 7), event(10, 9));
    expect(client.connection.state).toBe("closed");

    const second = start();
    second.client.subscribe(({ state }) => state == "waiting" && second.client.connect());
    second.client.connect();
    await pass();
    second.server.last.close();
    await pass();
    expect(second.server.connections).toHaveLength(2);
    expect(server.connections).toHaveLength(1);
  });

  it("is told for its metrics", async () => {
    const { connection, observed, server } = await live();
    await pass(10_000);
    connection.close(4500, "internal error");
    await pass(500);
    server.accept().send(joined(9, { recovered: true, replay: 1 }), event(9, 7), event(9, 7));
    expect(observed).toMatchObject([
      { type: "connected", edge: "edge-1", ms: 0 },
      { type: "joined", room, replay: 0 },
      { type: "lost", error: { code: "internal" } },
      { type: "connected", ms: 500 },
      { type: "joined", room, replay: 1 },
      { type: "duplicate", room },
    ]);
  });

  it("needs no options but two", () => {
    const client = createClient({ url: "ws://edge.test/ws", token: () => "t" });
    expect(client.connection.state).toBe("idle");
    client.close();
  });
});
