/** A page with many watched Apollo queries, whose cache follows the room. */
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { connect, room, show, type PageSight } from "./follower.js";
import { connectApollo } from "@tidings/client/apollo";

const queries = 300;
const query = gql`
  query Settlement($id: ID!) {
    settlement(id: $id) {
      id
      name
      population
    }
  }
`;

const seen = {
  /** Population by settlement, as the watched queries give it. */
  populations: Array<number>(queries).fill(0),
  /** Milliseconds that each batch of the cache took, those who watch it included. */
  batches: [] as number[],
  /** Milliseconds of each long task. */
  longTasks: [] as number[],
  /** Requests for data. */
  requests: 0,
  /** Events that came. */
  events: 0,
};

const awaited = { population: 0, reached() {} };

/** Resolves when a query shows this population. A test that measures does not want to look again and again. */
const reach = (population: number): Promise<void> =>
  new Promise((reached) => {
    Object.assign(awaited, { population, reached });
    if (seen.populations.includes(population)) reached();
  });

const cache = new InMemoryCache();
const apollo = new ApolloClient({
  cache,
  link: new HttpLink({
    uri: "/graphql",
    fetch(...request) {
      seen.requests++;
      return fetch(...request);
    },
  }),
});

for (let i = 0; i < queries; i++) {
  const variables = { id: `${i}` };
  const settlement = { __typename: "Settlement", id: `${i}`, name: `Settlement ${i}`, population: 0 };
  cache.writeQuery({ query, variables, data: { settlement } });
  apollo.watchQuery<{ settlement: typeof settlement }>({ query, variables }).subscribe(({ data, dataState }) => {
    if (dataState == "complete") seen.populations[i] = data.settlement.population;
    if (seen.populations[i] == awaited.population) awaited.reached();
  });
}

const batch = cache.batch.bind(cache);
cache.batch = (options) => {
  const start = performance.now();
  const result = batch(options);
  seen.batches.push(performance.now() - start);
  return result;
};

new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) seen.longTasks.push(duration);
}).observe({ type: "longtask" });

const { client, see } = connect();
connectApollo(client, apollo);
const handle = client.room(room);
handle.on("settlement_updated", () => seen.events++);
Object.assign(globalThis, { reach });
show(() => ({ ...see(), ...seen, state: handle.state }));

/** What the page has seen up to now. */
export interface ApolloSight extends PageSight, ReturnType<typeof see> {
  readonly populations: readonly number[];
  readonly batches: readonly number[];
  readonly longTasks: readonly number[];
  readonly requests: number;
  readonly events: number;
  readonly state: string;
}
