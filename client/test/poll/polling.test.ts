import { describe, expect, it } from "vitest";
import type { ServerFrame } from "../../src/frames.js";
import { pollTransport } from "../../src/poll/index.js";
import { denied, event, joined, pass, position, ref, room, start, withFakeTime } from "../fake.js";
import { fakeFetch } from "./fetch.js";

withFakeTime();

const now = { room: "?" };
const soon: ServerFrame = { op: "denied", room: "?", code: "bad_room", retryable: false, message: "" };

/** A client that polls and is live at 7, with a poll that is parked. */
async function polling() {
  const server = fakeFetch();
  const started = start({ transport: pollTransport() });
  const handle = started.client.room(room);
  const seqs: number[] = [];
  const states: string[] = [];
  handle.on("*", (_, delivery) => void seqs.push(delivery.position.seq));
  await pass(20);
  await server.last().answer(joined(7), soon);
  expect(handle.state).toBe("live");
  handle.onState((state) => states.push(state));
  started.client.subscribe(({ state }) => states.push(state));
  return { ...started, server, handle, seqs, states };
}

describe("a client that polls", () => {
  it("asks for its rooms at once, then waits with their positions", async () => {
    const { server, client, observed } = await polling();
    const [first, second] = server.polls;
    expect(first).toMatchObject({ url: "http://edge.test/poll", token: "token-1", rooms: [ref(room), now] });
    expect(first!.init.method).toBe("POST");
    expect(second).toMatchObject({ token: "token-1", rooms: [ref(room, position(7))] });
    expect(server.polls).toHaveLength(2);
    expect(client.connection).toMatchObject({ state: "connected", edge: "edge-1" });
    expect(observed.map(({ type }) => type)).toEqual(["connected", "joined"]);
  });

  it("gets events in order, each once, and asks for what follows", async () => {
    const { server, seqs, handle, states, observed } = await polling();
    await server.last().answer(joined(7, { recovered: true, replay: 0 }), event(9, 7), event(12, 9));
    expect(seqs).toEqual([9, 12]);
    expect(handle.position).toEqual(position(12));
    expect(server.last().rooms).toEqual([ref(room, position(12))]);
    await server.last().answer(joined(15, { recovered: true, replay: 2 }), event(14, 11), event(15, 14), event(16, 15));
    expect(seqs).toEqual([9, 12, 14, 15, 16]);
    expect(server.last().rooms).toEqual([ref(room, position(16))]);
    expect(states).toEqual([]);
    expect(observed.filter(({ type }) => type == "gap" || type == "duplicate")).toEqual([]);
  });

  it("keeps the position of a quiet room young, and does not look silent", async () => {
    const { server, client, handle, states } = await polling();
    for (let ts = 26_000; ts < 260_000; ts += 25_000) {
      await pass(25_400);
      expect(server.last().rooms, "no probe").not.toContainEqual(now);
      await server.last().answer(joined(7, { recovered: true, replay: 0 }), { op: "ping", ts });
      expect(handle.position).toEqual({ ...position(7), ts });
      expect(server.last().rooms).toEqual([ref(room, { ...position(7), ts })]);
    }
    expect(states).toEqual([]);
    expect(client.connection.state).toBe("connected");
  });

  it("gives a parked poll up for a join, a leave or a token, and loses nothing", async () => {
    const { server, client, handle, seqs, tokens } = await polling();
    const other = client.room("campaign:1");
    await pass(20);
    expect(server.polls.map(({ aborted }) => aborted)).toEqual([false, true, false]);
    expect(server.last().rooms).toEqual([ref(room, position(7)), ref("campaign:1"), now]);
    await server.last().answer(joined(9, { recovered: true, replay: 1 }), event(9, 7), joined(8, {}, "campaign:1"), soon);
    expect(seqs).toEqual([9]);
    expect(other.state).toBe("live");

    handle.leave();
    await pass(1_020);
    expect(server.last().rooms).toEqual([ref("campaign:1", position(8)), now]);
    await server.last().answer(joined(8, { recovered: true, replay: 0 }, "campaign:1"), soon);
    expect(other.state).toBe("live");

    while (tokens.length == 1) {
      await pass(20_000);
      if (tokens.length == 1) await server.last().answer(joined(8, { recovered: true, replay: 0 }, "campaign:1"), { op: "ping", ts: 9_000 });
    }
    expect(server.last()).toMatchObject({ token: "token-2", rooms: [ref("campaign:1", { ...position(8), ts: 9_000 }), now] });
    await server.last().answer(denied("forbidden", false, "campaign:1"), soon);
    expect(other.state).toBe("denied");
    expect(server.last().rooms).toEqual([]);
    await pass(20_000);
    expect(tokens, "it was accepted").toHaveLength(2);
  });

  it("is told of a room that was joined while quiet at once", async () => {
    const { server, client } = await polling();
    const handle = client.room("campaign:1", { since: position(5) });
    await pass(20);
    await server.last().answer(joined(7, { recovered: true, replay: 0 }), joined(5, { recovered: true, replay: 0 }, "campaign:1"), soon);
    expect(handle.state).toBe("live");
  });

  it("hands on resets and denials", async () => {
    const { server, handle, client } = await polling();
    const resets: unknown[] = [];
    handle.onReset((reset) => resets.push(reset));
    await server.last().answer(joined(40, { recovered: false, reason: "expired", spread: 500 }));
    expect(resets).toMatchObject([{ reason: "expired", position: position(40) }]);
    expect(server.last().rooms).toEqual([ref(room, position(40))]);
    const forbidden = client.room("secret:1");
    await pass(20);
    await server.last().answer(joined(40, { recovered: true, replay: 0 }), denied("forbidden", false, "secret:1"), soon);
    expect(forbidden.state).toBe("denied");
    expect(server.last().rooms, "it is not asked for again").toEqual([ref(room, position(40))]);
  });

  it("rejoins over a gap from its own position, and passes over the rest of the answer", async () => {
    const { server, seqs, observed } = await polling();
    await server.last().answer(joined(7, { recovered: true, replay: 0 }), event(12, 10), event(13, 12));
    expect(observed.at(-1)).toMatchObject({ type: "gap" });
    expect(server.last().rooms).toEqual([ref(room, position(7)), now]);
    await server.last().answer(joined(13, { recovered: true, replay: 3 }), event(10, 7), event(12, 10), event(13, 12), soon);
    expect(seqs).toEqual([10, 12, 13]);
  });

  it("stops at once when a handler closes the client", async () => {
    const { server, handle, client, seqs } = await polling();
    handle.on("settlement_updated", () => client.close());
    await server.last().answer(joined(7, { recovered: true, replay: 0 }), event(9, 7), event(10, 9));
    expect(seqs).toEqual([9]);
    expect(server.polls).toHaveLength(2);
  });

  it("is probed by a real request, and given up when that is not answered", async () => {
    const { server, client, observed } = await polling();
    await pass(32_000);
    expect(server.last().rooms).toContainEqual(now);
    await server.last().answer(joined(7, { recovered: true, replay: 0 }), soon);
    await pass(31_900);
    expect(client.connection.state).toBe("connected");
    await pass(3_100);
    expect(observed.at(-1)).toMatchObject({ type: "lost", error: { code: "silent" } });
    expect(server.last().aborted).toBe(true);
  });

  it("moves at once, with nothing to be seen, when the edge goes", async () => {
    for (const goes of ["a drain frame", "a refusal"]) {
      const { server, client, states, seqs } = await polling();
      await pass(10_000);
      const parked = server.last();
      if (goes == "a refusal") await parked.respond(503, '{"code":4503,"reason":"draining"}');
      else await parked.answer(joined(7, { recovered: true, replay: 0 }), event(8, 7), { op: "drain", within: 9_000 });
      await pass(20);
      const next = server.last();
      expect(next.rooms).toEqual([ref(room, position(goes == "a refusal" ? 7 : 8)), now]);
      await next.answer(joined(9, { recovered: true, replay: 1 }), event(9, 8), soon);
      expect(seqs.at(-1)).toBe(9);
      await pass(5_000);
      expect(new Set(states)).toEqual(new Set(["connected"]));
      expect(server.polls.filter(({ aborted }) => !aborted).at(-1)).toBe(server.last());
      client.close();
    }
  });

  it("that cannot move from an edge that goes has lost it in the end", async () => {
    const { server, client, observed } = await polling();
    await pass(10_000);
    await server.last().respond(503, '{"code":4503,"reason":"draining"}');
    await pass(20);
    await server.last().fail(); // nor is there another
    await pass(3_000);
    await server.polls.filter(({ aborted, rooms }) => !aborted && rooms.length == 1).at(-1)!.respond(503, '{"code":4503,"reason":"draining"}');
    expect(observed.filter(({ type }) => type == "lost").at(-1)).toMatchObject({ error: { code: "draining" } });
    expect(client.connection.state).not.toBe("connected");
  });

  it("tries once more when a parked poll is cut off, and is lost when that fails as well", async () => {
    const { server, states, observed } = await polling();
    await pass(20_000);
    await server.last().respond(504, "<html>Gateway Timeout</html>");
    expect(server.last().rooms).toEqual([ref(room, position(7)), now]);
    await server.last().answer(joined(7, { recovered: true, replay: 0 }), soon);
    expect(states).toEqual([]);
    await pass(20_000);
    await server.last().fail();
    await server.last().fail();
    await pass();
    await server.last().fail(); // nor does another one answer
    expect(states).toEqual([]);
    while (!states.length) {
      await pass(100);
      if (!server.last().aborted) await server.last().fail();
    }
    expect(states).toContain("waiting");
    expect(observed.at(-1)).toMatchObject({ type: "lost", error: { code: "lost" } });
  });

  it("moves to another edge, with nothing to be seen, when one is gone", async () => {
    const { server, states, seqs } = await polling();
    await pass(10_000);
    await server.last().fail();
    await server.last().fail();
    await pass();
    await server.last().answer(joined(9, { recovered: true, replay: 1 }), event(9, 7), soon);
    expect(seqs).toEqual([9]);
    await pass(5_000);
    expect(new Set(states)).toEqual(new Set(["connected"]));
  });

  it.each([
    ["a captive portal", 200, "<!DOCTYPE html><title>Sign in</title>"],
    ["a bad gateway", 502, "<html>Bad Gateway</html>"],
    ["broken JSON", 200, '[{"op":"welcome"'],
    ["nothing", 200, ""],
    ["null", 200, "null"],
    ["another API", 404, '{"code":7,"message":"not found"}'],
    ["no welcome", 200, '[{"op":"ping","ts":1}]'],
    ["an empty list", 200, "[]"],
  ])("takes %s for no edge, and tries again", async (_, status, body) => {
    const server = fakeFetch();
    const { client, observed } = start({ transport: pollTransport() });
    client.room(room);
    await pass(20);
    await server.last().respond(status, body);
    expect(observed).toMatchObject([{ type: "lost", error: { code: "unreachable", retryable: true } }]);
    await pass(500);
    await server.last().answer(joined(7), soon);
    expect(client.connection.state).toBe("connected");
  });

  it("does not take frames that make no sense, and asks again from where it was", async () => {
    for (const frame of [{ op: "joined", room }, { op: "event", room, seq: 9 }, { op: "joined", room: "campaign:1", position: position(1) }, null]) {
      const { server, client, seqs } = await polling();
      const { length } = server.polls;
      await server.last().answer(frame as never);
      while (server.polls.length == length) await pass(100);
      expect(server.last().rooms).toEqual([ref(room, position(7)), now]);
      await server.last().answer(joined(9, { recovered: true, replay: 1 }), event(9, 7), soon);
      expect(seqs).toEqual([9]);
      expect(client.connection.state).toBe("connected");
      client.close();
    }
  });

  it.each([
    [401, 4401, "token_rejected"],
    [429, 4429, "limit_reached"],
    [500, 4500, "internal"],
    [503, 4503, "draining"],
    [400, 4400, "protocol_error"],
  ])("understands a refusal with %d", async (status, code, name) => {
    const server = fakeFetch();
    const { client, observed } = start({ transport: pollTransport() });
    client.room(room);
    await pass(20);
    await server.last().respond(status, JSON.stringify({ code, reason: code == 4429 ? "retry_after=30; limit" : "why" }));
    expect(observed).toMatchObject([{ type: "lost", error: { code: name, retryable: code != 4400, retryAfter: code == 4429 ? 30_000 : 0 } }]);
  });

  it("polls where it is told to", async () => {
    const server = fakeFetch();
    const { client } = start({ url: "wss://ws.example.com/ws", transport: pollTransport() });
    client.connect();
    await pass(20);
    expect(server.last().url).toBe("https://ws.example.com/poll");
    const { client: other } = start({ transport: pollTransport({ url: (url) => url.replace("ws://edge.test", "https://poll.test") }) });
    other.connect();
    await pass(20);
    expect(server.last().url).toBe("https://poll.test/ws");
  });
});
