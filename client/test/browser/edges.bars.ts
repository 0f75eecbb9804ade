/** How long it takes until a page whose edge was killed is live at another one. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { median } from "./median.js";
import { Stage } from "./stage.js";

const kills = 5;
const clients = 5; // each with a connection of its own

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.start();
});
afterAll(() => stage.stop());

it("losing an edge: live again in less than 1 s", async () => {
  const times: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const edge = await stage.edge();
    const { tab, complete } = await stage.follow({ url: [edge.url, stage.mesh.home.url], clients });
    const killed = Date.now();
    await edge.end();
    await stage.mesh.count(3);
    await complete();
    for (const { rooms } of (await tab.see()).followers) times.push(rooms.at(-1)!.at - killed);
    await stage.clear();
  }
  expect(times).toHaveLength(kills * clients);
  expect(median("live after the loss of an edge", "ms", times)).toBeLessThan(1000);
});
