// @vitest-environment happy-dom
import { version } from "react";
import { expect, it, vi } from "vitest";
import { useRoom, useWebSocketSubscription } from "../../src/react/index.js";
import { event, joined, live, pass, start, withFakeTime } from "../fake.js";
import { act, mount, plain, withPage } from "./mount.js";

withFakeTime();
withPage();

it("React is the one that this run is about", () => {
  expect(version).toMatch(new RegExp(`^${process.env["REACT"] ?? 19}\\.`));
});

it("a subscription gets the events of its type from every room, once each, and joins none", async () => {
  const seen: string[] = [];
  const App = ({ n }: { n: number }) => {
    useWebSocketSubscription("settlement_updated", ({ data }, { room }) => seen.push(`${n} ${room} ${data.id}`));
    return null;
  };
  const { client, connection } = await live();
  client.room("campaign:43");
  await pass(20);
  connection.send(joined(3, {}, "campaign:43"));
  connection.news();
  const { render } = await mount(client, <App n={1} />);
  connection.send(event(8, 7), event(4, 3, "settlement_updated", { id: "a" }, "campaign:43"), event(9, 8, "other"));
  await render(<App n={2} />);
  connection.send(event(10, 9));
  await render(null);
  connection.send(event(11, 10));
  await pass(2000);
  expect(connection.news()).toEqual([]);
  expect(seen).toEqual(["1 campaign:42 8", "1 campaign:43 a", "2 campaign:42 10"]);
});

it("a subscription to * gets every type", async () => {
  const types = vi.fn();
  const App = () => useWebSocketSubscription("*", ({ type }) => types(type)) as undefined;
  const { client, connection } = await live();
  await mount(client, <App />);
  connection.send(event(8, 7), event(9, 8, "unheard_of"));
  expect(types.mock.calls.flat()).toEqual(["settlement_updated", "unheard_of"]);
});

it("a subscription follows its type and its client", async () => {
  const seen: string[] = [];
  const App = ({ type }: { type: "settlement_updated" | "structure_updated" }) => {
    useWebSocketSubscription(type, (event) => seen.push(`${event.type} ${event.id} for ${type}`));
    useRoom("campaign:42");
    return null;
  };
  const { client, connection } = await live();
  const { render } = await mount(client, <App type="settlement_updated" />, plain);
  await render(<App type="structure_updated" />);
  connection.send(event(8, 7), event(9, 8, "structure_updated"));
  const other = start();
  await render(<App type="structure_updated" />, other.client);
  connection.send(event(10, 9, "structure_updated"));
  await pass(20);
  const its = other.server.accept();
  await act(() => its.send(joined(3), event(4, 3, "structure_updated")));
  expect(seen).toEqual(["structure_updated evt-9 for structure_updated", "structure_updated evt-4 for structure_updated"]);
});
