/** The queries of a TanStack query client, and the entities in their data. */
import type { EntityRef } from "../catalogue.js";
import type { EventMap } from "../events.js";
import type { Cache, CacheOptions } from "../refetch/follow.js";
import { isRecord } from "../refetch/record.js";

/** The part of TanStack's QueryClient that is used. */
export interface QueryClientLike {
  getQueryCache(): { findAll(filters: { queryKey?: any }): QueryLike[] };
}

/** The part of TanStack's Query that is used. */
export interface QueryLike {
  readonly state: { readonly data: unknown; readonly fetchStatus: string };
  setState(state: { data: unknown }): void;
  invalidate(): void;
  isActive(): boolean;
  isStatic?(): boolean;
  fetch(): Promise<unknown>;
}

/** Options of `connectQuery`. */
export interface QueryOptions<Events extends object = EventMap> extends CacheOptions<Events> {
  /** How the keys of the queries begin that may hold an entity, or entities of a type. Default: `[[entityType]]`. */
  keys?: (entity: EntityRef) => readonly (readonly unknown[])[];
  /**
   * The data of a query with the changes in it, in new objects where it changes; without `changes`, the data as it is.
   * `undefined`: the entity is not in there. Default: the entity is the object with that `id`, by itself, in a list, or in what
   * has no `id` of its own, such as pages; changes are merged into it.
   */
  patch?: (data: unknown, entity: EntityRef, changes: Record<string, any> | undefined) => unknown;
}

export function queries(
  client: QueryClientLike,
  { keys = ({ entityType }) => [[entityType]], patch = patched }: QueryOptions<any>,
  stale: Set<QueryLike>,
): Cache<QueryLike> {
  const news = new Map<QueryLike, unknown>(); // data as it is to be after the batch
  const find = (queryKey?: readonly unknown[]) => client.getQueryCache().findAll({ queryKey });
  const doubt = (query: QueryLike): void => {
    query.invalidate();
    stale.add(query);
  };
  return {
    batch(run) {
      run();
      for (const [query, data] of news) query.setState({ data });
      news.clear();
    },
    update(entity, changes) {
      for (const query of keys(entity).flatMap(find)) {
        const old = news.get(query) ?? query.state.data;
        const data = entity.id == null || (old === undefined ? old : patch(old, entity, changes));
        if (data === undefined) continue;
        if (changes) news.set(query, data);
        else doubt(query);
      }
    },
    doubt: (name) => find(name ? [name] : undefined).forEach(doubt),
    async fetch(query) {
      if (!query.isActive() || query.isStatic?.()) return;
      if (query.state.fetchStatus == "idle") await query.fetch();
      else stale.add(query);
    },
  };
}

/** Stops at whatever has an id: what lies within is another entity, maybe of another type with the same id. */
function patched(data: any, entity: EntityRef, changes: unknown = {}): unknown {
  const isList = Array.isArray(data);
  if (!isList && !isRecord(data)) return;
  if ("id" in data) return data["id"] == entity.id ? merged(data, changes) : undefined;
  let copy: any;
  for (const key in data) {
    const value = patched((data as any)[key], entity, changes);
    if (value) (copy ??= isList ? [...data] : { ...data })[key] = value;
  }
  return copy;
}

/** Records are merged, all else is replaced. */
function merged(old: any, change: any): unknown {
  if (!isRecord(old) || !isRecord(change)) return change;
  const all: Record<string, unknown> = { ...old };
  for (const key in change) all[key] = merged(old[key], change[key]);
  return all;
}
