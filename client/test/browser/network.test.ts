/** What a network does to a page's connection. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Stage } from "./stage.js";

const ping = 1; // s

describe("in a browser, over a network", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.start("--ping", `${ping}s`);
  });
  afterEach(() => stage.clear());
  afterAll(() => stage.stop());

  it("that breaks and stays away for a while, it comes back with all that it missed", async () => {
    const proxy = await stage.proxy();
    const { tab, complete } = await stage.follow({ url: [proxy.url] });
    await stage.mesh.count(2);
    await complete();
    proxy.mode = "refuse";
    proxy.cut();
    await tab.sees({ followers: [{ connection: { state: "waiting", attempt: 2 }, state: "recovering" }] });
    await stage.mesh.count(3);
    proxy.mode = "pass";
    await complete();
  });

  it("that the browser knows to be gone, it is back as soon as the browser says so", async () => {
    const proxy = await stage.proxy();
    const { tab, seen, complete } = await stage.follow({ url: [proxy.url] });
    const unlimited = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
    const offline = (offline: boolean) => tab.devtools.send("Network.emulateNetworkConditions", { offline, ...unlimited });
    await tab.devtools.send("Network.enable");
    await offline(true);
    proxy.mode = "refuse";
    proxy.cut();
    await tab.sees({ life: ["offline"], followers: [{ connection: { state: "offline", error: "lost" } }] });
    await stage.mesh.count(3);
    let retryAt = 0; // not before long; each try that fails until then draws another time, of up to 32 s
    while (retryAt < Date.now() + 8_000) retryAt = (await seen()).connection.retryAt ?? 0;
    proxy.mode = "pass";
    await offline(false);
    await complete();
    const { life, connections } = await seen();
    expect(life).toEqual(["offline", "online"]);
    expect(connections.at(-1)!.at).toBeLessThan(retryAt);
  });

  it("that is slow, it stays on one connection", async () => {
    const proxy = await stage.proxy();
    proxy.delay = 400; // more than a handshake and a hello take elsewhere, and less than an edge waits for a pong
    const { seen, complete } = await stage.follow({ url: [proxy.url] });
    await stage.mesh.count(20);
    await complete();
    expect((await seen()).sockets).toHaveLength(1);
  });

  it("that swallows everything without a word, it notices in time and goes elsewhere", async () => {
    const proxy = await stage.proxy();
    const { seen, complete } = await stage.follow({ url: [proxy.url, stage.mesh.home.url] });
    await stage.mesh.count(2);
    await complete();
    const swallowed = Date.now();
    proxy.mode = "swallow";
    await stage.mesh.count(3);
    await complete();
    const { sockets, observed } = await seen();
    const lost = observed.filter(({ type }) => type == "lost");
    expect(lost).toMatchObject([{ error: "silent" }]);
    expect(lost[0]!.at - swallowed).toBeLessThan((ping + 10 + 5) * 1000); // as the protocol has it, and air for a busy machine
    expect(sockets).toMatchObject([{ url: proxy.url }, { url: stage.mesh.home.url }]);
  });
});
