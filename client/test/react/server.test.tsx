// @vitest-environment happy-dom
import { StrictMode } from "react";
import { renderToString } from "react-dom/server";
import { expect, it } from "vitest";
import {
  ConnectionIndicator,
  TidingsProvider,
  useRoom,
  useWebSocketConnection,
  useWebSocketSubscription,
} from "../../src/react/index.js";
import { joined, live, pass, ref, room, start, withFakeTime } from "../fake.js";
import { act, hydrate, withPage } from "./mount.js";

withFakeTime();
withPage();

function App() {
  const { state } = useRoom(room, { settlement_updated: () => {} });
  const connection = useWebSocketConnection();
  useWebSocketSubscription("settlement_updated", () => {});
  return <><p>{state}</p><p>{connection.state}</p><ConnectionIndicator /></>;
}

const page = (client: ReturnType<typeof start>["client"]) => (
  <StrictMode><TidingsProvider client={client}><App /></TidingsProvider></StrictMode>
);
const html = '<p>joining</p><p>idle</p><div role="status"></div>';

it("a server renders the page and asks for nothing", async () => {
  const { client, server } = start();
  expect(renderToString(page(client))).toBe(html);
  await pass(5000);
  expect(server.connections).toEqual([]);
});

it("a browser takes over without a difference, and joins once", async () => {
  const { client, server } = start();
  const hydrated = await hydrate(html, page(client));
  expect(hydrated.mended).toEqual([]);
  await act(() => pass(20));
  const connection = server.last;
  await act(() => {
    server.accept().send(joined(7));
  });
  expect(server.connections).toHaveLength(1);
  expect(connection.news()).toEqual([{ op: "hello", token: "token-1", rooms: [ref(room)] }]);
  expect(hydrated.page.innerHTML).toBe('<p>live</p><p>connected</p><div role="status"></div>');
});

it("a browser takes over although it is connected and in the room already", async () => {
  const { client } = await live();
  const { page: hydrated, mended } = await hydrate(html, page(client));
  expect(mended).toEqual([]);
  expect(hydrated.innerHTML).toBe('<p>live</p><p>connected</p><div role="status"></div>');
});
