// @vitest-environment happy-dom
import * as React from "react";
import { startTransition, Suspense, useLayoutEffect, useState, type ReactNode } from "react";
import { describe, expect, it, vi } from "vitest";
import type { Position, RoomState, TidingsEvent } from "../../src/index.js";
import {
  useCampaignSubscription,
  useRoom,
  useSettlementSubscription,
  useStructureSubscription,
  type RoomHandlers,
} from "../../src/react/index.js";
import { denied, event, joined, pass, position, ref, room, start, surfacing, withFakeTime } from "../fake.js";
import { seeded, World } from "../world.js";
import { act, mount, plain, strict, withPage } from "./mount.js";

withFakeTime();
withPage();

interface FollowProps {
  name?: string | null;
  handlers?: RoomHandlers;
  since?: Position;
  rendered?: () => void;
}

function Follow({ name = room, handlers, since, rendered }: FollowProps): ReactNode {
  const { state, error } = useRoom(name, handlers, { since });
  rendered?.();
  return <p>{state} {error?.code}</p>;
}

/** A page in the room, which is live at 7. */
async function livePage(node: ReactNode, Mode = strict) {
  const started = start();
  const page = await mount(started.client, node, Mode);
  await pass(20);
  const connection = started.server.accept();
  await act(() => connection.send(joined(7)));
  return { ...started, ...page, connection };
}

describe.each([["plain React", plain], ["StrictMode", strict]])("a mounted component in %s", (_, Mode) => {
  it("makes one socket, one hello and one join, and leaves the room when it is gone", async () => {
    const { server, connection, page, render } = await livePage(<Follow />, Mode);
    expect(server.connections).toHaveLength(1);
    expect(connection.news()).toEqual([{ op: "hello", token: "token-1", rooms: [ref(room)] }]);
    expect(page.textContent).toBe("live ");
    await render(null);
    await pass(999);
    expect(connection.news(), "it may come back").toEqual([]);
    await pass(21);
    expect(connection.news()).toEqual([{ op: "leave", rooms: [room] }]);
  });

  it("that comes and goes does so without a frame", async () => {
    const { connection, render, server } = await livePage(<Follow />, Mode);
    connection.news();
    for (let i = 0; i < 25; i++) {
      await render(null);
      await pass(7);
      await render(<Follow />);
      await pass(7);
    }
    await pass(2000);
    expect(connection.news()).toEqual([]);
    expect(server.connections).toHaveLength(1);
  });

  it("that is gone at once asks for nothing", async () => {
    const { client, server } = start();
    const { render } = await mount(client, <Follow />, Mode);
    await render(null);
    await pass(2000);
    for (const { received } of server.connections) expect(received).toEqual([]);
  });

  it("reads each missed event from since once", async () => {
    const { client, server } = start();
    const seqs: number[] = [];
    const handlers: RoomHandlers = { "*": (_, delivery) => seqs.push(delivery.position.seq) };
    await mount(client, <Follow since={position(5)} handlers={handlers} />, Mode);
    await pass(20);
    const connection = server.accept();
    expect(connection.news()).toEqual([{ op: "hello", token: "token-1", rooms: [ref(room, position(5))] }]);
    await act(() => connection.send(joined(7, { recovered: true, replay: 1 }), event(7, 5), event(8, 7)));
    expect(seqs).toEqual([7, 8]);
  });
});

