import { gql } from "@apollo/client";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { connectApollo, type CacheOptions } from "../../src/apollo/index.js";
import { event, joined, live, pass, withFakeTime } from "../fake.js";
import { withPage } from "../drawn.js";
import { Api, chronicle, settlement, settlements } from "./api.js";

withFakeTime();

const collected = 50; // ms until an event is applied
const burst = 100; // ms until events that come at once are

const show = withPage();

beforeEach(() => void vi.spyOn(Math, "random").mockReturnValue(0.5));

/** An application whose client is in a room; `say` has the server send events. */
async function application(options: CacheOptions = {}, api = new Api()) {
  const { client, connection, server } = await live();
  const { stop } = connectApollo(client, api.apollo, { spreadMs: 1000, ...options });
  let seq = 7;
  const say = (type: string, data: unknown) => connection.send(event(++seq, seq - 1, type, data));
  const reset = (spread: number) => connection.send(joined(++seq, { recovered: false, reason: "expired", spread }));
  return { api, client, connection, server, say, reset, stop };
}

/** The same, with the list of settlements on the page. */
async function listed(options?: CacheOptions, api?: Api) {
  const app = await application(options, api);
  const { results, watched, unmount } = app.api.watch(settlements);
  await pass(10);
  app.api.requests = [];
  results.length = 0;
  return { ...app, results, watched, unmount, first: () => watched.getCurrentResult().data!.settlements[0] };
}

