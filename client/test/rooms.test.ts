import { describe, expect, it, vi } from "vitest";
import type { Reset, RoomState, TidingsEvent } from "../src/index.js";
import { denied, event, joined, live, pass, position, ref, room, start, surfacing, withFakeTime } from "./fake.js";

withFakeTime();

describe("intents", () => {
  it("within 20 ms become one frame with the net difference", async () => {
    const { client, connection, handle } = await live();
    const others = ["campaign:1", "campaign:2"].map((name) => client.room(name));
    await pass(10);
    others[0]!.leave();
    const again = client.room("campaign:1");
    await pass(10);
    expect(connection.news()).toEqual([{ op: "join", rooms: [ref("campaign:1"), ref("campaign:2")] }]);
    for (const each of [handle, others[1]!, again]) each.leave();
    await pass(1_020);
    expect(connection.news()).toEqual([{ op: "leave", rooms: [room, "campaign:1", "campaign:2"] }]);
  });

  it("of mount, unmount, mount are one socket, one hello, one join", async () => {
    const { client, server } = start();
    client.room(room).leave();
    client.room(room);
    await pass(5_000);
    server.accept();
    expect(server.connections).toHaveLength(1);
    expect(server.last.received).toEqual([{ op: "hello", token: "token-1", rooms: [ref(room)] }]);
  });

  it("to leave wait for a second, so that coming back costs nothing", async () => {
    const { client, connection, handle } = await live();
    handle.leave();
    await pass(900);
    const again = client.room(room);
    expect(again.state).toBe("live");
    await pass(5_000);
    expect(connection.news()).toEqual([]);
  });

  it("before the welcome are sent after hello", async () => {
    const { client, server } = start();
    client.connect();
    await pass();
    server.last.open();
    client.room(room);
    await pass(20);
    expect(server.last.news()).toMatchObject([{ op: "hello", rooms: [] }, { op: "join", rooms: [ref(room)] }]);
  });

  it("of many rooms are several frames", async () => {
    const { client, server } = start();
    for (let i = 0; i < 128; i++) client.room(`campaign:${i}${"é".repeat(50)}`);
    await pass(20);
    server.accept();
    const [hello, ...joins] = server.last.news();
    expect(hello!.op).toBe("hello");
    expect(joins.length).toBeGreaterThan(0);
    expect(new Set(joins.map(({ op }) => op))).toEqual(new Set(["join"]));
    for (const frame of server.last.received) expect(Buffer.byteLength(JSON.stringify(frame))).toBeLessThan(8192);
  });
});

