/** What happens to the edge that serves a page. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Stage } from "./stage.js";

describe("a page in a browser", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.start();
  });
  afterEach(() => stage.clear());
  afterAll(() => stage.stop());

  it("whose edge is killed is live again at another one, with nothing missing and nothing to be fetched", async () => {
    for (let kill = 0; kill < 3; kill++) {
      const edge = await stage.edge();
      const { tab, complete, clients } = await stage.follow({ url: [edge.url, stage.mesh.home.url], clients: 3 });
      await stage.mesh.count(2);
      await complete();
      await edge.end();
      await stage.mesh.count(3);
      await complete();
      const { followers } = await tab.see();
      expect(followers).toHaveLength(clients);
      for (const { observed } of followers) {
        expect(observed.filter(({ type }) => type == "lost")).toMatchObject([{ error: "lost" }]);
        expect(observed.filter(({ type }) => type == "connected")).toHaveLength(2);
      }
      await stage.clear();
    }
  });

  it("whose edge is drained shows nothing of it", async () => {
    const edge = await stage.edge("--drain", "3s");
    const { tab, seen, complete } = await stage.follow({ url: [edge.url, stage.mesh.home.url] });
    await stage.mesh.count(1);
    await complete();
    const before = await seen();
    edge.process.kill("SIGTERM");
    while ((await seen()).connection.session == before.connection.session) await stage.mesh.count(1);
    await stage.mesh.count(2);
    await complete();
    await tab.sees({ sockets: [{ state: 3 }, { state: 1 }] });
    const { connections, rooms, observed } = await seen();
    expect(connections.slice(before.connections.length).map(({ state }) => state)).toEqual(["connected"]); // to another edge
    expect(rooms).toEqual(before.rooms);
    expect(observed.filter(({ type }) => type == "lost" || type == "gap")).toEqual([]);
  });
});
