/** What a browser does to a page, and so to its connection. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Stage } from "./stage.js";

describe("a page in a browser", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.start();
  });
  afterEach(() => stage.clear());
  afterAll(() => stage.stop());

  it("that comes back from the back/forward cache is live again with all that it missed", async () => {
    const proxy = await stage.proxy();
    const { tab, seen, complete } = await stage.follow({ url: [proxy.url] });
    await stage.mesh.count(2);
    await complete();
    await tab.go(`${stage.site.origin}/elsewhere`);
    await expect.poll(() => proxy.open, { timeout: 20_000 }).toBe(0);
    await stage.mesh.count(3);
    await tab.run("history.back()");
    await complete();
    const { life, connections, observed, sockets } = await seen();
    expect(life).toEqual(["pagehide", "hidden", "freeze", "resume", "visible", "pageshow"]);
    expect(connections.map(({ state }) => state)).toEqual(["connecting", "connected", "suspended", "connecting", "connected"]);
    expect(observed.filter(({ type }) => type == "lost")).toEqual([]);
    expect(sockets).toHaveLength(2);
  });

  it("that is hidden goes on, and when it is shown again notices that its connection is dead", async () => {
    const proxy = await stage.proxy();
    const { tab, seen, complete } = await stage.follow({ url: [proxy.url, stage.mesh.home.url] });
    const other = await stage.follow({ url: [stage.mesh.home.url] });
    await tab.sees({ life: ["hidden"] });
    await stage.mesh.count(2);
    await complete();
    proxy.mode = "swallow"; // silence that the health check finds after 35 s
    await stage.mesh.count(2);
    await other.complete();
    const shown = Date.now();
    await tab.front();
    await complete();
    const { observed, life } = await seen();
    expect(life).toEqual(["hidden", "visible"]);
    const lost = observed.filter(({ type }) => type == "lost");
    expect(lost).toMatchObject([{ error: "silent" }]);
    expect(lost[0]!.at - shown).toBeLessThan((3 + 5) * 1000); // of the probe, and air for a busy machine
  });

  it("that was frozen until its edge gave it up is live again with all that it missed", async () => {
    const edge = await stage.edge("--ping", "1s", "--pong-timeout", "1s");
    const proxy = await stage.proxy(edge);
    const { tab, seen, complete } = await stage.follow({ url: [proxy.url] });
    await stage.follow({ url: [edge.url] }); // in front
    await tab.sees({ life: ["hidden"] });
    await tab.devtools.send("Page.setWebLifecycleState", { state: "frozen" });
    await stage.mesh.count(3);
    await expect.poll(() => proxy.open, { timeout: 20_000 }).toBe(0);
    await tab.devtools.send("Page.setWebLifecycleState", { state: "active" });
    await complete();
    expect((await seen()).life).toEqual(["hidden", "freeze", "resume"]);
  });
});