describe("handles", () => {
  it("share one membership and hear apart", async () => {
    const { client, connection, handle, seqs } = await live();
    const other = client.room(room);
    const heard: string[] = [];
    const off = other.on("settlement_updated", (e) => heard.push(e.data.id));
    other.on("structure_updated", (e) => heard.push(`structure ${e.data.id}`));
    connection.send(event(9, 7), event(10, 9, "structure_updated"), event(12, 10, "of_tomorrow"));
    expect(heard).toEqual(["9", "structure 10"]);
    off();
    connection.send(event(13, 12));
    handle.leave();
    connection.send(event(14, 13, "structure_updated"));
    expect(heard).toEqual(["9", "structure 10", "structure 14"]);
    expect(seqs).toEqual([9, 10, 12, 13]);
    expect(handle).toMatchObject({ state: "idle", position: undefined });
    await expect(handle.ready()).rejects.toMatchObject({ code: "left" });
    handle.leave();
  });

  it("get the event, how it came, and the committed position", async () => {
    const { connection, handle } = await live();
    const got = vi.fn();
    handle.on("*", got);
    connection.send(event(9, 7));
    expect(got.mock.calls).toEqual([
      [expect.objectContaining({ id: "evt-9", type: "settlement_updated", data: { id: "9" } }), { room, position: position(9), replayed: false }],
    ]);
    expect(handle.position).toEqual(position(9));
  });

  it("that throw stop nobody, surface, and do not have the event applied twice", async () => {
    const { connection, handle, seqs } = await live();
    const problem = new Error("of the page");
    const other = vi.fn();
    handle.on("settlement_updated", () => {
      throw problem;
    });
    handle.on("settlement_updated", other);
    await surfacing([problem], () => connection.send(event(9, 7), event(9, 7)));
    expect(other).toHaveBeenCalledTimes(1);
    expect(seqs).toEqual([9]);
  });

  it("may be left while they hear", async () => {
    const { connection, handle } = await live();
    const second = vi.fn();
    handle.on("settlement_updated", () => handle.leave());
    handle.on("settlement_updated", second);
    connection.send(event(9, 7));
    expect(second).not.toHaveBeenCalled();
  });

  it("tell of states and are ready when live", async () => {
    const { client, server } = start();
    const handle = client.room(room);
    const states: RoomState[] = [];
    handle.onState((state) => states.push(state));
    const ready = handle.ready();
    await pass(20);
    server.accept().send(joined(7));
    expect(await ready).toEqual(position(7));
    server.last.close();
    await pass(500);
    server.accept().send(joined(9, { recovered: true, replay: 1 }));
    expect(handle.state, "the replay is still to come").toBe("recovering");
    server.last.send(event(9, 7));
    handle.leave();
    expect(states).toEqual(["live", "recovering", "live", "idle"]);
  });

  it("get events of strange shape by *", async () => {
    const { connection, handle } = await live();
    const got: TidingsEvent[] = [];
    handle.on("*", (e) => got.push(e));
    connection.events.message(JSON.stringify({ op: "event", room, seq: 9, prev: 7, ts: 1, event: {} }));
    connection.send(event(10, 9, "*"));
    expect(got).toEqual([{}, expect.objectContaining({ type: "*" })]);
  });
});

describe("handlers of the client", () => {
  it("hear of all rooms, each event once whatever handles there are", async () => {
    const { client, connection } = await live();
    client.room(room);
    client.room("campaign:1");
    const every: string[] = [];
    const settlements: string[] = [];
    client.on("*", ({ type }, delivery) => every.push(`${delivery.room} ${delivery.position.seq} ${type}`));
    const off = client.on("settlement_updated", ({ data }) => settlements.push(data.id));
    await pass(20);
    connection.send(joined(8, {}, "campaign:1"));
    connection.send(event(9, 7), event(10, 8, "of_tomorrow", {}, "campaign:1"), event(9, 7), event(11, 9));
    expect(every).toEqual(["campaign:42 9 settlement_updated", "campaign:1 10 of_tomorrow", "campaign:42 11 settlement_updated"]);
    expect(settlements).toEqual(["9", "11"]);
    off();
    connection.send(event(12, 11));
    expect(settlements).toEqual(["9", "11"]);
    expect(every).toHaveLength(4);
  });

  it("hear a reset once, with its room", async () => {
    const { client, connection } = await live();
    client.room(room);
    const resets: Reset[] = [];
    const off = client.onReset((reset) => resets.push(reset));
    connection.send(joined(9, { recovered: false, reason: "truncated", spread: 500 }));
    expect(resets).toEqual([{ room, reason: "truncated", spreadMs: 500, position: position(9) }]);
    off();
    connection.send(joined(10, { recovered: false, reason: "truncated" }));
    expect(resets).toHaveLength(1);
  });

  it("that throw stop no other, nor the client", async () => {
    const { client, connection, seqs } = await live();
    const problem = new Error("of the page");
    const other = vi.fn();
    const throws = () => {
      throw problem;
    };
    client.on("*", throws);
    client.on("*", other);
    client.onReset(throws);
    client.onReset(other);
    await surfacing([problem, problem, problem], () => {
      connection.send(event(9, 7), joined(10, { recovered: false, reason: "truncated" }), event(11, 10));
    });
    expect(other).toHaveBeenCalledTimes(3);
    expect(seqs).toEqual([9, 11]);
  });

  it("do not hear again what a late handle reads again, unless they want to", async () => {
    const { client, connection, seqs } = await live();
    const once: number[] = [];
    const again: number[] = [];
    client.on("*", (_, { position: { seq } }) => once.push(seq));
    client.on("*", (_, { position: { seq } }) => again.push(seq), { again: true });
    connection.send(event(9, 7));
    const late = client.room(room, { since: position(5) });
    const heard: number[] = [];
    late.on("*", (_, { position: { seq } }) => heard.push(seq));
    await pass(20);
    connection.send(joined(10, { recovered: true, replay: 3 }), event(7, 5), event(9, 7), event(10, 9), event(11, 10));
    expect(heard).toEqual([7, 9, 10, 11]);
    expect(again, "the data as of 5 lacks all of these").toEqual([9, 7, 9, 10, 11]);
    expect(once).toEqual([9, 10, 11]);
    expect(seqs).toEqual([9, 10, 11]);
  });

  it("hear what follows a reset, though its numbers are smaller", async () => {
    const { client, connection } = await live();
    const heard: number[] = [];
    client.on("*", (_, { position: { seq } }) => heard.push(seq));
    client.room(room, { since: position(5) });
    await pass(20);
    connection.send(joined(2, { recovered: false, reason: "epoch", position: position(2, "f") }), event(3, 2));
    expect(heard).toEqual([3]);
  });

  it("hear nothing when the client is closed, not even of what is under way", async () => {
    const { client, connection, handle } = await live();
    const heard = vi.fn();
    client.on("*", heard);
    client.onReset(heard);
    handle.on("*", () => client.close());
    connection.send(event(9, 7));
    expect(heard).not.toHaveBeenCalled();
  });
});

