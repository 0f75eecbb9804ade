import { QueryClient, QueryObserver, type QueryKey } from "@tanstack/query-core";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { connectQuery, type QueryOptions } from "../../src/query/index.js";
import { event, joined, live, pass, withFakeTime } from "../fake.js";
import { withPage } from "../drawn.js";

withFakeTime();

const collected = 50; // ms until an event is applied
const burst = 100; // ms until events that come at once are

const show = withPage();

beforeEach(() => void vi.spyOn(Math, "random").mockReturnValue(0.5));

/** An application whose client is in a room, with an API that counts its requests. */
async function application(options: QueryOptions = {}) {
  const { client, connection, server } = await live();
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, gcTime: Infinity, retry: false } } });
  const { stop } = connectQuery(client, queries, { spreadMs: 1000, ...options });
  const api = { requests: [] as string[], delay: 0, broken: false, population: 100 };
  let seq = 7;

  /** Watches a query as a component does. Returns the data so far, and what ends it. */
  const watch = (queryKey: QueryKey, make: (population: number) => unknown, more: object = {}) => {
    const queryFn = async () => {
      api.requests.push(queryKey.join("/"));
      const data = make(api.population);
      await new Promise((resolve) => setTimeout(resolve, api.delay));
      if (api.broken) throw new Error("no such luck");
      return data;
    };
    const observer = new QueryObserver<any>(queries, { queryKey, queryFn, ...more });
    const results: any[] = [];
    const unmount = observer.subscribe(({ data }) => data !== undefined && data !== results.at(-1) && results.push(data));
    return { results, unmount, observer };
  };
  const say = (type: string, data: unknown) => connection.send(event(++seq, seq - 1, type, data));
  const reset = (spread: number) => connection.send(joined(++seq, { recovered: false, reason: "expired", spread }));
  return { api, queries, watch, say, reset, stop, connection, server };
}

const one = (id: number | string) => (population: number) => ({ id, population, place: { x: 1, y: 2 }, tags: ["old"] });
const list = (population: number) => [1, 2, 3].map((id) => one(id)(population));

/** The same, with a list and one settlement on the page. */
async function listed(options?: QueryOptions) {
  const app = await application(options);
  const all = app.watch(["Settlement"], list);
  const second = app.watch(["Settlement", "2"], one(2));
  await pass(10);
  app.api.requests = [];
  return { ...app, all, second };
}

