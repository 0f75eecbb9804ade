/** Apollo's cache in a browser. */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { room } from "../edges.js";
import type { ApolloSight } from "./apollo.page.js";
import { Settlements } from "./settlements.js";
import { Stage } from "./stage.js";

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.start("--stream-history", "2000");
});
afterEach(() => stage.clear());
afterAll(() => stage.stop());

it("a thousand updates are one batch when the hidden page is shown, and no request, nor is the loss of an edge", async () => {
  const { mesh } = stage;
  const edge = await stage.edge();
  const settlements = new Settlements(mesh);
  const tab = await stage.open<ApolloSight>("apollo", { url: [edge.url, mesh.home.url], room });
  await tab.sees({ state: "live" });
  const other = await stage.follow({ url: [mesh.home.url] }); // in front
  await settlements.change(500);
  await edge.end();
  await settlements.change(500);
  await tab.sees({ life: ["hidden"], events: 1000, batches: [] });
  await tab.front();
  const { populations } = settlements;
  await tab.sees({ batches: [expect.any(Number)], populations });
  await settlements.change(1);
  await tab.sees({ batches: [expect.any(Number), expect.any(Number)], populations, requests: 0 });
  await other.complete();
});
