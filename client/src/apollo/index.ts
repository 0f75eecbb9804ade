/**
 * `@tidings/client/apollo`: the cache of an Apollo Client 4 follows the events of a client. Once per application:
 *
 * ```ts
 * import { createClient } from "@tidings/client";
 * import { connectApollo } from "@tidings/client/apollo";
 *
 * const apollo = new ApolloClient({ link, cache: new InMemoryCache() });
 * const tidings = createClient({ url: "/ws", token });
 * const { stop } = connectApollo(tidings, apollo, {
 *   on: {
 *     settlement_founded: () => ({ queries: ["Settlements"] }), // fetched again
 *     treasury_changed: ({ data }) => ({ entityType: "Treasury", id: data.id, changes: { gold: data.gold } }), // no request
 *   },
 * });
 * ```
 *
 * @packageDocumentation
 */
import type { ApolloClient, ObservableQuery } from "@apollo/client";
import type { Client } from "../client.js";
import type { EventMap } from "../events.js";
import { follow, type CacheOptions } from "../refetch/follow.js";
import { entities } from "./entities.js";

export type { CacheOptions } from "../refetch/follow.js";
export type { Effect, Effects } from "../refetch/effect.js";

/**
 * Has Apollo's cache follow the rooms that the client is in, until `stop()` of what is returned is called.
 *
 * - `entity_updated`, `settlement_updated` and `structure_updated` with `changes`: the fields that the cache holds take the new
 *   values, all events of a burst in one batch, without a request. The entity is the one that `cache.identify` names by
 *   `entityType` (`"Settlement"`, `"Structure"`) as `__typename`, and by the data of the event. One that is not in the cache is
 *   passed over, and so is a `version` older than what was applied, or than a number in the entity's own field `version`.
 * - Without `changes`, and for what `state_invalidated` names: the entity's fields are cleared, unseen by those who watch them,
 *   and the active queries with it are fetched again at a random moment within `spreadMs`. `queries` are names of operations, or
 *   of fields of the type Query.
 * - With changes that do not say enough (an entity that the cache does not know, a field with arguments, a custom scalar) the
 *   queries that show the field are fetched again likewise.
 * - On a reset, all active queries are fetched again, once, within the spread that the server gave. So they are for a
 *   `state_invalidated` that names nothing.
 * - Each query has one request at a time, whoever asked. Changes that come meanwhile are applied again to the answer, which may
 *   be older, and it is fetched once more when something came without changes that is in there.
 * - While the page is hidden, all this waits. Beyond 10,000 events, or as many during one request, it becomes one fetch of the
 *   active queries.
 *
 * What no active query shows stays in the cache after a reset: pages that are to look again whenever they are opened take the
 * fetch policy `cache-and-network`. When a request fails, its query has the error, as always.
 */
export function connectApollo<Events extends object = EventMap>(
  client: Client<Events>,
  apollo: ApolloClient,
  options: CacheOptions<Events> = {},
): { stop(): void } {
  return follow(client, options, (stale: Set<ObservableQuery>) => entities(apollo, stale));
}
