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
import type { Client } from "../client.js";
import type { EventMap } from "../events.js";
import { follow } from "../refetch/follow.js";
import { queries, type QueryClientLike, type QueryLike, type QueryOptions } from "./queries.js";

export type { QueryClientLike, QueryLike, QueryOptions } from "./queries.js";
export type { CacheOptions } from "../refetch/follow.js";
export type { Effect, Effects } from "../refetch/effect.js";

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
 * - Each query has one request at a time, and one more afterwards when an event came meanwhile.
 * - While the page is hidden, all this waits. Beyond 10,000 events it becomes one fetch of the active queries.
 *
 * When a request fails, its query has the error, as always.
 */
export function connectQuery<Events extends object = EventMap>(
  client: Client<Events>,
  queryClient: QueryClientLike,
  options: QueryOptions<Events> = {},
): { stop(): void } {
  return follow(client, options, (stale: Set<QueryLike>) => queries(queryClient, options, stale));
}
