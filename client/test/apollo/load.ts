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

/** An Apollo Client with so many queries watched, each of an entity of its own; `renders` counts what components would have shown. */
export function watched(count: number) {
  const counts = { requests: 0, renders: 0, batches: 0, broadcasts: 0 };
  const link = new ApolloLink(() => {
    counts.requests++;
    throw new Error("no request is needed");
  });
  const cache = new InMemoryCache();
  const batch = cache.batch.bind(cache);
  cache.batch = (options) => {
    counts.batches++;
    return batch(options);
  };
  const apollo = new ApolloClient({ link, cache });
  for (let id = 0; id < count; id++) {
    const settlement = { __typename: "Settlement", id: `${id}`, name: `S${id}`, population: 0, prosperity: 1, mood: "calm" };
    apollo.writeQuery({ query, variables: { id: `${id}` }, data: { settlement } });
  }
  for (let id = 0; id < count; id++) {
    apollo.watchQuery({ query, variables: { id: `${id}` } }).subscribe(() => void counts.renders++);
    cache.watch({
      query,
      variables: { id: `${id}` },
      optimistic: true,
      callback: () => void counts.broadcasts++,
    });
  }
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
