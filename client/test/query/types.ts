/** What compiles and what does not: checked by tsc against the built package, never run. */
import { QueryClient } from "@tanstack/react-query";
import { QueryClient as Core } from "@tanstack/query-core";
import { createClient } from "@tidings/client";
import { connectQuery } from "@tidings/client/query";

const client = createClient({ url: "/ws", token: () => "t" });

connectQuery(client, new Core()).stop();
connectQuery(client, new QueryClient(), {
  on: { settlement_updated: "Town" },
  keys: ({ entityType, id }) => [[entityType.toLowerCase()], [entityType, id, 5]],
  patch: (data, { id }, changes) => (id ? { ...(data as object), ...changes } : undefined),
});
// @ts-expect-error a key is a list
connectQuery(client, new QueryClient(), { keys: ({ entityType }) => [entityType] });
// @ts-expect-error no query client
connectQuery(client, {});