describe("the name of a room", () => {
  it("that changes leaves the one and joins the other, which is joining and not what the former one was", async () => {
    const states: string[] = [];
    const Recorded = ({ name }: { name: string }) => {
      const { state } = useRoom(name);
      states.push(`${name} ${state}`);
      return null;
    };
    const { connection, render } = await livePage(<Recorded name={room} />, plain);
    connection.news();
    await render(<Recorded name="campaign:43" />);
    await pass(20);
    expect(connection.news()).toEqual([{ op: "join", rooms: [ref("campaign:43")] }]);
    await pass(1000);
    expect(connection.news()).toEqual([{ op: "leave", rooms: [room] }]);
    await act(() => connection.send(joined(3, {}, "campaign:43")));
    expect(states).toEqual([`${room} joining`, `${room} live`, "campaign:43 joining", "campaign:43 live"]);
  });

  it.each([null, undefined])("that is %s is no room", async (none) => {
    const Maybe = ({ id }: { id: string | null | undefined }) => useCampaignSubscription(id, {}).state;
    const { client, server } = start();
    const { page, render } = await mount(client, <Maybe id={none} />);
    await pass(2000);
    expect(server.connections).toEqual([]);
    expect(page.textContent).toBe("idle");
    await render(<Maybe id="42" />);
    await pass(20);
    expect(page.textContent).toBe("joining");
    expect(server.accept().news()).toMatchObject([{ rooms: [ref(room)] }]);
    await render(<Maybe id={none} />);
    expect(page.textContent).toBe("idle");
    await pass(1020);
    expect(server.last.news()).toEqual([{ op: "leave", rooms: [room] }]);
  });

  it("comes from the id of what it is about", async () => {
    const Three = () => {
      useCampaignSubscription(1, {});
      useSettlementSubscription("2", {});
      useStructureSubscription("3", {});
      return null;
    };
    const { client, server } = start();
    await mount(client, <Three />);
    await pass(20);
    expect(server.accept().news()).toMatchObject([{ rooms: [ref("campaign:1"), ref("settlement:2"), ref("structure:3")] }]);
  });

  it("of several components is joined once, and left with the last one", async () => {
    const { connection, render } = await livePage(<><Follow /><Follow /><Follow /></>);
    expect(connection.news()).toMatchObject([{ rooms: [ref(room)] }]);
    await render(<Follow />);
    await pass(2000);
    expect(connection.news()).toEqual([]);
    await render(null);
    await pass(2000);
    expect(connection.news()).toEqual([{ op: "leave", rooms: [room] }]);
  });

  it("is joined anew over another client", async () => {
    const { render, page } = await livePage(<Follow />);
    const other = start();
    await render(<Follow />, other.client);
    expect(page.textContent).toBe("joining ");
    await pass(20);
    expect(other.server.accept().news()).toMatchObject([{ rooms: [ref(room)] }]);
  });
});

