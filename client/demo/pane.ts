/** One pane: a client of its own with all that belongs to it, as if it were a page of its own. */
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { createClient, type Client } from "@tidings/client";
import { connectApollo } from "@tidings/client/apollo";
import { connectZustand, type WorldTimes } from "@tidings/client/zustand";
import { createStore, type StoreApi } from "zustand/vanilla";
import { getToken, type Config } from "./backend.js";
import { Gate } from "./gate.js";
import { RequestLog } from "./requests.js";
import { Recorder } from "./tape.js";

export type PaneId = "a" | "b";

const hour = 3600; // s

export interface Pane {
  readonly id: PaneId;
  readonly title: string;
  readonly room: string;
  readonly client: Client;
  readonly apollo: ApolloClient;
  readonly gate: Gate;
  readonly tape: Recorder;
  readonly requests: RequestLog;
  /** What time it is in the campaign: set by the first query, and by events from then on. */
  readonly world: StoreApi<WorldTimes>;
  /** Tokens that the client has asked for. */
  readonly tokens: { asked: number };
}

/** Makes a pane whose client tries the edges in the order given. */
export function createPane(id: PaneId, { room, edges }: Config): Pane {
  const gate = new Gate();
  const requests = new RequestLog();
  const tokens = { asked: 0 };
  const client = createClient({
    url: edges.map(({ url }) => url),
    token: ({ signal }) => {
      tokens.asked++;
      return getToken(id, hour, gate.fetch, signal);
    },
    transport: gate.transport,
  });
  const http = new HttpLink({
    uri: "graphql",
    fetch: requests.reading(gate.fetch),
    headers: { "Tidings-Pane": id },
  });
  const apollo = new ApolloClient({ link: ApolloLink.from([requests.link, http]), cache: new InMemoryCache() });
  const world = createStore<WorldTimes>(() => ({ worldTimes: {} }));
  connectApollo(client, apollo);
  connectZustand(client, world);
  const tape = new Recorder();
  return { id, title: `Client ${id.toUpperCase()}`, room, client, apollo, world, gate, tape, requests, tokens };
}
