/**
 * Keeps a cache true to the events of a client: without requests where it can, and where not, without all clients asking at
 * once.
 */
import type { EntityUpdated } from "../catalogue.js";
import type { Client } from "../client.js";
import type { EventMap } from "../events.js";
import type { Effects } from "./effect.js";
import { pause, quiet } from "./pause.js";

/** Options of what keeps a cache up to date. */
export interface CacheOptions<Events extends object = EventMap> {
  /**
   * What events mean, by their type: the type of the entity that changed, or a function that says more. Replaces what is built in
   * for that type, and is asked when the event comes. What it throws is reported as an uncaught error, and the other events still
   * count.
   */
  on?: Effects<Events>;
  /**
   * Milliseconds over which all clients spread the requests that an event brings about. Default: 2000. A reset brings its own.
   */
  spreadMs?: number;
}

/**
 * What `follow` needs of a cache; `Query` is whatever can be fetched again. What is in doubt goes into the set given to its
 * maker.
 */
export interface Cache<Query> {
  /** Runs what changes the cache; who watches it is told once. */
  batch(run: () => void): void;
  /** The queries that are being fetched, whoever asked. */
  loading(): Query[];
  /**
   * Applies the changes, or doubts the entity when there are none; without an id, all of the type. Returns the queries that may
   * get the entity with an answer; nothing: any.
   */
  update(entity: EntityUpdated, changes?: Record<string, any>): Iterable<Query> | void;
  /** Doubts the queries of a name, or all. */
  doubt(name?: string): void;
  /** Fetches a query that is not being fetched, unless it is in use no more. */
  fetch(query: Query): unknown;
}

/** Follows until `stop()` of what it returns is called. */
export function follow<Events extends object, Query>(
  client: Client<Events>,
  { on, spreadMs = 2000 }: CacheOptions<Events>,
  open: (stale: Set<Query>) => Cache<Query>,
): { stop(): void } {
  const limit = 10_000; // events that are kept, while the page is hidden or for an answer; with more, everything is in doubt
  const stale = new Set<Query>();
  const cache = open(stale);
  let queue: any[] = []; // what events mean, one effect each or several, for the next batch
  let loading = new Map<Query, (() => unknown)[]>(); // with the updates meanwhile: its answer may be older, so they follow it
  let versions: Record<string, number> = {}; // of entities, the newest each
  let calls = 0; // of flush since the last batch
  let spread = -1; // ms of the refetch to come; none: -1

  /**
   * Again as long as anything is being fetched, so that the updates follow an answer soon.
   *
   * A burst is over when it grows by less than a quarter in a while: events that come evenly are collected for five of these.
   */
  async function flush(): Promise<void> {
    if (spread == Infinity || calls++) return;
    let seen;
    do {
      seen = calls;
      await pause(quiet);
    } while (calls > seen * 1.25);
    calls = 0;
    apply();
    if (stale.size) void refetch(spreadMs);
    if (loading.size) void flush();
  }

  /** One batch: what came while queries were being fetched that are not any more, and then what is new. */
  function apply(): void {
    const before = loading;
    loading = new Map(cache.loading().map((query) => [query, before.get(query) ?? []]));
    cache.batch(() => {
      before.forEach((updates, query) => loading.has(query) || updates.forEach(async (update) => update()));
      queue.splice(0).flat().forEach(take);
    });
  }

  /** What is fetched now will be newer than the updates that are kept, so their queries are in doubt, too, instead. */
  function doubt(name?: string): void {
    loading.forEach((updates, query) => updates.splice(0)[0] && stale.add(query));
    cache.doubt(name);
  }

  /** While one is waited for, only a longer time counts. */
  async function refetch(ms: number): Promise<void> {
    if (ms <= spread) return;
    spread = ms;
    await pause(ms * Math.random());
    if (ms != spread) return;
    spread = -1;
    apply();
    void Promise.allSettled([...stale].map((query) => !loading.has(query) && stale.delete(query) && cache.fetch(query)));
    void flush();
  }

  /** Async: what it throws surfaces as a rejection that nobody handles, and stops no other. */
  async function take(effect: any): Promise<void> {
    if (!effect) return;
    const { entityType, id, version, changes, entities, queries } = effect;
    if (entityType) {
      const key = `${entityType}\0${id}`; // no name has a zero in it
      if (version < versions[key]!) return;
      if (version) versions[key] = version;
      const news = id != null && changes?.constructor == Object ? changes : undefined;
      const update = () => cache.update(effect, news);
      for (const query of update() ?? loading.keys()) {
        if (loading.get(query)?.push(update)! > limit) doubt();
      }
    } else {
      [entities].flat().forEach(take);
      if (queries || !entities) [queries].flat().forEach(doubt);
    }
  }

  const ends = Object.entries<any>({
    entity_updated: "", // the data says itself what it is about
    settlement_updated: "Settlement",
    structure_updated: "Structure",
    state_invalidated: "",
    ...on,
  }).map(([type, meaning]) =>
    (client as Client<any>).on(
      type,
      (event: any, delivery: any) => {
        if (queue.push(meaning.call ? meaning(event, delivery) : { entityType: meaning, ...event.data }) > limit) {
          queue = [];
          doubt();
        }
        void flush();
      },
      { again: true },
    ),
  );
  ends.push(
    client.onReset((reset) => {
      versions = {};
      doubt();
      void refetch(reset.spreadMs);
    }),
  );
  return {
    stop() {
      ends.forEach((end) => end());
      queue = [];
      loading.clear();
      spread = Infinity;
    },
  };
}