describe("an entity that changed", () => {
  it("takes the changes without a request, each field replaced", async () => {
    const { api, say, all, second } = await listed();
    const before = all.results[0];
    say("settlement_updated", { id: "2", changes: { population: 7, place: { x: 9 }, tags: ["new", "er"], mood: null } });
    await pass(collected + 1);
    const changed = { id: 2, population: 7, place: { x: 9 }, tags: ["new", "er"], mood: null };
    expect(all.results[1]).toEqual([before[0], changed, before[2]]);
    expect(all.results[1][0], "what did not change is the same").toBe(before[0]);
    expect(second.results[1]).toEqual(changed);
    await pass(10_000);
    expect(api.requests).toEqual([]);
  });

  it("is found in pages and envelopes, and not mistaken for what lies within another one", async () => {
    const { watch, say } = await application();
    const page = (population: number) => ({ items: [one(1)(population)], total: 1 });
    const pages = watch(["Settlement", "pages"], (population) => ({ pages: [page(population)], pageParams: [0] }));
    const campaign = watch(["Settlement", "of"], () => ({ id: 9, structures: [{ id: 1, population: 5 }] }));
    await pass(10);
    say("settlement_updated", { id: 1, changes: { population: 7 } });
    await pass(collected + 1);
    expect(pages.results[1]).toMatchObject({ pages: [{ items: [{ population: 7 }], total: 1 }], pageParams: [0] });
    expect(campaign.results).toHaveLength(1);
  });

  it("is put into each query once per burst, and the query is as old as before", async () => {
    const { queries, say, all } = await listed();
    const { dataUpdatedAt } = queries.getQueryState(["Settlement"])!;
    for (let i = 0; i < 1000; i++) say("settlement_updated", { id: 1 + (i % 3), changes: { population: i } });
    await pass(burst + 1);
    expect(all.results).toHaveLength(2);
    expect(all.results[1].map(({ population }: any) => population)).toEqual([999, 997, 998]);
    expect(queries.getQueryState(["Settlement"])!.dataUpdatedAt).toBe(dataUpdatedAt);
  });

  it("is not set back to an older version, and unknown ones are passed over", async () => {
    const { api, say, second } = await listed();
    say("settlement_updated", { id: "2", version: 9, changes: { population: 9 } });
    say("settlement_updated", { id: "2", changes: { tags: [] } });
    say("settlement_updated", { id: "2", version: 8, changes: { population: 8 } });
    say("settlement_updated", { id: "2", version: 8 });
    say("settlement_updated", { id: "77" });
    say("structure_updated", { id: "2" });
    await pass(10_000);
    expect(second.results.at(-1)).toMatchObject({ population: 9, tags: [] });
    expect(api.requests).toEqual([]);
  });

  it("has a version of its own, whatever its type and id are called", async () => {
    const { say, watch } = await application();
    const [item, item1] = [watch(["Item"], one(11)), watch(["Item1"], one(1))];
    await pass(10);
    say("entity_updated", { entityType: "Item", id: "11", version: 9, changes: { population: 9 } });
    say("entity_updated", { entityType: "Item1", id: "1", version: 3, changes: { population: 3 } });
    await pass(burst + 1);
    expect([item, item1].map(({ results }) => results.at(-1).population)).toEqual([9, 3]);
  });

  it("without changes has exactly the queries with it fetched again, at a random moment", async () => {
    const { api, queries, say, all, watch } = await listed();
    watch(["Settlement", "3"], one(3));
    await pass(10);
    api.requests = [];
    api.population = 50;
    say("settlement_updated", { id: "2" });
    await pass(collected + 499);
    expect(api.requests).toEqual([]);
    expect(queries.getQueryState(["Settlement"])!.isInvalidated).toBe(true);
    await pass(10);
    expect(api.requests).toEqual(["Settlement", "Settlement/2"]);
    expect(all.results.at(-1)[1].population).toBe(50);
    await pass(10_000);
    expect(api.requests).toHaveLength(2);
  });

  it("without changes is fetched by a query that comes later", async () => {
    const { api, say, all, watch } = await listed();
    all.unmount();
    say("entity_updated", { entityType: "Settlement", id: "1" });
    await pass(10_000);
    expect(api.requests).toEqual([]);
    watch(["Settlement"], list);
    await pass(10);
    expect(api.requests).toEqual(["Settlement"]);
  });

  it("keeps the changes that came while an older answer was on its way", async () => {
    const { api, say, second } = await listed();
    api.delay = 500;
    say("settlement_updated", { id: "2" });
    await pass(600);
    expect(api.requests).toHaveLength(2);
    say("settlement_updated", { id: "2", changes: { population: 1 } });
    await pass(3000);
    expect(second.results.at(-1).population).toBe(1);
    expect(api.requests).toHaveLength(2);
  });

  it("lies where the application says", async () => {
    const { watch, say, api } = await application({
      on: { structure_updated: ({ data }) => ({ entityType: "Tower", id: data.id, changes: { level: 2 } }) },
      keys: ({ entityType }) => [[entityType.toLowerCase()], ["all"]],
      patch({ byId }: any, { id }, changes) {
        return byId?.[id!] && { byId: { ...byId, [id!]: { ...byId[id!], ...changes } } };
      },
    });
    const all = watch(["all"], () => ({ byId: { t1: { level: 1 } } }));
    const towers = watch(["tower", 5], () => ({ byId: {} }));
    watch(["all", "off"], () => ({ byId: {} }), { enabled: false }); // has no data
    await pass(10);
    say("structure_updated", { id: "t1" });
    await pass(10_000);
    expect(all.results.at(-1)).toEqual({ byId: { t1: { level: 2 } } });
    expect(towers.results).toHaveLength(1);
    expect(api.requests).toHaveLength(2);
  });
});

