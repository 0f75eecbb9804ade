/** Many watched queries and a burst of updates: for tests, and for a page that measures the main thread. */
import { ApolloClient, ApolloLink, gql, InMemoryCache, type DocumentNode } from "@apollo/client";
import type { EntityUpdated } from "@tidings/client";

const query: DocumentNode = gql`
  query Watched($id: ID!) {
    settlement(id: $id) {
      id
      name
      population
      prosperity
      mood
    }
  }
`;

/**
 * An Apollo Client with so many queries watched, each of an entity of its own. Counts requests, batches of the cache, and results
 * that components would have shown.
 */
export function watched(count: number) {
  const counts = { requests: 0, batches: 0, results: 0 };
  const link = new ApolloLink(() => {
    counts.requests++;
    throw new Error("no request is needed");
  });
  const cache = new InMemoryCache();
  const { batch } = cache;
  cache.batch = function (options) {
    counts.batches++;
    return batch.call(this, options) as any;
  };
  const apollo = new ApolloClient({ link, cache });
  const ids = Array.from({ length: count }, (_, id) => `${id}`);
  const write = (population: number) => {
    for (const id of ids) {
      const settlement = { __typename: "Settlement", id, name: `S${id}`, population, prosperity: 1, mood: "calm" };
      cache.writeQuery({ query, variables: { id }, data: { settlement }, broadcast: false });
    }
  };
  write(0);
  for (const id of ids) apollo.watchQuery({ query, variables: { id } }).subscribe(() => void counts.results++);
  write(1);
  cache.batch({ update: () => {} }); // they have been told something before, as those of a page that has been there for a while
  return { apollo, counts };
}

/** Updates of these entities, in turns. */
export function updates(count: number, entities: number): EntityUpdated[] {
  return Array.from({ length: count }, (_, i) => ({
    entityType: "Settlement",
    id: `${i % entities}`,
    version: i + 1,
    changes: { population: i + 1, mood: `mood ${i}` },
  }));
}