describe("handlers", () => {
  it("are those of the newest render, and do not join again", async () => {
    const seen: string[] = [];
    const App = ({ n }: { n: number }) => (
      <Follow handlers={{ settlement_updated: ({ data }) => seen.push(`${n}: ${data.id}`) }} />
    );
    const { connection, render } = await livePage(<App n={0} />);
    connection.news();
    for (let n = 1; n <= 50; n++) await render(<App n={n} />);
    await act(() => connection.send(event(8, 7)));
    await pass(2000);
    expect(connection.news()).toEqual([]);
    expect(seen).toEqual(["50: 8"]);
  });

  it("may come and go, all of them or one", async () => {
    const seen: string[] = [];
    const { connection, render } = await livePage(<Follow />);
    await act(() => connection.send(event(8, 7)));
    await render(<Follow handlers={{ settlement_updated: ({ id }) => seen.push(id) }} />);
    await act(() => connection.send(event(9, 8)));
    await render(<Follow handlers={{ settlement_updated: undefined }} />);
    await act(() => connection.send(event(10, 9)));
    expect(seen).toEqual(["evt-9"]);
  });

  it("get events by type and then all of them, resets and states", async () => {
    const seen: unknown[] = [];
    const note = (what: string) => (of: TidingsEvent) => seen.push(`${what} ${of.type}`);
    const handlers: RoomHandlers = {
      "*": note("any"),
      settlement_updated: note("one"),
      onReset: ({ reason, spreadMs }) => seen.push([reason, spreadMs]),
      onState: (state) => seen.push(state),
    };
    const { connection, server } = await livePage(<Follow handlers={handlers} />);
    await act(() => connection.send(event(8, 7), event(9, 8, "unheard_of")));
    await act(() => connection.close());
    await pass(500);
    await act(() => server.accept().send(joined(3, { recovered: false, reason: "epoch", spread: 700 })));
    const events = ["one settlement_updated", "any settlement_updated", "any unheard_of"];
    expect(seen).toEqual(["live", ...events, "recovering", "live", ["epoch", 700]]);
  });

  it("that throw stop no other", async () => {
    const problem = new Error("of the page");
    const fail = () => {
      throw problem;
    };
    const rest = vi.fn();
    const { connection } = await livePage(
      <><Follow handlers={{ settlement_updated: fail, "*": rest }} /><Follow handlers={{ "*": rest }} /></>,
    );
    await surfacing([problem], () => act(() => connection.send(event(8, 7))));
    expect(rest).toHaveBeenCalledTimes(2);
  });

  const odd = ["*", "onReset", "onState", "toString", "__proto__", "constructor"];
  it.each(odd)("are not fooled by an event called %s", async (type) => {
    const any = vi.fn();
    const other = vi.fn();
    const onState = (state: RoomState) => state == "live" || other();
    const { connection } = await livePage(<Follow handlers={{ "*": any, onReset: other, onState }} />);
    await surfacing([], () => act(() => connection.send(event(8, 7, type))));
    expect(any).toHaveBeenCalledOnce();
    expect(other).not.toHaveBeenCalled();
  });

  it("are the new ones before any effect can make something happen", async () => {
    const seen: string[] = [];
    let commit = () => {};
    const Child = ({ n }: { n: number }) => {
      useLayoutEffect(() => commit(), [n]);
      return null;
    };
    const App = ({ n }: { n: number }) => {
      useRoom(room, { "*": () => seen.push(`by ${n}`) });
      return <Child n={n} />;
    };
    const { connection, render } = await livePage(<App n={1} />);
    commit = () => connection.send(event(8, 7));
    await render(<App n={2} />);
    expect(seen).toEqual(["by 2"]);
  });

  it("are not called any more once the component is gone, nor told that it left", async () => {
    const any = vi.fn();
    const { connection, render } = await livePage(<Follow />);
    await render(<Follow handlers={{ "*": any, onReset: any, onState: any }} />);
    await render(null);
    await act(() => connection.send(event(8, 7), joined(9, { recovered: false, reason: "epoch" })));
    await pass(2000);
    expect(any).not.toHaveBeenCalled();
  });

  it("made for one room never get what came for another", async () => {
    const seen: string[] = [];
    let commit = () => {};
    const App = ({ name }: { name: string }) => {
      useRoom(name, { "*": (_, delivery) => seen.push(`${delivery.room} by ${name}`) });
      useLayoutEffect(() => commit(), [name]);
      return null;
    };
    const { connection, render } = await livePage(<App name={room} />);
    // After the new handlers were committed, before the effect that leaves the room.
    commit = () => connection.send(event(8, 7));
    await render(<App name="campaign:43" />);
    expect(seen).toEqual([`${room} by ${room}`]);
  });

  it("of a render that was never committed are not called", async () => {
    const seen: number[] = [];
    let go = (_: number) => {};
    const never = new Promise<void>(() => {});
    const App = () => {
      const [n, setN] = useState(0);
      go = setN;
      useRoom(room, { "*": () => seen.push(n) });
      if (n) throw never;
      return null;
    };
    const { connection } = await livePage(<Suspense><App /></Suspense>);
    await act(() => startTransition(() => go(1)));
    await act(() => connection.send(event(8, 7)));
    expect(seen).toEqual([0]);
  });
});