describe("an entity that changed", () => {
  it.each([
    ["settlement_updated", {}],
    ["entity_updated", { entityType: "Settlement" }],
  ])("takes the changes without a request: %s", async (type, more) => {
    const { api, say, results } = await listed();
    say(type, { id: "2", changes: { population: 7, mood: null }, ...more });
    await pass(collected + 1);
    expect(results).toHaveLength(1);
    expect(results[0].settlements[1]).toMatchObject({ id: "2", name: "S2", population: 7, mood: null });
    await pass(10_000);
    expect(api.requests).toEqual([]);
  });

  it("has its nested objects merged, those of other entities too, and lists replaced", async () => {
    const { api, say, first } = await listed();
    say("settlement_updated", { id: "1", changes: { place: { x: 9 }, ruler: { name: "Q" }, tags: ["new", "er"] } });
    await pass(collected + 1);
    expect(first()).toMatchObject({ place: { x: 9, y: 2 }, ruler: { id: "p1", name: "Q" }, tags: ["new", "er"] });
    const cached = { "Person:p1": { name: "Q" }, "Settlement:1": { ruler: { __ref: "Person:p1" } } };
    expect(api.apollo.cache.extract()).toMatchObject(cached);
    await pass(10_000);
    expect(api.requests).toEqual([]);
  });

  it("gets no field that no query asked for", async () => {
    const { api, say, results } = await listed();
    const before = api.apollo.cache.extract();
    say("settlement_updated", { id: "1", changes: { wealth: 3, place: { z: 1 }, ruler: { age: 50 } } });
    say("settlement_updated", { id: "77", changes: { population: 1 } });
    say("settlement_updated", { id: "78" });
    await pass(10_000);
    expect(api.apollo.cache.extract()).toEqual(before);
    expect([results, api.requests]).toEqual([[], []]);
  });

  it("is not set back to an older version", async () => {
    const { say, first } = await listed();
    say("settlement_updated", { id: "1", version: 9, changes: { population: 9 } });
    say("settlement_updated", { id: "1", version: 8, changes: { population: 8, mood: "old" } });
    await pass(burst + 1);
    expect(first()).toMatchObject({ population: 9, mood: "calm" });
    say("settlement_updated", { id: "1", version: 8 });
    say("settlement_updated", { id: "1", version: 10, changes: { population: 10 } });
    await pass(burst + 1);
    expect(first()).toMatchObject({ population: 10 });
  });

  it("is not set back to an older version than the API gave", async () => {
    const api = new Api();
    const query = gql`
      {
        party {
          id
          gold
          version
        }
      }
    `;
    api.apollo.writeQuery({ query, data: { party: { __typename: "Party", id: 1, gold: 5, version: 5 } } });
    const { say } = await application({}, api);
    const gold = () => api.apollo.readQuery<any>({ query }).party.gold;
    say("entity_updated", { entityType: "Party", id: "1", version: 4, changes: { gold: 4 } });
    await pass(collected);
    expect(gold()).toBe(5);
    say("entity_updated", { entityType: "Party", id: 1, version: 6, changes: { gold: 6, version: 6 } });
    await pass(collected);
    expect(gold()).toBe(6);
  });

  it("is found by the key fields of its type", async () => {
    const api = new Api({ typePolicies: { Town: { keyFields: ["realm", "id"] } } });
    const query = gql`
      {
        town {
          realm
          id
          name
        }
      }
    `;
    api.apollo.writeQuery({ query, data: { town: { __typename: "Town", realm: "r", id: "1", name: "a" } } });
    const { say } = await application({ on: { settlement_updated: "Town" } }, api);
    say("settlement_updated", { id: "1", realm: "r", changes: { name: "b" } });
    await pass(collected);
    expect(api.apollo.readQuery({ query })).toMatchObject({ town: { name: "b" } });
  });

  it("without changes has exactly the queries with it fetched again, at a random moment", async () => {
    const { api, say, results } = await listed();
    const other = api.watch(settlement, { id: "9" });
    const same = api.watch(settlement, { id: "2" });
    await pass(10);
    results.length = api.requests.length = 0;
    api.population = 50;
    say("settlement_updated", { id: "2" });
    await pass(collected + 499);
    expect([api.requests, results]).toEqual([[], []]);
    await pass(1);
    expect(api.requests).toEqual(["Settlements", "Settlement"]);
    await pass(10);
    expect(results.at(-1).settlements[1].population).toBe(50);
    expect(same.results.at(-1).settlement.population).toBe(50);
    expect(other.results).toHaveLength(1);
    await pass(10_000);
    expect(api.requests).toHaveLength(2);
  });

  it("without changes is read from the API by a query that comes later", async () => {
    const { api, say, unmount } = await listed();
    unmount();
    say("settlement_updated", { id: "2" });
    await pass(10_000);
    expect(api.requests).toEqual([]);
    const again = api.watch(settlements);
    await pass(10);
    expect(api.requests).toEqual(["Settlements"]);
    expect(again.results.at(-1).settlements).toHaveLength(3);
  });

  it("is never missing in a list while it is fetched, nor when that fails", async () => {
    const { api, say, watched, results } = await listed();
    api.delay = 500;
    api.broken = true;
    say("settlement_updated", { id: "2" });
    await pass(700);
    say("settlement_updated", { id: "1", changes: { population: 1 } });
    await pass(2000);
    expect(api.requests, "asked for again, as an event came").toEqual(["Settlements", "Settlements"]);
    for (const result of results) if (result.settlements) expect(result.settlements).toHaveLength(3);
    expect(watched.getCurrentResult().error?.message).toBe("no such luck");
  });

  it("keeps the changes that came while an older answer was on its way", async () => {
    const { api, say, first } = await listed();
    api.delay = 500;
    say("settlement_updated", { id: "1" });
    await pass(600); // asked, and read by the API
    expect(api.requests).toEqual(["Settlements"]);
    say("settlement_updated", { id: "1", changes: { population: 1 } });
    await pass(100);
    await pass(2000);
    expect(first().population).toBe(1);
    expect(api.requests).toEqual(["Settlements"]);
  });
});

describe("changes that do not say enough", () => {
  it.each([
    ["another entity in a relation", { ruler: { id: "p9", name: "new" } }],
    ["a list in place of an object", { ruler: [{ id: "p9" }] }],
    ["an object of a kind not seen yet", { mood: { deep: 1 } }],
  ])("cost a request at a random moment, and not at once: %s", async (_, changes) => {
    const { api, say } = await listed();
    say("settlement_updated", { id: "1", changes });
    await pass(collected + 499);
    expect(api.requests).toEqual([]);
    await pass(1);
    expect(api.requests).toEqual(["Settlements"]);
    await pass(10_000);
    expect(api.requests).toHaveLength(1);
  });

  it("of a field with arguments likewise", async () => {
    const api = new Api();
    const query = gql`
      query Counted {
        settlement(id: "1") {
          id
          population(unit: "k")
        }
      }
    `;
    const { say } = await application({}, api);
    api.watch(query);
    await pass(10);
    say("settlement_updated", { id: "1", changes: { population: 4 } });
    await pass(collected + 499);
    expect(api.requests).toEqual(["Counted"]);
    await pass(100);
    expect(api.requests).toEqual(["Counted", "Counted"]);
  });
});

