import { describe, expect, it } from "vitest";
import { event, joined, live, pass, position, ref, room, withFakeTime } from "./fake.js";

withFakeTime();

/** Live for long enough to be a good connection, and asked to go. */
async function draining() {
  const started = await live();
  const states: string[] = [];
  started.handle.onState((state) => states.push(state));
  started.client.subscribe(({ state }) => states.push(state));
  await pass(10_000);
  started.connection.send({ op: "drain", within: 10_000 });
  return { ...started, states };
}

describe("a drain", () => {
  it("is a second socket first, a switch at its welcome, and nothing to be seen", async () => {
    const { client, connection, handle, seqs, server, states, observed } = await draining();
    await pass(3_700);
    expect(server.connections).toHaveLength(1);
    await pass(100);
    const next = server.last;
    expect(next).not.toBe(connection);
    next.open();
    expect(next.news()).toEqual([{ op: "hello", token: "token-1", rooms: [ref(room, position(7))] }]);
    connection.send(event(9, 7));
    expect(connection.closed).toBe(false);
    next.welcome(3600, "edge-2");
    expect(connection.closed).toBe(true);
    next.send(joined(10, { recovered: true, replay: 2 }), event(9, 7), event(10, 9), event(11, 10));
    expect(seqs).toEqual([9, 10, 11]);
    expect(handle.state).toBe("live");
    expect(new Set(states)).toEqual(new Set(["connected"]));
    expect(client.connection.edge).toBe("edge-2");
    expect(observed).toContainEqual({ type: "connected", edge: "edge-2", ms: 0 });
    expect(observed.some(({ type }) => type == "lost")).toBe(false);
  });

  it("has joins and leaves sent over both", async () => {
    const { client, connection, handle, server } = await draining();
    await pass(3_750);
    const next = server.last;
    client.room("campaign:1");
    next.open();
    expect(connection.news(), "so that both know the same").toEqual([{ op: "join", rooms: [ref("campaign:1")] }]);
    expect(next.news()).toMatchObject([{ op: "hello", rooms: [ref(room, position(7)), ref("campaign:1")] }]);
    client.room("campaign:2");
    handle.leave();
    await pass(1_020);
    for (const each of [connection, next]) {
      expect(each.news()).toEqual([
        { op: "join", rooms: [ref("campaign:2")] },
        { op: "leave", rooms: [room] },
      ]);
    }
  });

  it("goes on with the second connection when the first is cut short", async () => {
    const { client, connection, handle, server, seqs } = await draining();
    await pass(3_750);
    connection.close(4503);
    expect(client.connection.state).toBe("connecting");
    server.accept().send(joined(9, { recovered: true, replay: 1 }), event(9, 7));
    expect(handle.state).toBe("live");
    expect(seqs).toEqual([9]);
    await pass(10_000);
    expect(server.connections).toHaveLength(2);
  });

  it("tries again when the second connection is lost", async () => {
    const { client, connection, server } = await draining();
    await pass(3_750);
    server.last.open();
    server.last.close(4503);
    expect(client.connection.state).toBe("connected");
    await pass(500);
    expect(server.connections).toHaveLength(3);
    server.accept();
    expect(connection.closed).toBe(true);
    expect(client.connection.state).toBe("connected");
  });

  it("stays where it is when the second connection is refused for good", async () => {
    const { client, connection, server } = await draining();
    await pass(3_750);
    server.last.close(4400);
    await pass(20_000);
    expect(client.connection.state).toBe("connected");
    expect(server.connections).toHaveLength(2);
    connection.close(4503);
    expect(client.connection.state).toBe("waiting");
  });

  it("reconnects at once when there was no time to move", async () => {
    const { client, connection, server } = await draining();
    connection.close(4503);
    expect(client.connection).toMatchObject({ state: "waiting", attempt: 1, error: { code: "draining" } });
    await pass(500);
    expect(server.connections).toHaveLength(2);
  });

  it("does not turn back for a handle until it is over", async () => {
    const { client, server, seqs } = await draining();
    await pass(3_750);
    const next = server.last;
    next.open();
    const heard: number[] = [];
    client.room(room, { since: position(3) }).on("*", (_, { position: { seq } }) => heard.push(seq));
    await pass(20);
    next.welcome();
    next.news();
    next.send(joined(9, { recovered: true, replay: 1 }), event(9, 7));
    await pass(20);
    expect(next.news()).toEqual([{ op: "join", rooms: [ref(room, position(3))] }]);
    next.send(joined(9, { recovered: true, replay: 3 }), event(5, 3), event(7, 5), event(9, 7));
    expect(heard).toEqual([5, 7, 9]);
    expect(seqs).toEqual([9]);
  });

  it("of edges in turns does not have a client run in circles", async () => {
    const { server } = await draining();
    for (let i = 0; i < 600; i++) {
      await pass(100);
      if (!server.last.closed && server.last.received.length == 0) server.accept().send({ op: "drain", within: 0 });
    }
    expect(server.connections.length).toBeLessThanOrEqual(9);
  });
});
