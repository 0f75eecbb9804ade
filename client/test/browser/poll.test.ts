/** A network that lets HTTP through, and no WebSockets. */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { Stage } from "./stage.js";

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.start("--ping", "5s");
});
afterEach(() => stage.clear());
afterAll(() => stage.stop());

it("where WebSockets are blocked a page polls, across the loss of an edge, and moves back unseen when they are not", async () => {
  const { mesh } = stage;
  const edge = await stage.edge("--ping", "5s");
  const proxy = await stage.proxy(edge);
  proxy.mode = "http";
  const { seen, complete } = await stage.follow({ url: [proxy.url] }, "poll");
  expect((await seen()).observed.slice(0, 3)).toMatchObject([{ type: "lost" }, { type: "lost" }, { type: "connected" }]);
  expect(proxy.refused).toBeGreaterThanOrEqual(2);
  await mesh.count(5);
  await complete();
  proxy.target = mesh.home.http;
  await edge.end();
  await mesh.count(5);
  await complete();
  const polling = await seen();
  proxy.mode = "pass";
  const open = async () => (await seen()).sockets.some(({ state, sent }) => state == 1 && sent.length > 0);
  while (!(await open())) await mesh.count(1);
  await mesh.count(5);
  await complete();
  const { connections, rooms } = await seen();
  expect(connections.slice(polling.connections.length).map(({ state }) => state)).toEqual(["connected"]);
  expect(rooms).toEqual(polling.rooms);
});