describe("what is invalidated", () => {
  it("is fetched again: entities, types, and queries by name", async () => {
    const { api, say } = await listed();
    api.watch(chronicle);
    api.watch(settlement, { id: "9" });
    await pass(10);
    for (const [data, expected] of [
      [{ entities: [{ entityType: "Settlement", id: "9" }] }, ["Settlement"]],
      [{ entities: [{ entityType: "Settlement" }] }, ["Settlements", "Settlement"]],
      [{ entities: [{ entityType: "Dragon" }], queries: [] }, []],
      [{ queries: ["Chronicle", "Unknown"] }, ["Chronicle"]],
      [{ queries: ["chronicle"] }, ["Chronicle"]],
      [{ reason: "all of it" }, ["Settlements", "Chronicle", "Settlement"]],
    ] as const) {
      api.requests = [];
      say("state_invalidated", data);
      await pass(collected + 499);
      expect(api.requests).toEqual([]);
      await pass(10_000);
      expect(api.requests.sort(), JSON.stringify(data)).toEqual([...expected].sort());
    }
  });

  it("is fetched once however often it is said, and once more when it is said while that is under way", async () => {
    const { api, say, results } = await listed();
    api.delay = 3000;
    for (let i = 0; i < 100; i++) {
      say("state_invalidated", { queries: ["Settlements"] });
      await pass(5);
    }
    await pass(1000);
    expect(api.requests).toHaveLength(1);
    api.population = 1;
    for (let i = 0; i < 10; i++) {
      say("state_invalidated", { queries: ["Settlements"] });
      await pass(5);
    }
    await pass(1000);
    expect(api.requests, "one at a time").toHaveLength(1);
    await pass(10_000);
    expect(api.requests, "and one after it").toHaveLength(2);
    expect(results.at(-1).settlements[0].population).toBe(1);
  });

  it("is not taken from an answer that was on its way already, whoever asked for it", async () => {
    const { api, say } = await application();
    api.delay = 3000;
    const { results } = api.watch(settlements);
    await pass(10);
    api.population = 1;
    say("state_invalidated", { queries: ["Settlements"] });
    await pass(10_000);
    expect(api.requests).toEqual(["Settlements", "Settlements"]);
    expect(results.at(-1).settlements[0].population).toBe(1);
  });

  it("leaves alone what reads the cache only, and what is gone", async () => {
    const { api, say, unmount } = await listed();
    api.watch(settlements, {}, { fetchPolicy: "cache-only" });
    say("state_invalidated", { queries: ["Settlements"] });
    await pass(collected);
    unmount();
    await pass(10_000);
    expect(api.requests).toEqual([]);
  });
});

it("a query that is gone leaves nothing to be done", async () => {
  const { api, say, unmount } = await listed();
  await pass(1000);
  const timers = vi.getTimerCount();
  say("settlement_updated", { id: "1" });
  await pass(collected);
  unmount();
  await pass(10_000);
  expect(vi.getTimerCount()).toBe(timers);
  expect(api.requests).toEqual([]);
});

describe("a room", () => {
  it("that lost continuity has the active queries fetched again, once, within the spread", async () => {
    const { api, reset, unmount } = await listed();
    api.watch(chronicle);
    await pass(10);
    api.requests = [];
    reset(500);
    await pass(100);
    reset(4000); // the larger spread counts
    unmount();
    await pass(1999);
    expect(api.requests).toEqual([]);
    await pass(1);
    expect(api.requests).toEqual(["Chronicle"]);
    await pass(10_000);
    expect(api.requests).toHaveLength(1);
  });

  it("that is resumed costs no request", async () => {
    const { api, connection, server, first } = await listed();
    connection.close();
    await pass(1000);
    server.accept().send(joined(9, { recovered: true, replay: 2 }));
    server.last.send(
      event(8, 7, "settlement_updated", { id: "1", changes: { population: 8 } }),
      event(9, 8, "settlement_updated", { id: "1", changes: { population: 9 } }),
    );
    await pass(60_000);
    expect(first().population).toBe(9);
    expect(api.requests).toEqual([]);
  });
});

