/** What compiles and what does not: checked by tsc against the built package, never run. */
import { ApolloClient, ApolloLink, InMemoryCache } from "@apollo/client";
import { createClient, type Client } from "@tidings/client";
import { connectApollo } from "@tidings/client/apollo";

const client = createClient({ url: "/ws", token: () => "t" });
const apollo = new ApolloClient({ link: ApolloLink.empty(), cache: new InMemoryCache() });

const { stop } = connectApollo(client, apollo);
const stopped: void = stop();
connectApollo(client, apollo, {
  spreadMs: 500,
  on: {
    settlement_updated: "Town",
    structure_updated: ({ data }, { room }) => ({ entityType: "Tower", id: data.id, changes: { room } }),
    world_time_changed: ({ data }) => [{ queries: ["Clock"] }, { entities: [{ entityType: "Clock" }], reason: data.worldTime }],
    entity_updated: () => {},
    // @ts-expect-error no such event
    settlement_udpated: "Town",
  },
});
// @ts-expect-error an entity without its type is none
connectApollo(client, apollo, { on: { structure_updated: ({ data }) => ({ id: data.id }) } });
// @ts-expect-error handlers say what it means now, not later
connectApollo(client, apollo, { on: { structure_updated: async () => ({ queries: [] }) } });
// @ts-expect-error an option that does not exist
connectApollo(client, apollo, { delay: 5 });

declare const mine: Client<{ counted: { n: number } }>;
connectApollo(mine, apollo, { on: { counted: ({ data }) => ({ queries: [data.n.toFixed()] }) } });
void stopped;