describe("rendering", () => {
  it("follows the room's state, and no event", async () => {
    const rendered = vi.fn();
    const any = vi.fn();
    const { connection, server, page } = await livePage(<Follow rendered={rendered} handlers={{ "*": any }} />, plain);
    expect(rendered).toHaveBeenCalledTimes(2); // joining, live
    await act(() => { for (let seq = 8; seq < 208; seq++) connection.send(event(seq, seq - 1)); });
    expect(any).toHaveBeenCalledTimes(200);
    expect(rendered).toHaveBeenCalledTimes(2);
    await act(() => connection.close());
    expect(page.textContent).toBe("recovering ");
    await pass(500);
    await act(() => server.accept().send(joined(207, { recovered: true })));
    expect(page.textContent).toBe("live ");
    expect(rendered).toHaveBeenCalledTimes(4);
  });

  it("shows why a room is denied", async () => {
    const { connection, page, render } = await livePage(<><Follow /><Follow name="campaign:43" /><Follow name="rubbish" /></>);
    await act(() => connection.send(denied("forbidden", false, "campaign:43")));
    expect(page.textContent).toBe("live denied forbiddendenied bad_room");
    await render(<Follow name="campaign:43" />);
    expect(page.textContent, "known to who comes later").toBe("denied forbidden");
  });

  it("shows that the client was closed", async () => {
    const { client, page, render } = await livePage(<Follow />);
    await act(() => client.close());
    expect(page.textContent).toBe("idle closed");
    await render(<><Follow /><Follow name="campaign:43" /></>);
    expect(page.textContent).toBe("idle closedidle closed");
  });
});

if ("Activity" in React) {
  const { Activity } = React;

  it("what an Activity hides leaves the room, and reads on from where it was when it is shown", async () => {
    const seqs: number[] = [];
    const App = ({ mode }: { mode: "hidden" | "visible" }) => (
      <Activity mode={mode}><Follow handlers={{ "*": (_, delivery) => seqs.push(delivery.position.seq) }} /></Activity>
    );
    const { connection, render } = await livePage(<App mode="visible" />);
    await act(() => connection.send(event(8, 7)));
    connection.news();
    await render(<App mode="hidden" />);
    await pass(1020);
    expect(connection.news()).toEqual([{ op: "leave", rooms: [room] }]);
    await render(<App mode="visible" />);
    await pass(20);
    expect(connection.news()).toEqual([{ op: "join", rooms: [ref(room, position(8))] }]);
    await act(() => connection.send(joined(9, { recovered: true, replay: 1 }), event(9, 8)));
    expect(seqs).toEqual([8, 9]);
  });
}

describe.each([1, 2, 3, 4, 5])("components that come and go while edges fail (%i)", (seed) => {
  it("are told of every event or of a reset, and are live in the end", async () => {
    const random = seeded(seed);
    const world = new World(random);
    const { client } = start({ transport: world.transport, random });
    const rooms = ["campaign:1", "settlement:2"];
    const states = new Map<string, RoomState>();
    const heard = new Map<string, number>();
    const Reader = ({ id, name }: { id: string; name: string }) => {
      const key = `${id} ${name}`;
      const { state } = useRoom(name, {
        "*": ({ data }) => {
          const last = heard.get(key);
          const missing = world.log(name).filter((seq) => seq > last! && seq < (data as number));
          if (last !== undefined && missing.length) world.problems.push(`${key}: ${missing} missing`);
          heard.set(key, data as number);
        },
        onReset: ({ position: { seq } }) => heard.set(key, seq),
      });
      states.set(id, state);
      return null;
    };
    const Page = ({ shown }: { shown: string[] }) => shown.map((name, id) => <Reader key={id} id={`${id}`} name={name} />);

    const { render } = await mount(client, <Page shown={rooms} />);
    for (let step = 0; step < 100; step++) {
      const shown = Array.from({ length: Math.floor(random() * 4) }, () => rooms[Math.floor(random() * 2)]!);
      const before = new Set(shown.map((name, id) => `${id} ${name}`));
      for (const key of heard.keys()) if (!before.has(key)) heard.delete(key); // who comes back is told from then on
      await render(<Page shown={shown} />);
      world.publish(rooms[step % 2]!, () => random() < 0.1, random() < 0.1);
      await act(() => { if (random() < 0.05) for (const edge of world.connections) edge.die(1006); });
      await act(() => pass(random() * 300));
    }
    await render(<Page shown={rooms} />);
    await act(() => pass(120_000));
    for (const name of rooms) world.publish(name, () => false, false);
    await act(() => pass(1000));

    expect(world.problems).toEqual([]);
    expect([states.get("0"), states.get("1")]).toEqual(["live", "live"]);
    expect(rooms.map((name, id) => heard.get(`${id} ${name}`))).toEqual(rooms.map((name) => world.log(name).at(-1)));
    expect(world.connections.size).toBe(1);
  });
});