describe("an answer that was read before an event and comes after it", () => {
  /** A query whose application fetches it: for the first time, or once more. */
  async function loading(again: boolean, options?: QueryOptions) {
    const app = await application(options);
    const { api, watch } = app;
    if (!again) api.delay = 500;
    const all = watch(["Settlement"], list);
    const other = watch(["Settlement", "9"], one(9));
    if (again) {
      await pass(10);
      api.delay = 500;
      void all.observer.refetch();
    }
    await pass(10);
    api.requests = [];
    api.population = 7;
    return { ...app, all, other };
  }

  it.each([false, true])("has the changes put into it, without a request (a refetch: %s)", async (again) => {
    const { api, say, all } = await loading(again);
    say("settlement_updated", { id: "2", changes: { population: 6 } });
    await pass(200);
    say("settlement_updated", { id: "2", changes: { population: 7 } });
    await pass(10_000);
    expect(all.results.at(-1).map(({ population }: any) => population)).toEqual([100, 7, 100]);
    expect(api.requests).toEqual([]);
  });

  it.each([false, true])("is fetched once more when it holds what has changed (a refetch: %s)", async (again) => {
    const { api, say, all } = await loading(again);
    say("settlement_updated", { id: "2" });
    say("settlement_updated", { id: "77" });
    await pass(10_000);
    expect(all.results.at(-1)[1].population).toBe(7);
    expect(api.requests).toEqual(["Settlement"]);
  });

  it("is right when the room is joined first and the data read then", async () => {
    const { client, connection } = await live();
    await client.room("campaign:42").ready();
    const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, gcTime: Infinity } } });
    connectQuery(client, queries);
    let answer!: (data: unknown) => void;
    const queryFn = () => new Promise((resolve) => void (answer = resolve));
    const observer = new QueryObserver<any>(queries, { queryKey: ["Settlement"], queryFn });
    const unmount = observer.subscribe(() => {});
    connection.send(event(8, 7, "settlement_updated", { id: "1", version: 2, changes: { population: 7, version: 2 } }));
    await pass(1000);
    answer([{ id: "1", population: 100, version: 1 }]);
    await pass(burst + 1);
    expect(observer.getCurrentResult().data).toEqual([{ id: "1", population: 7, version: 2 }]);
    unmount();
  });

  it("is not put back by changes from before what it was fetched for", async () => {
    const { api, say, all } = await loading(false);
    say("settlement_updated", { id: "2", changes: { population: 6 } });
    await pass(100);
    say("state_invalidated", { queries: ["Settlement"] });
    await pass(10_000);
    expect(all.results.at(-1)[1].population).toBe(7);
    expect(api.requests).toEqual(["Settlement", "Settlement/9"]);
  });

  it("is fetched by a query that comes later when nobody watched any more", async () => {
    const { api, say, all, watch } = await loading(true);
    say("state_invalidated", { queries: ["Settlement"] });
    await pass(100);
    all.unmount();
    await pass(10_000);
    api.requests = [];
    const later = watch(["Settlement"], list);
    await pass(1000);
    expect(later.results.at(-1)[1].population).toBe(7);
  });

  it("is fetched once more, with all others, after more events than are kept", async () => {
    const { api, say, all } = await loading(true);
    const patch = vi.spyOn(all.observer.getCurrentQuery(), "setState");
    for (let batch = 0; batch < 4; batch++) {
      for (let i = 0; i < 3000; i++) say("settlement_updated", { id: "2", changes: { population: i } });
      await pass(burst + 1);
    }
    expect(patch).toHaveBeenCalledTimes(4);
    await pass(10_000);
    expect(all.results.at(-1)[1].population).toBe(7);
    expect(api.requests).toEqual(["Settlement", "Settlement/9"]);
  });

  it("does not wait for another one that hangs", async () => {
    const { api, queries, say, all, stop } = await loading(false);
    let answers = 1;
    const hangs = { queryKey: ["Report"], queryFn: () => (answers-- ? 1 : new Promise(() => {})) };
    const unmount = new QueryObserver(queries, hangs).subscribe(() => {});
    await pass(1000);
    say("state_invalidated", { queries: ["Report", "Settlement"] });
    await pass(collected + 600);
    expect([answers, ...api.requests]).toEqual([-1, "Settlement", "Settlement/9"]);
    say("settlement_updated", { id: "2", changes: { population: 8 } });
    await pass(10_000);
    expect(all.results.at(-1)[1].population).toBe(8);
    expect(api.requests).toHaveLength(2);
    unmount();
    stop();
    await pass(1000);
  });
});