describe("a gap", () => {
  it("has the room joined again from its position, and what comes meanwhile dropped", async () => {
    const { connection, handle, observed, seqs } = await live();
    connection.send(event(12, 9), event(13, 12));
    expect(handle.state).toBe("recovering");
    expect(connection.news()).toEqual([{ op: "join", rooms: [ref(room, position(7))] }]);
    connection.send(joined(13, { recovered: true, replay: 3 }), event(9, 7), event(12, 9), event(13, 12), event(14, 13));
    expect(seqs).toEqual([9, 12, 13, 14]);
    expect(handle.state).toBe("live");
    expect(observed.filter(({ type }) => type == "gap")).toHaveLength(1);
  });

  it("five times within a minute has the room given up, with one try after another minute", async () => {
    const { connection, handle, observed } = await live();
    const gap = () => connection.send(event(20, 19));
    const again = () => connection.send(joined(7, { recovered: true, replay: 0 }));
    for (let i = 0; i < 4; i++) {
      gap();
      again();
    }
    expect(connection.news()).toHaveLength(4);
    gap();
    expect(handle).toMatchObject({ state: "failed", error: { code: "unstable", retryable: true } });
    expect(connection.news()).toEqual([{ op: "leave", rooms: [room] }]);
    expect(observed).toContainEqual({ type: "breaker", room });
    again();
    expect(handle.state, "an answer from before").toBe("failed");
    for (let i = 0; i < 2; i++) {
      await pass(30_000);
      connection.send({ op: "ping", ts: 1 });
    }
    await pass(20);
    expect(connection.news()).toContainEqual({ op: "join", rooms: [ref(room, handle.position!)] });
    again();
    expect(handle.state).toBe("live");
    gap();
    expect(handle.state, "one more is too many").toBe("failed");
    for (let i = 0; i < 5; i++) {
      await pass(25_000);
      connection.send({ op: "ping", ts: 1 });
    }
    again();
    gap();
    again();
    expect(handle.state, "it was good for a minute").toBe("live");
  });

  it("now and then is no reason to give up", async () => {
    const { connection, handle } = await live();
    for (let i = 0; i < 20; i++) {
      connection.send(event(20, 19), joined(7, { recovered: true, replay: 0 }));
      await pass(20_000);
      connection.send({ op: "ping", ts: 1 });
    }
    expect(handle.state).toBe("live");
  });

  it("does not come of a first answer that is late", async () => {
    const { client, server } = start();
    const handle = client.room(room);
    const seqs: number[] = [];
    handle.on("*", (_, { position: { seq } }) => seqs.push(seq));
    await pass(20);
    const old = server.accept();
    old.send({ op: "drain", within: 0 });
    await pass(500);
    server.last.open();
    expect(server.last.news()).toMatchObject([{ op: "hello", rooms: [ref(room)] }]);
    old.send(joined(7), event(8, 7));
    server.last.welcome();
    server.last.send(joined(12));
    expect(server.last.news()).toEqual([{ op: "join", rooms: [ref(room, position(8))] }]);
    server.last.send(joined(12, { recovered: true, replay: 2 }), event(10, 8), event(12, 10), event(13, 12));
    expect(seqs).toEqual([8, 10, 12, 13]);
  });
});

