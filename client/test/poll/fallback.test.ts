import { beforeEach, describe, expect, it, vi } from "vitest";
import { withPolling } from "../../src/poll/index.js";
import { denied, event, FakeServer, joined, pass, position, ref, room, start, withFakeTime } from "../fake.js";
import { fakeFetch } from "./fetch.js";

withFakeTime();
beforeEach(() => void vi.spyOn(Math, "random").mockReturnValue(0.5));

const soon = denied("bad_room", false, "?");

/** Lets time pass until one more is in the list. */
async function more(list: readonly unknown[]): Promise<void> {
  for (const { length } = list; list.length == length; ) await pass(100);
}

/** A client whose WebSockets all fail, up to the moment at which it has begun to poll. */
async function blocked() {
  const web = fakeFetch();
  const sockets = new FakeServer();
  const started = start({ transport: withPolling({ webSocket: sockets.transport }) });
  const handle = started.client.room(room);
  const seqs: number[] = [];
  handle.on("*", (_, delivery) => void seqs.push(delivery.position.seq));
  await pass(20);
  sockets.last.close();
  await pass(500);
  sockets.last.close();
  expect(web.polls, "not before the second failure").toHaveLength(0);
  await pass(1_000);
  expect(sockets.connections).toHaveLength(2);
  return { ...started, web, sockets, handle, seqs };
}

async function polling() {
  const started = await blocked();
  await started.web.last().answer(joined(7), soon);
  expect(started.handle.state).toBe("live");
  const states: string[] = [];
  started.handle.onState((state) => states.push(state));
  started.client.subscribe(({ state }) => states.push(state));
  return { ...started, states };
}

describe("a client that can poll", () => {
  it("does not as long as WebSockets open", async () => {
    const web = fakeFetch();
    const sockets = new FakeServer();
    const { client } = start({ transport: withPolling({ webSocket: sockets.transport }) });
    client.connect();
    await pass();
    for (let i = 0; i < 5; i++) {
      sockets.last.close();
      await more(sockets.connections);
      sockets.accept();
      sockets.last.close();
      await more(sockets.connections);
    }
    sockets.accept();
    expect(client.connection.state).toBe("connected");
    expect(web.polls).toHaveLength(0);
  });

  it("does after two in a row that failed, and tries one now and then", async () => {
    const { web, sockets, client, states, seqs } = await polling();
    await pass(25_000);
    await web.last().answer(joined(9, { recovered: true, replay: 1 }), event(9, 7));
    expect(sockets.connections).toHaveLength(2);
    await pass(5_000);
    expect(sockets.connections).toHaveLength(3);
    sockets.last.close();
    await pass(20_000);
    await web.last().answer(joined(10, { recovered: true, replay: 1 }), event(10, 9));
    await pass(10_000);
    expect(sockets.connections).toHaveLength(4);
    expect(seqs).toEqual([9, 10]);
    expect(states).toEqual([]);
    client.close();
    expect(sockets.last.closed, "the one on trial").toBe(true);
  });

  it("moves to a WebSocket that opens, and nothing is to be seen", async () => {
    const { web, sockets, states, seqs, client, handle, observed } = await polling();
    await pass(25_000);
    await web.last().answer(joined(9, { recovered: true, replay: 1 }), event(9, 7));
    await pass(5_000);
    sockets.last.open();
    expect(sockets.last.closed, "it was a trial").toBe(true);
    await pass();
    const parked = web.last();
    const { last } = sockets;
    last.open();
    expect(last.news()).toMatchObject([{ op: "hello", rooms: [ref(room, position(9))] }]);
    await parked.answer(joined(9, { recovered: true, replay: 0 }), event(10, 9));
    last.welcome();
    last.send(joined(10, { recovered: true, replay: 1 }), event(10, 9), event(11, 10));
    expect(web.last().aborted, "polling has ended").toBe(true);
    expect(seqs).toEqual([9, 10, 11]);
    expect(new Set(states)).toEqual(new Set(["connected"]));
    expect(observed.filter(({ type }) => type == "lost")).toHaveLength(2);
    const { length } = sockets.connections;
    await pass(31_000);
    expect(sockets.connections, "no more trials").toHaveLength(length);
    expect(client.connection.state).toBe("connected");
    expect(handle.state).toBe("live");
  });

  it("stays where it is when the WebSocket opens and then says nothing", async () => {
    const { web, sockets, states, client } = await polling();
    for (let i = 0; i < 12; i++) {
      await pass(10_000);
      if (!sockets.last.closed) sockets.last.open();
      const poll = web.polls.filter(({ aborted }) => !aborted).at(-1)!;
      if (poll == web.last()) await poll.answer(joined(7, { recovered: true, replay: 0 }), soon, { op: "ping", ts: 1 });
    }
    expect(new Set(states)).toEqual(new Set(["connected"]));
    expect(client.connection.state).toBe("connected");
  });

  it("does not blame WebSockets when HTTP does not get through either", async () => {
    const { web, sockets, client } = await blocked();
    await web.last().fail();
    await pass(4_000);
    expect(sockets.connections).toHaveLength(3);
    sockets.accept();
    expect(client.connection.state).toBe("connected");
    expect(web.polls).toHaveLength(1);
  });

  it("polls on while its edges come and go", async () => {
    const { web, sockets, handle } = await polling();
    await web.last().fail();
    await more(web.polls);
    expect(sockets.connections).toHaveLength(2);
    expect(web.last().rooms).toEqual([ref(room, position(7)), { room: "?" }]);
    await web.last().answer(joined(7, { recovered: true, replay: 0 }), soon);
    expect(handle.state).toBe("live");
  });

  it("takes an edge that refuses for one that was reached", async () => {
    const web = fakeFetch();
    const sockets = new FakeServer();
    const { client } = start({ transport: withPolling({ webSocket: sockets.transport }) });
    client.connect();
    for (let i = 0; i < 4; i++) {
      await more(sockets.connections);
      sockets.last.open();
      sockets.last.close(4503, "draining");
    }
    expect(web.polls).toHaveLength(0);
  });

  it("polls where a WebSocket says nothing", async () => {
    const web = fakeFetch();
    const sockets = new FakeServer();
    const { client } = start({ transport: withPolling({ webSocket: sockets.transport }) });
    client.connect();
    await pass();
    sockets.last.open();
    await pass(10_500);
    sockets.last.open();
    await pass(11_000);
    expect(web.polls).toHaveLength(1);
    await web.last().answer(soon);
    expect(client.connection.state).toBe("connected");
  });

  it("blames nothing when a client has no use for a connection any more", async () => {
    const web = fakeFetch();
    const sockets = new FakeServer();
    const transport = withPolling({ webSocket: sockets.transport });
    for (let i = 1; i <= 5; i++) {
      const { client } = start({ transport });
      client.connect();
      await pass(20);
      client.close();
      expect(sockets.connections).toHaveLength(i);
      expect(sockets.last.closed).toBe(true);
    }
    expect(web.polls).toHaveLength(0);
  });

  it("polls at once where there are no WebSockets", async () => {
    const web = fakeFetch();
    const { client } = start({
      transport: withPolling({
        webSocket: () => {
          throw new TypeError("WebSocket is not a constructor");
        },
      }),
    });
    client.room(room);
    await pass(20);
    await web.last().answer(joined(7), soon);
    expect(client.connection.state).toBe("connected");
    await pass(30_000);
    expect(client.connection.state).toBe("connected");
  });
});
