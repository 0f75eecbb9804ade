import { describe, expect, it } from "vitest";
import { create } from "zustand";
import { createStore } from "zustand/vanilla";
import { connectZustand, readWorldTime, worldNow, type WorldTimes } from "../../src/zustand/index.js";
import { event, joined, live, pass, room, withFakeTime } from "../fake.js";
import { withPage } from "../drawn.js";

withFakeTime();

const show = withPage();

const dawn = "1024-03-01T06:00:00Z";
const at = "2024-11-23T19:26:00.123456789Z";

async function application() {
  const { client, connection } = await live();
  const store = createStore<WorldTimes & { other: number }>(() => ({ worldTimes: {}, other: 1 }));
  const { stop } = connectZustand(client, store);
  const states: WorldTimes[] = [];
  store.subscribe((state) => void states.push(state));
  let seq = 7;
  const say = (data: unknown) => connection.send(event(++seq, seq - 1, "world_time_changed", data));
  return { client, connection, store, states, say, stop };
}

describe("the world time of a store", () => {
  it("is set once per burst, by room", async () => {
    const { client, connection, store, states, say } = await application();
    client.room("campaign:7");
    await pass(20);
    connection.send(joined(3, {}, "campaign:7"));
    for (let rate = 0; rate <= 60; rate++) say({ worldTime: dawn, rate, at });
    connection.send(event(4, 3, "world_time_changed", { worldTime: dawn }, "campaign:7"));
    await pass(100);
    expect(states).toHaveLength(1);
    expect(store.getState()).toEqual({
      other: 1,
      worldTimes: {
        [room]: { worldTime: Date.parse(dawn), rate: 60, at: Date.parse("2024-11-23T19:26:00.123Z") },
        "campaign:7": { worldTime: Date.parse(dawn), rate: 0, at: Date.parse("2024-11-23T19:26:40Z") },
      },
    });
    const before = store.getState().worldTimes["campaign:7"];
    say({ worldTime: dawn, rate: 1, at });
    await pass(100);
    expect(store.getState().worldTimes["campaign:7"]).toBe(before);
  });

  it("waits while the page is hidden", async () => {
    const { states, say } = await application();
    show(false);
    for (let rate = 1; rate < 1000; rate++) {
      say({ worldTime: dawn, rate, at });
      await pass(100);
    }
    expect(states).toEqual([]);
    show(true);
    await pass();
    expect(states).toMatchObject([{ worldTimes: { [room]: { rate: 999 } } }]);
  });

  it.each([
    undefined,
    null,
    5,
    "text",
    [],
    {},
    { worldTime: null },
    { worldTime: "dusk" },
    { worldTime: dawn, at: "noon" },
    { worldTime: dawn, rate: "fast" },
  ])("does not change by what cannot be read: %j", async (data) => {
    const { states, say } = await application();
    say(data);
    await pass(1000);
    expect(states).toEqual([]);
  });

  it("does not change any more when that is stopped", async () => {
    const { states, say, stop } = await application();
    say({ worldTime: dawn });
    stop();
    say({ worldTime: dawn });
    await pass(1000);
    expect(states).toEqual([]);
  });
});

describe("a clock", () => {
  it("runs by itself", async () => {
    const { store, say } = await application();
    const clock = () => worldNow(store.getState().worldTimes[room]);
    expect(clock()).toBeUndefined();
    say({ worldTime: dawn, rate: 60, at: new Date().toISOString() });
    await pass(100);
    const before = clock()!;
    await pass(1000);
    expect(clock()! - before).toBe(60_000);
    expect(worldNow({ worldTime: 1000, rate: 0, at: 0 }, 5000)).toBe(1000);
    expect(worldNow({ worldTime: 1000, rate: 2, at: 4000 }, 5000)).toBe(3000);
  });

  it("takes what an API gives", () => {
    expect(readWorldTime({ worldTime: dawn, rate: 2 }, at)).toEqual({ worldTime: Date.parse(dawn), rate: 2, at: Date.parse(at) });
  });
});

it("a hook of create() is a store as well", async () => {
  const { client } = await live();
  const useWorld = create<WorldTimes>(() => ({ worldTimes: {} }));
  expect(connectZustand(client, useWorld).stop()).toBeUndefined();
});
