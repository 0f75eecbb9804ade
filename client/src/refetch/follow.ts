/**
 * Keeps a cache true to the events of a client: without requests where it can, and where not, without all clients asking at
 * once.
 */
import type { EntityRef, EntityUpdated } from "../catalogue.js";
import type { Client } from "../client.js";
import type { EventMap } from "../events.js";
import { attempt } from "../listeners.js";
import { burst, defer } from "./defer.js";
import { builtIn, type Effects } from "./effect.js";
import { isRecord } from "./record.js";

/** Options of what keeps a cache up to date. */
export interface CacheOptions<Events extends object = EventMap> {
  /**
   * What events mean, by their type: the type of the entity that changed, or a function that says more. Replaces what is built in
   * for that type. What it throws is reported as an uncaught error, and the other events still count.
   */
  on?: Effects<Events>;
  /**
   * Milliseconds over which all clients spread the requests that an event brings about. Default: 2000. A reset brings its own.
   */
  spreadMs?: number;
  /** Numbers from 0 to below 1, for the moments of requests. Default: Math.random. */
  random?: () => number;
}

/**
 * What `follow` needs of a cache; `Query` is whatever can be fetched again. What is in doubt goes into the set given to its
 * maker.
 */
export interface Cache<Query> {
  /** Runs what changes the cache; who watches it is told once. */
  batch(run: () => void): void;
  /** Applies the changes, or doubts the entity when there are none; without an id, all of the type. */
  update(entity: EntityRef, changes?: Record<string, any>, version?: number): void;
  /** Doubts the queries of a name, or all. */
  doubt(name?: string): void;
  /** Fetches a query, unless it is in use no more. One that is being fetched is in doubt again: that answer may be too old. */
  fetch(query: Query): Promise<unknown>;
}

const limit = 10_000; // events that are kept while the page is hidden; with more, everything is in doubt

/** Follows until `stop()` of what it returns is called. */
export function follow<Events extends object, Query>(
  client: Client<Events>,
  { on, spreadMs = 2000, random = Math.random }: CacheOptions<Events>,
  open: (stale: Set<Query>) => Cache<Query>,
): { stop(): void } {
  const effects: Record<string, any> = { __proto__: null, ...builtIn, ...on };
  const stale = new Set<Query>();
  const cache = open(stale);
  let queue: (() => void)[] = []; // for the next batch
  let meanwhile: (() => void)[] = []; // updates since requests are under way: the answers may be older, so they follow again
  let versions: Record<string, number> = {}; // of entities, the newest each
  let requests = 0; // under way
  let everything = false; // is in doubt

  const flush = defer(() => {
    cache.batch(() => queue.splice(0).forEach(attempt));
    if (stale.size) fetching(spreadMs, random());
  });

  const fetching = defer(() => {
    if (everything) cache.doubt();
    everything = false;
    for (const query of [...stale]) {
      requests++;
      stale.delete(query);
      cache.fetch(query).then(landed, landed);
    }
  });

  function doubtAll(ms: number): void {
    everything = true;
    fetching(ms, random());
  }

  function landed(): void {
    if (!--requests) queue.unshift(...meanwhile.splice(0));
    flush(burst);
  }

  function take(effect: any): void {
    if (!effect) return;
    const { entityType, entities, queries } = effect;
    if (entityType) update(effect);
    else if (!entities && !queries) doubtAll(spreadMs);
    for (const ref of [entities].flat()) if (ref?.entityType) cache.update(ref);
    for (const name of [queries].flat()) if (name) cache.doubt(name);
  }

  function update(entity: EntityUpdated, again?: boolean): void {
    const { id, version, changes } = entity;
    const key = entity.entityType + id;
    if (id == null || version! < versions[key]!) return;
    if (version) versions[key] = version;
    if (isRecord(changes)) {
      cache.update(entity, changes, version);
      if (requests && !again) meanwhile.push(() => update(entity, true));
    } else cache.update(entity);
  }

  const endEvents = client.on(
    "*",
    (event, delivery) => {
      const meaning = effects[event.type];
      const { data } = event as { data: any };
      if (meaning == null) return;
      queue.push(() => [meaning.call ? meaning(event, delivery) : data && { entityType: meaning, ...data }].flat().forEach(take));
      if (queue.length > limit) {
        queue = [];
        doubtAll(spreadMs);
      }
      flush(burst);
    },
    { again: true },
  );
  const endResets = client.onReset((reset) => {
    versions = {};
    doubtAll(reset.spreadMs);
  });
  return {
    stop() {
      endEvents();
      endResets();
      flush(Infinity);
      fetching(Infinity);
    },
  };
}