describe("an answer that was read before an event and comes after it", () => {
  const other = gql`
    query Other {
      settlement {
        id
        population
      }
    }
  `;
  const kinds = ["a first fetch", "a refetch", "a refetch that is not shown", "another query's first fetch"] as const;

  /** A page whose application fetches something, with what was on it before. */
  async function loading(kind: (typeof kinds)[number]) {
    const app = await application();
    const { api } = app;
    if (kind == "a first fetch") api.delay = 500;
    const page = api.watch(settlements, {}, { notifyOnNetworkStatusChange: kind != "a refetch that is not shown" });
    const entries = api.watch(chronicle);
    await pass(10);
    api.delay = 500;
    if (kind.startsWith("a refetch")) void page.watched.refetch();
    if (kind == "another query's first fetch") api.watch(other);
    await pass(10);
    api.requests = [];
    api.population = 7;
    return { ...app, page, entries, first: () => page.watched.getCurrentResult().data!.settlements[0] };
  }

  it.each(kinds)("has the changes put into it, without a request: %s", async (kind) => {
    const { api, say, first } = await loading(kind);
    say("settlement_updated", { id: "1", changes: { population: 6 } });
    await pass(200);
    say("settlement_updated", { id: "1", changes: { population: 7 } });
    await pass(10_000);
    expect(first().population).toBe(7);
    expect(api.requests).toEqual([]);
  });

  it.each(kinds)("is fetched once more when it holds what has changed: %s", async (kind) => {
    const { api, say, first } = await loading(kind);
    say("settlement_updated", { id: "1" });
    say("settlement_updated", { id: "77" });
    await pass(10_000);
    expect(first().population).toBe(7);
    expect(new Set(api.requests)).not.toContain("Chronicle");
    expect(api.requests.length).toBeLessThanOrEqual(kind == "another query's first fetch" ? 3 : 1);
  });

  it.each([["Settlements"], ["settlements"]])("is fetched once more when what was invalidated has its name: %s", async (name) => {
    const { api, say, first } = await loading("a first fetch");
    say("state_invalidated", { queries: [name] });
    await pass(10_000);
    expect(first().population).toBe(7);
    expect(api.requests).toEqual(["Settlements"]);
  });

  it("is not put back by changes from before what it was fetched for", async () => {
    const { api, say, first } = await loading("another query's first fetch");
    api.delay = 0;
    say("settlement_updated", { id: "1", changes: { population: 6 } });
    await pass(100);
    say("state_invalidated", { queries: ["Settlements"] });
    await pass(10_000);
    expect(first().population).toBe(7);
    expect(api.requests.sort()).toEqual(["Other", "Settlements"]);
  });

  it("does not wait for another one that hangs", async () => {
    const { api, say, entries, first, stop } = await loading("a refetch");
    await pass(1000);
    api.delay = 1e9;
    void entries.watched.refetch().catch(() => {});
    await pass(10);
    api.delay = 500;
    const { watched, unmount } = api.watch(settlement, { id: "1" });
    await pass(10);
    say("settlement_updated", { id: "1", changes: { population: 8 } });
    await pass(10_000);
    expect([first().population, watched.getCurrentResult().data.settlement.population]).toEqual([8, 8]);
    expect(api.requests).toEqual(["Chronicle", "Settlement"]);
    unmount();
    entries.unmount();
    stop();
    await pass(1000);
  });
});

