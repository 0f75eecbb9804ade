/** The hooks in a browser. */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { room } from "../edges.js";
import type { ReactSight } from "./react.page.js";
import { Stage } from "./stage.js";

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.start();
});
afterEach(() => stage.clear());
afterAll(() => stage.stop());

it("under StrictMode two components of one room make one connection and one join", async () => {
  const { mesh } = stage;
  const tab = await stage.open<ReactSight>("react", { url: [mesh.home.url], room });
  await tab.sees({ text: expect.stringMatching(/^live, event 0\s+live$/) });
  await mesh.count(3);
  await tab.sees({ text: expect.stringMatching(/^live, event 3\s+live$/), numbers: [1, 2, 3] });
  const { counts, sockets, connections } = await tab.see();
  expect(counts).toEqual({ mounts: 2, unmounts: 1 });
  expect(sockets).toMatchObject([{ sent: [{ op: "hello", rooms: [{ room }] }] }]);
  expect(connections.map(({ state }) => state)).toEqual(["connecting", "connected"]);
});
