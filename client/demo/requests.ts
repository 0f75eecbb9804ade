/** The GraphQL requests of one pane: how many, and what each was for. */
import { ApolloLink } from "@apollo/client";
import type { Position } from "@tidings/client";
import { tap } from "rxjs";
import { createStore, type StoreApi } from "zustand/vanilla";

export interface Requests {
  /** Requests of the pane since the page was opened, as the server has counted them; 0 before its first answer. */
  readonly counted: number;
  /** First loads of a query. */
  readonly first: number;
  /** Requests that a `state_invalidated` event has asked for. */
  readonly asked: number;
  /** All others: what the page had to fetch once more. */
  readonly refetched: number;
  /** Taken before the oldest of the first loads was read: where the room is to be read on from. */
  readonly position: Position | undefined;
}

export class RequestLog {
  readonly store: StoreApi<Requests> = createStore(() => ({
    counted: 0, first: 0, asked: 0, refetched: 0, position: undefined as Position | undefined,
  }));
  #oldest = Infinity; // the server's count in the answer to the first request of this page, and to the newest one
  #newest = 0;
  readonly #known = new Set<string>();
  readonly #doubted = new Set<string>();
  readonly #invalidated = new Set<string>();

  /** Events have said that these queries are out of date. */
  invalidated(queries: readonly string[]): void {
    for (const query of queries) this.#invalidated.add(query);
  }

  /** Everything is in doubt: the next request of each query is a refetch. */
  reset(): void {
    for (const query of this.#known) this.#doubted.add(query);
  }

  /** Counts what passes. */
  readonly link = new ApolloLink((operation, forward) => {
    const kind = this.#kind(operation.operationName ?? "");
    this.store.setState((log) => ({ [kind]: log[kind] + 1 }));
    return forward(operation).pipe(tap(({ extensions }) => this.#counted(extensions?.["requests"])));
  });

  /** Makes a `fetch` that reads the answers' positions. */
  reading(through: typeof fetch): typeof fetch {
    return async (input, init) => {
      const response = await through(input, init);
      const header = response.headers.get("Tidings-Position");
      if (header) this.#read(JSON.parse(header));
      return response;
    };
  }

  #kind(query: string): "first" | "asked" | "refetched" {
    if (!this.#known.has(query)) {
      this.#known.add(query);
      return "first";
    }
    const asked = this.#invalidated.delete(query);
    return this.#doubted.delete(query) || !asked ? "refetched" : "asked";
  }

  #counted(counted: unknown): void {
    if (typeof counted != "number") return;
    this.#newest = Math.max(this.#newest, counted); // answers may come in another order
    this.#oldest = Math.min(this.#oldest, counted);
    this.store.setState({ counted: this.#newest - this.#oldest + 1 });
  }

  #read(position: Position): void {
    this.store.setState((log) => ({ position: log.position && log.position.seq < position.seq ? log.position : position }));
  }
}

/** Requests that the pane has made. */
export function sent({ store }: RequestLog): number {
  const { first, asked, refetched } = store.getState();
  return first + asked + refetched;
}