describe("a page that is hidden", () => {
  it("does nothing until it is seen", async () => {
    const { api, say, results } = await listed();
    show(false);
    say("settlement_updated", { id: "1", changes: { population: 1 } });
    say("state_invalidated", { queries: ["Settlements"] });
    await pass(600_000);
    expect([api.requests, results]).toEqual([[], []]);
    show(true);
    await pass(collected + 1);
    expect(results[0].settlements[0].population).toBe(1);
    await pass(600);
    expect(api.requests).toEqual(["Settlements"]);
  });

  it("that lost continuity fetches when it is seen", async () => {
    const { api, reset } = await listed();
    show(false);
    reset(500);
    await pass(600_000);
    expect(api.requests).toEqual([]);
    show(true);
    await pass();
    expect(api.requests).toEqual(["Settlements"]);
    await pass(10_000);
    expect(api.requests).toHaveLength(1);
  });

  it("for very long fetches everything again in place of very many events", async () => {
    const { api, say, results } = await listed();
    show(false);
    for (let i = 0; i <= 10_000; i++) say("settlement_updated", { id: "1", changes: { population: i } });
    await pass(1000);
    show(true);
    await pass(1000);
    expect(api.requests).toEqual(["Settlements"]);
    expect(results).toHaveLength(1);
  });
});

describe("an application's own events", () => {
  it("mean what it says", async () => {
    const { api, say, first } = await listed({
      on: {
        settlement_updated: () => undefined,
        structure_updated: "Person",
        world_time_changed: ({ data }) => [
          { entityType: "Settlement", id: "1", changes: { mood: data.worldTime } },
          { queries: ["Settlements"] },
        ],
      },
    });
    say("settlement_updated", { id: "1", changes: { population: 1 } });
    say("structure_updated", { id: "p1", changes: { name: "Z" } });
    say("world_time_changed", { worldTime: "dusk" });
    say("constructor", {});
    await pass(burst + 1);
    expect(first()).toMatchObject({ population: 100, mood: "dusk", ruler: { name: "Z" } });
    await pass(10_000);
    expect(api.requests).toEqual(["Settlements"]);
  });

  it("that cannot be read stop no other, and the error surfaces", async () => {
    const surfaced: unknown[] = [];
    const listener = (error: unknown) => void surfaced.push(error);
    const others = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException").on("uncaughtException", listener);
    const { say, first } = await listed({
      on: {
        world_time_changed: () => {
          throw new Error("mine");
        },
      },
    });
    say("world_time_changed", {});
    say("settlement_updated", { id: "1", changes: { population: 1 } });
    await pass(burst + 1);
    await new Promise(process.nextTick);
    expect(first().population).toBe(1);
    process.removeListener("uncaughtException", listener);
    for (const other of others) process.on("uncaughtException", other as () => void);
    expect(surfaced).toEqual([new Error("mine")]);
  });
});

it.each([
  undefined,
  null,
  5,
  "text",
  [],
  {},
  { id: null },
  { id: {} },
  { id: "1", changes: null },
  { id: "1", changes: "text" },
  { id: "1", changes: [1] },
  { id: "1", changes: { place: null, ruler: 5, tags: { a: 1 } } },
  { id: "1", version: "new", changes: {} },
  { entities: "all", queries: 7 },
  { entities: [null, 5, {}, { entityType: 5 }], queries: [null, "", {}] },
  { entityType: 5, id: 5, changes: {} },
  JSON.parse('{"id":"1","changes":{"__proto__":{"x":1},"place":{"__proto__":{"x":1}}}}'),
])("a bad event never throws: %j", async (data) => {
  const { say, first, api } = await listed();
  for (const type of ["settlement_updated", "structure_updated", "entity_updated", "state_invalidated"]) say(type, data);
  await pass(10_000);
  say("settlement_updated", { id: "1", changes: { population: 1 } });
  await pass(10_000);
  expect(first().population).toBe(1);
  expect(api.requests.length).toBeLessThan(5);
  expect(({} as any).x).toBeUndefined();
});

it("what is stopped while requests are under way asks for nothing after them", async () => {
  const { api, say, stop } = await listed();
  api.delay = 1000;
  say("state_invalidated", { queries: ["Settlements"] });
  await pass(collected + 500);
  say("state_invalidated", { queries: ["Settlements"] });
  await pass(collected);
  stop();
  await pass(10_000);
  expect(api.requests).toEqual(["Settlements"]);
});

it("what is stopped does nothing any more", async () => {
  const { api, say, reset, stop, results } = await listed();
  say("state_invalidated", { queries: ["Settlements"] });
  await pass(collected);
  stop();
  say("settlement_updated", { id: "1", changes: { population: 1 } });
  reset(500);
  await pass(10_000);
  expect([api.requests, results]).toEqual([[], []]);
});
