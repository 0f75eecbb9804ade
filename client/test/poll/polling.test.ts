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

/** A connection without a client, which is at 7 and parked, and what is heard over it. */
async function connected() {
  const server = fakeFetch();
  const heard: string[] = [];
  const connection = pollTransport()("ws://edge.test/ws", {
    open: () => heard.push("open"),
    message: (text) => heard.push(JSON.parse(text).op),
    close: () => heard.push("close"),
  });
  const send = async (frame: object) => {
    connection.send(JSON.stringify(frame));
    await pass();
  };
  await pass();
  await send({ op: "hello", token: "first", rooms: [ref(room)] });
  await server.last().answer(joined(7), soon);
  expect(heard).toEqual(["open", "welcome", "joined", "denied"]);
  return { server, send, heard };
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

  it("gets an answer however fast it joins and leaves, and one to the last of it", async () => {
    const { server, client, seqs } = await polling();
    const { length } = server.polls;
    for (let i = 0; i < 10; i++) {
      const row = client.room(`settlement:${i}`);
      await pass(200);
      row.leave();
    }
    expect(server.polls.slice(length - 1).map(({ aborted }) => aborted), "the parked one makes room").toEqual([true, false]);
    const first = server.last();
    expect(first.rooms).toEqual([ref(room, position(7)), ref("settlement:0"), now]);
    const last = client.room("settlement:10", { since: position(5) });
    await pass(20);
    await first.answer(joined(9, { recovered: true, replay: 1 }), event(9, 7), joined(8, {}, "settlement:0"), soon);
    expect(seqs).toEqual([9]);
    const { rooms } = server.last();
    expect(rooms).toContainEqual(ref(room, position(9)));
    expect(rooms).toContainEqual(ref("settlement:10", position(5)));
    expect(rooms).toContainEqual(now);
    expect(rooms, "left again").not.toContainEqual(ref("settlement:0"));
    await server.last().answer(joined(5, { recovered: true, replay: 0 }, "settlement:10"), soon);
    expect(last.state).toBe("live");
  });

  it("gives a poll up that has another token, though it is answered soon", async () => {
    const { server, send, heard } = await connected();
    await send({ op: "join", rooms: [ref("campaign:1")] });
    const before = server.last();
    await send({ op: "token", token: "second" });
    expect(before.aborted).toBe(true);
    expect(server.last()).toMatchObject({ token: "second", rooms: [ref(room, position(7)), ref("campaign:1"), now] });
    await server.last().answer(joined(7, { recovered: true, replay: 0 }), joined(8, {}, "campaign:1"), soon);
    expect(heard).toContain("token_ok");
  });

  it.each(["is cut off", "is refused", "says that the edge goes"])("asks at once again when a poll that is answered soon %s", async (how) => {
    const { server, send, heard } = await connected();
    await send({ op: "join", rooms: [ref("campaign:1")] });
    if (how == "is cut off") await server.last().fail();
    else if (how == "is refused") await server.last().respond(503, '{"code":4503,"reason":"draining"}');
    else await server.last().answer({ op: "drain", within: 0 });
    expect(heard.at(-1)).toBe("drain");
    const { length } = server.polls;
    await send({ op: "join", rooms: [ref("campaign:2")] });
    expect(server.polls).toHaveLength(length + 1);
    await server.last().answer(joined(7, { recovered: true, replay: 0 }), joined(8, {}, "campaign:1"), joined(9, {}, "campaign:2"), soon);
    await pass(4_000);
    expect(server.last().rooms).toEqual([ref(room, position(7)), ref("campaign:1", position(8)), ref("campaign:2", position(9))]);
    expect(heard, "it goes on").not.toContain("close");
  });

  it("knows of a position that has moved on without events, and sees no gap", async () => {
    const { server, handle, seqs, observed } = await polling();
    for (let seq = 50; seq < 110; seq += 10) await server.last().answer(joined(seq, { recovered: true, replay: 0 }), event(seq + 5, seq));
    expect(seqs).toEqual([55, 65, 75, 85, 95, 105]);
    expect(handle.position).toEqual(position(105));
    expect(observed.filter(({ type }) => type == "gap")).toEqual([]);
  });

  it("keeps the position of a quiet room young beside a busy one", async () => {
    const { server, client, observed } = await polling();
    const quiet = client.room("campaign:1");
    await pass(20);
    await server.last().answer(joined(7, { recovered: true, replay: 0 }), joined(8, {}, "campaign:1"), soon);
    const { length } = observed;
    for (let second = 1; second <= 180; second++) {
      const young = { ...position(8), ts: 1_008 + second * 1_000 };
      await server.last().answer(
        joined(6 + second, { recovered: true, replay: 0 }),
        joined(8, { recovered: true, replay: 0, position: young }, "campaign:1"),
        event(7 + second, 6 + second),
      );
      expect(young.ts - quiet.position!.ts!).toBeLessThan(60_000);
    }
    expect(observed.slice(length).map(({ type }) => type), "once a minute").toEqual(["joined", "joined", "joined"]);
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
    ["a proxy without /poll", 404, "<html>Not Found</html>"],
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
    if (body != "null") expect(String((observed[0] as { error: unknown }).error)).toContain(`/poll answered ${status}`);
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
    [408, 4408, "hello_timeout"],
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
