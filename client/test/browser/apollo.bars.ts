/** What it takes of the main thread when Apollo's cache, with 300 watched queries, follows a room. */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { room } from "../edges.js";
import type { ApolloSight } from "./apollo.page.js";
import { median } from "./median.js";
import { Settlements } from "./settlements.js";
import { Stage } from "./stage.js";
import type { Tab } from "./tab.js";

const runs = 9;

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.start("--stream-history", "2000");
});
afterEach(() => stage.clear());
afterAll(() => stage.stop());

/** A page whose cache follows the room. */
async function open(url = stage.mesh.home.url) {
  const { mesh } = stage;
  const tab = await stage.open<ApolloSight>("apollo", { url: [url], room });
  await tab.sees({ state: "live" });
  return { tab, settlements: new Settlements(mesh) };
}

/** Milliseconds of a processor that the page's main thread has used up to now. */
async function busy(tab: Tab): Promise<number> {
  const { metrics } = await tab.devtools.send("Performance.getMetrics");
  return metrics.find(({ name }) => name == "TaskDuration")!.value * 1000;
}

it("a thousand updates in one burst: one batch, of at most 50 ms", async () => {
  const { tab, settlements } = await open();
  const { tab: other } = await open();
  await tab.devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  const times: number[] = [];
  const took: number[] = [];
  for (let run = 1; run <= runs; run++) {
    await settlements.change(1000);
    await tab.sees({ events: run * 1000 });
    const start = await busy(tab);
    await tab.front(); // the burst is over when the page can be seen
    await tab.run(`reach(${settlements.changes})`);
    times.push((await busy(tab)) - start);
    const { batches, requests } = await tab.see();
    expect(batches).toHaveLength(run);
    expect(requests).toBe(0);
    took.push(batches.at(-1)!);
    await other.front();
    await expect.poll(() => tab.run("document.visibilityState")).toBe("hidden");
  }
  median("from the beginning of the batch to its end, on this machine with what else runs on it", "ms", took);
  expect(median("processor time of the main thread", "ms", times)).toBeLessThanOrEqual(50);
});

it("a thousand updates that were missed, while the page can be seen: one batch", async () => {
  const proxy = await stage.proxy();
  const { tab, settlements } = await open(proxy.url);
  await tab.devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  const times: number[] = [];
  const counts: number[] = [];
  for (let run = 1; run <= runs; run++) {
    proxy.mode = "refuse";
    proxy.cut();
    await settlements.change(1000);
    const before = await tab.see();
    const start = await busy(tab);
    proxy.mode = "pass";
    await tab.run(`reach(${settlements.changes})`);
    times.push((await busy(tab)) - start);
    counts.push((await tab.see()).batches.length - before.batches.length);
  }
  median("processor time of the main thread, connecting and all frames included", "ms", times);
  expect(median("batches", "", counts)).toBe(1);
});

it("200 events a second for 10 s: no long task", async () => {
  const { tab, settlements } = await open();
  const tasks: number[] = [];
  for (let run = 0; run < 3; run++) {
    const before = await tab.see();
    await settlements.change(2000, 1000 / 200);
    await tab.sees({ populations: settlements.populations });
    const after = await tab.see();
    expect(after.events - before.events).toBe(2000);
    tasks.push(after.longTasks.length - before.longTasks.length);
  }
  expect(median("long tasks", "", tasks)).toBe(0);
});