describe("what is invalidated", () => {
  it("is fetched again: entities, types, and queries by the first element of their key", async () => {
    const { api, say, watch } = await listed();
    watch(["chronicle"], () => ["once"]);
    watch(["off"], () => 1, { enabled: false });
    await pass(10);
    for (const [data, expected] of [
      [{ entities: [{ entityType: "Settlement", id: "3" }] }, ["Settlement"]],
      [{ entities: [{ entityType: "Settlement" }] }, ["Settlement", "Settlement/2"]],
      [{ entities: [{ entityType: "Dragon" }] }, []],
      [{ queries: ["chronicle", "unknown", "off"] }, ["chronicle"]],
      [{}, ["Settlement", "Settlement/2", "chronicle"]],
    ] as const) {
      api.requests = [];
      say("state_invalidated", data);
      await pass(10_000);
      expect(api.requests, JSON.stringify(data)).toEqual(expected);
    }
  });

  it("is fetched one at a time, and once more when an event came meanwhile, whoever asked first", async () => {
    const { api, say, watch } = await application();
    api.delay = 3000;
    const { results } = watch(["chronicle"], (population) => population);
    await pass(10);
    api.population = 1;
    for (let i = 0; i < 100; i++) {
      say("state_invalidated", { queries: ["chronicle"] });
      await pass(5);
    }
    await pass(1000);
    expect(api.requests).toHaveLength(1);
    await pass(20_000);
    expect(api.requests).toHaveLength(2);
    expect(results.at(-1)).toBe(1);
  });

  it("stays in doubt when the request fails, and the query has the error", async () => {
    const { api, say, all } = await listed();
    api.broken = true;
    say("state_invalidated", { queries: ["Settlement"] });
    await pass(10_000);
    expect(all.observer.getCurrentResult()).toMatchObject({ isStale: true, error: new Error("no such luck"), data: list(100) });
    expect(api.requests).toHaveLength(2);
  });
});

it("a room that lost continuity has the active queries fetched again, once, within the spread", async () => {
  const { api, reset, second, watch } = await listed();
  second.unmount();
  reset(4000);
  await pass(1999);
  expect(api.requests).toEqual([]);
  await pass(10_000);
  expect(api.requests).toEqual(["Settlement"]);
  watch(["Settlement", "2"], one(2));
  await pass(10);
  expect(api.requests).toEqual(["Settlement", "Settlement/2"]);
});

it("a room that is resumed costs no request", async () => {
  const { api, connection, server, second } = await listed();
  connection.close();
  await pass(1000);
  server.accept().send(joined(8, { recovered: true, replay: 1 }));
  server.last.send(event(8, 7, "settlement_updated", { id: "2", changes: { population: 8 } }));
  await pass(60_000);
  expect(second.results.at(-1).population).toBe(8);
  expect(api.requests).toEqual([]);
});

it("a page that is hidden does nothing until it is seen", async () => {
  const { api, say, reset, second } = await listed();
  show(false);
  say("settlement_updated", { id: "2", changes: { population: 8 } });
  reset(500);
  await pass(600_000);
  expect([api.requests, second.results.length]).toEqual([[], 1]);
  show(true);
  await pass(1000);
  expect(second.results[1].population).toBe(8);
  expect(api.requests).toHaveLength(2);
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
  { id: "2", changes: "text" },
  { id: "2", changes: [1] },
  { entities: "all", queries: 7 },
  { entities: [null, 5, {}, { entityType: 5 }], queries: [null, "", {}] },
])("a bad event never throws: %j", async (data) => {
  const { say, second } = await listed();
  for (const type of ["settlement_updated", "structure_updated", "entity_updated", "state_invalidated"]) say(type, data);
  await pass(10_000);
  say("settlement_updated", { id: "2", changes: { population: 1 } });
  await pass(10_000);
  expect(second.results.at(-1)).toMatchObject({ id: 2, population: 1 });
});

it("what is stopped does nothing any more", async () => {
  const { api, say, reset, stop, second } = await listed();
  say("state_invalidated", { queries: ["Settlement"] });
  await pass(collected);
  stop();
  say("settlement_updated", { id: "2", changes: { population: 1 } });
  reset(500);
  await pass(10_000);
  expect([api.requests, second.results.length]).toEqual([[], 1]);
});
