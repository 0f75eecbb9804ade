/**
 * `@tidings/client/testing`: a server in memory for the tests of an application, which then speak of behaviour: *an event
 * comes, the network breaks, something was missed*. It needs no test framework, and goes with every one of them.
 *
 * With vitest or Jest, and fake or real timers:
 *
 * ```ts
 * import { createClient } from "@tidings/client";
 * import { createFakeServer } from "@tidings/client/testing";
 * import { expect, it } from "vitest";
 *
 * it("gets what it has missed", async () => {
 *   const server = createFakeServer();
 *   const client = createClient({ url: "ws://fake/ws", token: () => "token", transport: server.transport, random: () => 0 });
 *   const room = client.room("campaign:42");
 *   const ids: string[] = [];
 *   room.on("settlement_updated", ({ data }) => ids.push(data.id));
 *   await room.ready();
 *
 *   server.deliver("campaign:42", "settlement_updated", { id: "1" });
 *   server.drop();
 *   server.deliver("campaign:42", "settlement_updated", { id: "2" });
 *   await expect.poll(() => ids).toEqual(["1", "2"]);
 *   client.close();
 * });
 * ```
 *
 * With React Testing Library: what is delivered reaches the components within the call, so it belongs into `act`.
 *
 * ```tsx
 * import { createClient } from "@tidings/client";
 * import { TidingsProvider } from "@tidings/client/react";
 * import { createFakeServer } from "@tidings/client/testing";
 * import { act, render, screen, waitFor } from "@testing-library/react";
 *
 * it("shows a settlement that grows, and what happened while it was away", async () => {
 *   const server = createFakeServer();
 *   const client = createClient({ url: "/ws", token: () => "token", transport: server.transport, random: () => 0 });
 *   render(
 *     <TidingsProvider client={client}>
 *       <CampaignPage id="42" />
 *     </TidingsProvider>,
 *   );
 *   await waitFor(() => expect(server.rooms).toContain("campaign:42"));
 *
 *   act(() => void server.deliver("campaign:42", "settlement_updated", { id: "7", changes: { population: 81 } }));
 *   screen.getByText("81 people");
 *
 *   act(() => server.drop());
 *   server.deliver("campaign:42", "settlement_updated", { id: "7", changes: { population: 82 } });
 *   await screen.findByText("82 people");
 *   client.close();
 * });
 * ```
 *
 * `random: () => 0` in the options of the client makes it try again at once instead of within a second.
 *
 * @packageDocumentation
 */
import type { EventMap } from "../events.js";
import { FakeServer, type FakeServerOptions } from "./server.js";

export type { FakeServer, FakeServerOptions, EventAttributes } from "./server.js";
export type { FakeConnection } from "./session.js";
export type { ClientFrame, RoomRef } from "../frames.js";

/**
 * Makes a server in memory, which accepts every connection, every token and every room until it is told otherwise.
 *
 * @typeParam Events - As with `createClient`: an application that has its own event types gives them here, too.
 */
export function createFakeServer<Events extends object = EventMap>(options?: FakeServerOptions): FakeServer<Events> {
  return new FakeServer(options);
}
