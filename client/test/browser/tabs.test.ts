/** Several tabs of one application. */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { Stage, type Following } from "./stage.js";

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.start();
});
afterEach(() => stage.clear());
afterAll(() => stage.stop());

it("five tabs have a connection each, get everything, and get their tokens one after the other", async () => {
  stage.site.slowness = 500;
  const tabs = await Promise.all(Array.from({ length: 5 }, () => stage.follow({ url: [stage.mesh.home.url], ttl: 6 })));
  await stage.mesh.count(2);
  await renewed(tabs);
  await stage.mesh.count(2);
  const sessions = new Set<string>();
  for (const { seen, complete } of tabs) {
    await complete();
    const { connection, sockets, observed } = await seen();
    expect(sockets).toHaveLength(1);
    expect(observed.filter(({ type }) => type == "lost" || type == "token")).toEqual([]);
    sessions.add(connection.session!);
  }
  expect(sessions.size).toBe(5);
  expect(stage.site.atOnce).toBe(1);
});

/** Waits until each has shown another token to its edge. */
async function renewed(tabs: readonly Following[]): Promise<void> {
  for (const { seen } of tabs) {
    const shown = async () => (await seen()).sockets[0]!.sent.filter(({ op }) => op == "token").length;
    await expect.poll(shown, { timeout: 30_000, interval: 50 }).toBeGreaterThan(0);
  }
}
