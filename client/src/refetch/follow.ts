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
  /** Applies the changes, or doubts the entity when there are none; without an id, all of the type. */
  update(entity: EntityUpdated, changes?: Record<string, any>): void;
  /** Doubts the queries of a name, or all. */
  doubt(name?: string): void;
  /**
   * Takes a query out of the set and fetches it, unless it is in use no more. One that is being fetched stays in there: that
   * answer may be too old.
   */
  fetch(query: Query): unknown;
}

/** Follows until `stop()` of what it returns is called. */
export function follow<Events extends object, Query>(
  client: Client<Events>,
  { on, spreadMs = 2000 }: CacheOptions<Events>,
  open: (stale: Set<Query>) => Cache<Query>,
): { stop(): void } {
  const limit = 10_000; // events that are kept while the page is hidden; with more, everything is in doubt
  const stale = new Set<Query>();
  const cache = open(stale);
  let queue: any[] = []; // what events mean, one effect each or several, for the next batch
  let meanwhile: any[] = []; // changes since requests are under way: the answers may be older, so they follow again
  let versions: Record<string, number> = {}; // of entities, the newest each
  let calls = 0; // of flush since the last batch
  let spread = -1; // ms of the refetch to come; none: -1
  let refetches = 0; // under way

  /** A burst is over when it grows by less than a quarter in a while: events that come evenly are collected for five of these. */
  async function flush(): Promise<void> {
    if (calls++) return;
    let seen;
    do {
      seen = calls;
      await pause(quiet);
    } while (calls > seen * 1.25);
    calls = 0;
    cache.batch(() => queue.splice(0).flat().forEach(take));
    if (stale.size) void refetch(spreadMs);
  }

  /** While one is waited for, only a longer time counts. */
  async function refetch(ms: number): Promise<void> {
    if (ms <= spread) return;
    spread = ms;
    await pause(ms * Math.random());
    if (ms != spread) return;
    spread = -1;
    refetches++;
    await Promise.allSettled([...stale].map(cache.fetch));
    refetches--;
    queue.unshift(meanwhile);
    meanwhile = [];
    void flush();
  }

  /** Async: what it throws surfaces as a rejection that nobody handles, and stops no other. */
  async function take(effect: any): Promise<void> {
    if (!effect) return;
    const { entityType, id, version, changes, entities, queries } = effect;
    if (entityType) {
      const key = entityType + id;
      if (version < versions[key]!) return;
      if (version) versions[key] = version;
      const news = id != null && changes?.constructor == Object ? changes : undefined;
      if (news && refetches) meanwhile.push(effect);
      cache.update(effect, news);
    } else {
      [entities].flat().forEach(take);
      if (queries || !entities) [queries].flat().forEach(cache.doubt);
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
          cache.doubt();
        }
        void flush();
      },
      { again: true },
    ),
  );
  ends.push(
    client.onReset((reset) => {
      versions = {};
      cache.doubt();
      void refetch(reset.spreadMs);
    }),
  );
  return {
    stop() {
      ends.forEach((end) => end());
      queue = [];
      spread = Infinity;
    },
  };
}
