/**
 * `@tidings/client/query`: the cache of TanStack Query 5, of any framework, follows the events of a client. Once per application:
 *
 * ```ts
 * import { createClient } from "@tidings/client";
 * import { connectQuery } from "@tidings/client/query";
 *
 * const queryClient = new QueryClient(); // with queries such as ["settlements"] and ["settlements", id]
 * const tidings = createClient({ url: "/ws", token });
 * const { stop } = connectQuery(tidings, queryClient, {
 *   keys: ({ entityType }) => [[`${entityType.toLowerCase()}s`]],
 * });
 * ```
 *
 * @packageDocumentation
 */
import type { EntityRef } from "../catalogue.js";
import type { Client } from "../client.js";
import type { EventMap } from "../events.js";
import { follow, type CacheOptions } from "../refetch/follow.js";
import { patched } from "./patch.js";
import type { QueryClientLike, QueryLike } from "./queries.js";

export type { QueryClientLike, QueryLike } from "./queries.js";
export type { CacheOptions } from "../refetch/follow.js";
export type { Effect, Effects } from "../refetch/effect.js";

/** Options of `connectQuery`. */
export interface QueryOptions<Events extends object = EventMap> extends CacheOptions<Events> {
  /** How the keys of the queries begin that may hold an entity, or entities of a type. Default: `[[entityType]]`. */
  keys?: (entity: EntityRef) => readonly (readonly unknown[])[];
  /**
   * The data of a query with the changes in it, in new objects where it changes; without `changes`, the data as it is.
   * `undefined`: the entity is not in there. Default: the entity is the object with that `id`, by itself, in a list, or in what
   * has no `id` of its own, such as pages; each field that changed is replaced.
   */
  patch?: (data: unknown, entity: EntityRef, changes: Record<string, any> | undefined) => unknown;
}

/**
 * Has the data of the query client follow the rooms that the client is in, until `stop()` of what is returned is called.
 *
 * - `entity_updated`, `settlement_updated` and `structure_updated` with `changes`: the data of the queries that hold the entity
 *   takes the new values, once per query for all events of a burst, without a request. `keys` says where to look for entities,
 *   `patch` how they lie in the data. A `version` older than what was applied is passed over.
 * - Without `changes`, and for what `state_invalidated` names: the queries are marked as stale at once, and the active ones among
 *   them fetched at a random moment within `spreadMs`. `queries` are the first elements of query keys.
 * - On a reset, all queries are marked as stale and the active ones fetched, once, at a random moment within the spread that the
 *   server gave. So they are for a `state_invalidated` that names nothing.
 * - Each query has one request at a time, whoever asked. Changes that come meanwhile are applied again to the answer, which may
 *   be older, and it is fetched once more when something came without changes that is in there.
 * - While the page is hidden, all this waits. Beyond 10,000 events, or as many during one request, it becomes one fetch of the
 *   active queries.
 *
 * When a request fails, its query has the error, as always.
 */
export function connectQuery<Events extends object = EventMap>(
  client: Client<Events>,
  queryClient: QueryClientLike,
  { keys = ({ entityType }) => [[entityType]], patch = patched, ...options }: QueryOptions<Events> = {},
): { stop(): void } {
  const news = new Map<QueryLike, unknown>(); // data as it is to be after the batch
  const find = (queryKey?: unknown) => queryClient.getQueryCache().findAll({ queryKey });
  return follow(client, options, (stale: Set<QueryLike>) => {
    const doubt = (query: QueryLike) => stale.add(query) && query.invalidate();
    return {
      batch(run) {
        run();
        news.forEach((data, query) => query.setState({ data }));
        news.clear();
      },
      loading: () => find().filter(({ state }) => state.fetchStatus != "idle"),
      update(entity, changes) {
        const queries = keys(entity).flatMap(find);
        queries.forEach((query) => {
          const old = news.get(query) ?? query.state.data;
          const data = entity.id == null || (old && patch(old, entity, changes));
          if (!data) return;
          if (changes) news.set(query, data);
          else doubt(query);
        });
        return queries;
      },
      doubt: (name) => find(name && [name]).forEach(doubt),
      fetch: (query) => (query.isActive() ? query.fetch() : query.invalidate()),
    };
  });
}