describe("a reset", () => {
  it("is told with its spread, once, and events go on", async () => {
    const { connection, handle, server, seqs } = await live();
    const resets: Reset[] = [];
    handle.onReset((reset) => resets.push(reset));
    connection.close();
    await pass(500);
    server.accept().send(joined(98, { recovered: false, reason: "expired", spread: 500 }), event(99, 98));
    expect(resets).toEqual([{ room, reason: "expired", spreadMs: 500, position: position(98) }]);
    expect(seqs).toEqual([99]);
    expect(handle.state).toBe("live");
  });

  it("is not a first join", async () => {
    const { client, server } = start();
    const reset = vi.fn();
    client.room(room).onReset(reset);
    await pass(20);
    server.accept().send(joined(7));
    expect(reset).not.toHaveBeenCalled();
  });

  it("may come unasked, of another history that counts from 1 again", async () => {
    const { connection, handle, seqs } = await live();
    connection.send(joined(2, { recovered: false, reason: "epoch", spread: 0, position: position(2, "f") }), event(3, 2));
    expect(seqs).toEqual([3]);
    expect(handle.position).toMatchObject({ epoch: "f", seq: 3 });
  });

  it("five times within a minute has the room given up, too", async () => {
    const { connection, handle } = await live();
    for (let i = 0; i < 5; i++) connection.send(joined(20 + i, { recovered: false, reason: "truncated", spread: 0 }));
    expect(handle.state).toBe("failed");
  });
});

describe("a denied room", () => {
  it("is not asked for again with the same token", async () => {
    const { client, server } = start();
    const handle = client.room(room);
    await pass(20);
    const connection = server.accept();
    connection.send(denied("forbidden"));
    await expect(handle.ready()).rejects.toMatchObject({ code: "forbidden", message: "forbidden for people" });
    client.room(room);
    await pass(60_000);
    expect(server.connections[0]!.received.filter(({ op }) => op == "join")).toEqual([{ op: "join", rooms: ["?"] }]);
  });

  it("for now is asked for again after a second or more, ever more rarely", async () => {
    const { client, server } = start({ random: () => 0.999_999 });
    const handle = client.room(room);
    await pass(20);
    const connection = server.accept();
    connection.news();
    for (const cap of [1, 2, 4, 8]) {
      connection.send(denied("rate_limit", true));
      expect(handle.state).toBe("joining");
      await pass(1000 + cap * 1000 - 100);
      expect(connection.news()).toEqual([]);
      await pass(200);
      expect(connection.news()).toEqual([{ op: "join", rooms: [ref(room)] }]);
    }
    connection.send(joined(7));
    expect(handle.state).toBe("live");
  });

  it("for now goes on as it was, and takes nothing until it is joined again", async () => {
    const { connection, handle, seqs } = await live();
    connection.send(event(12, 9), denied("rate_limit", true), event(13, 12));
    expect(handle.state).toBe("recovering");
    await pass(1_600);
    expect(connection.news().at(-1)).toEqual({ op: "join", rooms: [ref(room, position(7))] });
    connection.send(joined(13, { recovered: true, replay: 3 }), event(9, 7), event(12, 9), event(13, 12));
    expect(seqs).toEqual([9, 12, 13]);
  });

  it("because of too many is asked for again when another one was left", async () => {
    const { client, connection, handle } = await live();
    const more = client.room("campaign:129");
    await pass(20);
    connection.send(denied("limit", false, "campaign:129"));
    expect(more.state).toBe("denied");
    handle.leave();
    connection.news();
    await pass(1_020);
    expect(connection.news()).toEqual([
      { op: "leave", rooms: [room] },
      { op: "join", rooms: [ref("campaign:129")] },
    ]);
  });

  it.each(["", "campaign", "Campaign:1", "campaign:", "campaign:a\nb", "campaign:" + "x".repeat(129), null, undefined])(
    "for its name is never asked for: %j",
    async (name) => {
      const { client, connection, server } = await live();
      const handle = client.room(name as string);
      expect(handle).toMatchObject({ state: "denied", error: { code: "bad_room" } });
      await pass(20);
      expect(connection.news()).toEqual([]);
      connection.close(4400);
      client.connect();
      await pass();
      server.last.open();
      expect(server.last.news()).toMatchObject([{ op: "hello", rooms: [ref(room, position(7))] }]);
    },
  );
});

