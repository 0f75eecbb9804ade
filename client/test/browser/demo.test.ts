/** The demo as a newcomer meets it: the real one, with its edges as processes that are really killed. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Chromium } from "./chromium.js";
import { above, Demo, DemoPage, desktop, phone, type Reader } from "./demo.js";

describe("the demo", () => {
  let chromium: Chromium;
  let demo: Demo;
  let page: DemoPage;

  const open = async (reader?: Reader) => (page = await DemoPage.open(chromium, demo, reader));

  beforeAll(async () => {
    [chromium, demo] = await Promise.all([Chromium.start(), Demo.start()]);
  });
  afterEach(async () => {
    await page.close();
    expect(page.tab.complaints).toEqual([]);
  });
  afterAll(() => Promise.all([chromium.stop(), demo.stop()]));

  it("has two clients at two edges, and events come in", async () => {
    await open();
    const { panes, edges } = await page.see();
    expect(panes.map(({ edge }) => edge)).toEqual(["edge-1", "edge-2"]);
    expect(new Set(edges.map(({ process }) => process)).size).toBe(2);
    await page.ticks();
    await page.whole();
  });

  it("sends a burst to both, and loses nothing", async () => {
    await open();
    const before = await page.see();
    expect(await page.go("burst")).toMatch(/^Events \d+ to \d+ here after .* m?s: 0 missing, 0 twice, 0 refetches\.$/);
    await page.whole();
    const { panes, story } = await page.see();
    panes.forEach(({ counters }, i) => {
      expect(counters["Received"]! - before.panes[i]!.counters["Received"]!).toBeGreaterThanOrEqual(100);
    });
    expect(story).not.toBe(before.story);
  });

  it("kills an edge: its client goes on at the other one, with everything, and the edge comes back", async () => {
    await open();
    const { panes: [a], edges } = await page.see();
    const other = edges.find(({ name }) => name != a!.edge)!.name;
    expect(await page.go("kill")).toMatch(
      new RegExp(`^Back on ${other} after .* m?s: \\d+ events? recovered, 0 missing, 0 refetches\\.$`),
    );
    await page.sees({ panes: [{ state: "connected", edge: other }, { state: "connected" }] });
    await page.whole();
    await page.sees({ edges: edges.map(({ name }) => ({ name, state: "up" })) });
    const lives = (await page.see()).edges;
    expect(lives.map(({ process }, i) => process == edges[i]!.process)).toEqual(edges.map(({ name }) => name == other));
  });

  it("drains an edge: its client moves without ever being away", async () => {
    await open();
    const { panes: [a], edges } = await page.see();
    const other = edges.find(({ name }) => name != a!.edge)!.name;
    expect(await page.go("drain")).toMatch(new RegExp(
      `^Moved to ${other} after .* m?s, without a break: \\d+ events? recovered, 0 missing, 0 refetches\\.$`,
    ));
    const { panes } = await page.see();
    expect(panes[0]!.history.slice(a!.history.length - 1)).toEqual([`connected ${a!.edge}`, `connected ${other}`]);
    await page.whole();
  });

  it("takes one client off the network while the token of the other one ends", async () => {
    await open();
    const { panes: [, b] } = await page.see();
    await page.begin("offline");
    await page.choose("For", "Client B");
    const expired = await page.go("expire");
    expect(expired).toMatch(/^A new token after .* m?s, the same connection: 0 events recovered, 0 missing, 0 refetches\.$/);
    expect((await page.see()).panes[1]!.history).toEqual(b!.history);
    expect(await page.barriers()).toEqual([]); // with one pane away
    await page.choose("For", "Client A");
    const back = await page.outcome("offline");
    expect(back).toMatch(/^Back on edge-\d after .* m?s: [1-9]\d* events recovered, 0 missing, 0 refetches\.$/);
    expect((await page.see()).panes[0]!.cells.recovered).toBeGreaterThan(0);
    await page.whole();
  });

  it("outlasts the history: the client is told, and fetches everything once", async () => {
    await open();
    expect(await page.go("outlast")).toMatch(
      /^Told of a hole of \d+ events and refetched 2 queries: 0 missing without a word\.$/,
    );
    await page.whole([2, 0]);
    expect((await page.see()).panes.map(({ cells }) => cells.told > 0)).toEqual([true, false]);
    expect(await page.barriers()).toEqual([]); // with an outcome
  });

  it("has no barrier in light and dark, on a desk and on a phone, and nothing beside the window", async () => {
    await open();
    for (const size of [desktop, phone]) {
      for (const scheme of ["light", "dark"] as const) {
        await page.be({ ...size, scheme });
        expect(await page.barriers()).toEqual([]);
        expect((await page.see()).overflow).toBe(0);
      }
    }
  });

  it("is moved by those only who want it", async () => {
    await open();
    await page.sees({ animations: above() });
    await page.be({ ...desktop, motion: "reduce" });
    await page.ticks();
    expect((await page.see()).animations).toBe(0);
  });

  it("shows the keyboard where it is, at everything that can be pressed, in the order of the page", async () => {
    await open();
    const seen: string[] = [];
    for (let focus = await page.next(); focus; focus = await page.next()) {
      expect(focus.outlined, focus.name).toBe(true);
      seen.push(focus.group ?? focus.trial ?? focus.name.split(" ")[0]!);
    }
    const trials = Object.keys((await page.see()).trials);
    expect(trials).toEqual(["burst", "kill", "drain", "offline", "expire", "outlast"]);
    expect(seen).toEqual(["World clock", "Dark", "For", ...trials, "const", "Licences"]);
  });

  it("stops the clock of the world for both, and starts it again", async () => {
    await open();
    await page.choose("World clock", "Pause");
    await page.sees({ panes: Array(2).fill({ clock: expect.stringContaining("paused") }) });
    await page.choose("World clock", "1×");
    await page.sees({ panes: Array(2).fill({ clock: expect.not.stringContaining("paused") }) });
    await page.whole();
  });

  it("is dark when the reader wants it, also the next time", async () => {
    await open();
    await page.focus({ name: "Dark" });
    await page.press("Enter");
    await page.sees({ scheme: "dark" });
    expect(await page.barriers()).toEqual([]);
    await page.tab.go(demo.url);
    await page.sees({ scheme: "dark", panes: Array(2).fill({ state: "connected" }) });
    await page.tab.run("localStorage.clear()"); // for the tests that follow
  });

  it("shows what is missing, and what came twice", async () => {
    await open();
    const { panes: [a] } = await page.see();
    await demo.publish(a!.last);
    await page.sees({ panes: Array(2).fill({ counters: { Twice: 1, Missing: 0 } }) });
    await demo.publish(a!.last + 1000);
    await page.sees({ panes: Array(2).fill({ counters: { Missing: above() }, cells: { missing: above() } }) });
  });
});
