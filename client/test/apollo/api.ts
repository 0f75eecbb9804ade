/** A GraphQL API in memory behind a real Apollo Client, which counts the requests that reach it. */
import {
  ApolloClient,
  ApolloLink,
  gql,
  InMemoryCache,
  Observable,
  type DocumentNode,
  type InMemoryCacheConfig,
} from "@apollo/client";

export const settlements = gql`
  query Settlements {
    settlements {
      id
      name
      population
      mood
      place {
        x
        y
      }
      ruler {
        id
        name
      }
      tags
    }
  }
`;

export const settlement = gql`
  query Settlement($id: ID!) {
    settlement(id: $id) {
      id
      name
      population
    }
  }
`;

export const chronicle = gql`
  query Chronicle {
    chronicle {
      id
      text
    }
  }
`;

export class Api {
  /** Names of the operations that were asked for, in order. */
  requests: string[] = [];
  /** Milliseconds that an answer takes. What it says is read when the request comes. */
  delay = 0;
  broken = false;
  population = 100;
  readonly apollo: ApolloClient;

  constructor(config: InMemoryCacheConfig = {}) {
    const link = new ApolloLink(({ operationName, variables }) => {
      this.requests.push(operationName!);
      const data = this.#data(variables["id"]);
      const broken = this.broken;
      return new Observable((observer) => {
        const timer = setTimeout(() => {
          if (broken) return observer.error(new Error("no such luck"));
          observer.next({ data });
          observer.complete();
        }, this.delay);
        return () => clearTimeout(timer);
      });
    });
    this.apollo = new ApolloClient({ link, cache: new InMemoryCache(config) });
  }

  /** Watches a query as a component does. Returns the values of the results so far, and what ends it. */
  watch(query: DocumentNode, variables: Record<string, unknown> = {}, options: object = {}) {
    const results: any[] = [];
    const watched = this.apollo.watchQuery<any>({ query, variables, ...options });
    const subscription = watched.subscribe(({ data, error, loading }) => {
      if (!loading) results.push(error ?? data);
    });
    return { results, watched, unmount: () => subscription.unsubscribe() };
  }

  #data(id = "1"): Record<string, unknown> {
    const { population } = this;
    const one = (id: string) => ({
      __typename: "Settlement",
      id,
      name: `S${id}`,
      population,
      mood: "calm",
      place: { __typename: "Place", x: 1, y: 2 },
      ruler: { __typename: "Person", id: `p${id}`, name: `P${id}` },
      tags: ["old"],
    });
    return {
      settlements: ["1", "2", "3"].map(one),
      settlement: one(id),
      chronicle: [{ __typename: "Entry", id: "e1", text: `at ${population}` }],
    };
  }
}