describe("since", () => {
  it("closes the race between the page's query and its join", async () => {
    const { client, server } = start();
    const handle = client.room(room, { since: position(5) });
    const seqs: [number, boolean][] = [];
    handle.on("*", (_, { position: { seq }, replayed }) => seqs.push([seq, replayed]));
    await pass(20);
    server.accept().send(joined(7, { recovered: true, replay: 1 }), event(7, 5), event(8, 7));
    expect(seqs).toEqual([[7, true], [8, false]]);
  });

  it("of a later handle is read from, and the others hear nothing twice", async () => {
    const { client, connection, seqs } = await live();
    connection.send(event(9, 7));
    const late = client.room(room, { since: position(5) });
    const heard: number[] = [];
    late.on("*", (_, { position: { seq } }) => heard.push(seq));
    connection.send(event(10, 9));
    expect(heard, "not before what comes first").toEqual([]);
    expect(late.position, "how far it has been read by this one").toEqual(position(5));
    await pass(20);
    expect(connection.news()).toEqual([{ op: "join", rooms: [ref(room, position(5))] }]);
    connection.send(joined(10, { recovered: true, replay: 3 }), event(7, 5), event(9, 7), event(10, 9), event(11, 10));
    expect(heard).toEqual([7, 9, 10, 11]);
    expect(seqs).toEqual([9, 10, 11]);
    expect(late.position).toEqual(position(11));
  });

  it("is read from only when no other answer is to come", async () => {
    const { client, connection, seqs } = await live();
    connection.send(event(12, 9)); // a gap: joined again from 7
    connection.news();
    const late = client.room(room, { since: position(3) });
    const heard: number[] = [];
    late.on("*", (_, { position: { seq } }) => heard.push(seq));
    await pass(20);
    expect(connection.news()).toEqual([]);
    connection.send(joined(12, { recovered: true, replay: 2 }), event(9, 7), event(12, 9));
    await pass(20);
    expect(connection.news()).toEqual([{ op: "join", rooms: [ref(room, position(3))] }]);
    connection.send(joined(12, { recovered: true, replay: 4 }), event(5, 3), event(7, 5), event(9, 7), event(12, 9));
    expect(heard).toEqual([5, 7, 9, 12]);
    expect(seqs).toEqual([9, 12]);
  });

  it("that is ahead spares the handle what its data has already", async () => {
    const { client, connection, seqs } = await live();
    const heard: number[] = [];
    client.room(room, { since: position(9) }).on("*", (_, { position: { seq } }) => heard.push(seq));
    connection.send(event(9, 7), event(10, 9));
    expect(heard).toEqual([10]);
    expect(seqs).toEqual([9, 10]);
    await pass(20);
    expect(connection.news()).toEqual([]);
  });

  it.each([null, undefined])("may be %j", async (since) => {
    const { client, connection } = await live();
    client.room("campaign:1", { since });
    await pass(20);
    expect(connection.news()).toEqual([{ op: "join", rooms: [ref("campaign:1")] }]);
  });

  it.each(["1042", 7])("that is no position goes to the edge as one, whose answer is a reset: %j", async (since) => {
    const { client, connection } = await live();
    client.room("campaign:1", { since: since as never });
    await pass(20);
    expect(connection.news()).toEqual([{ op: "join", rooms: [{ room: "campaign:1", since: expect.any(Object) }] }]);
  });
});
