/** Polling against the real binary, and through a proxy that blocks WebSockets. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import WebSocket from "ws";
import { createClient, webSocketTransport, type Client, type ClientOptions, type Observation, type Transport } from "../../src/index.js";
import { pollTransport, withPolling } from "../../src/poll/index.js";
import { Mesh, room, type Edge } from "../edges.js";
import { Proxy } from "../proxy.js";

async function until(what: string, condition: () => boolean): Promise<void> {
  await expect.poll(condition, { timeout: 60_000, interval: 10, message: what }).toBe(true);
}

describe("polling tidings serve", { timeout: 120_000 }, () => {
  let mesh: Mesh;
  const clients: Client[] = [];
  const proxies: Proxy[] = [];

  async function proxy(target: Edge): Promise<Proxy> {
    const proxy = await Proxy.to(target.http);
    proxies.push(proxy);
    return proxy;
  }

  /** A client in the room, what it gets from now on, and what it is seen to do. */
  async function follow(transport: Transport, options: Pick<ClientOptions, "url"> & Partial<ClientOptions>) {
    const observed: Observation[] = [];
    const client = createClient<{ counted: { n: number } }>({
      transport,
      token: () => mesh.token(),
      observe: (observation) => observed.push(observation),
      ...options,
    });
    clients.push(client as never);
    const handle = client.room(room);
    const got: number[] = [];
    const resets: unknown[] = [];
    const states: string[] = [];
    handle.on("counted", ({ data }) => got.push(data.n));
    handle.onReset((reset) => resets.push(reset));
    await handle.ready();
    client.subscribe(({ state }) => states.push(state));
    handle.onState((state) => states.push(state));
    const first = mesh.published + 1;
    const complete = async () => {
      await until(`event ${mesh.published}`, () => got.at(-1) == mesh.published);
      expect(got).toEqual(Array.from({ length: mesh.published - first + 1 }, (_, i) => first + i));
      expect(resets).toEqual([]);
      expect(observed.filter(({ type }) => type == "gap")).toEqual([]);
    };
    return { client, handle, states, observed, complete };
  }

  beforeAll(async () => {
    mesh = await Mesh.start();
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    for (const client of clients.splice(0)) client.close();
    await Promise.all(proxies.splice(0).map((proxy) => proxy.stop()));
  });
  afterAll(() => mesh.stop());

  it("nothing is missing, and nothing comes twice", async () => {
    const { complete, states } = await follow(pollTransport(), { url: mesh.home.url });
    await mesh.count(40);
    await complete();
    expect(states).toEqual([]);
  });

  it("a room that was joined is left, another is denied, and the rest goes on", async () => {
    const { client, complete } = await follow(pollTransport(), { url: mesh.home.url });
    await expect(client.room("campaign:7").ready()).rejects.toMatchObject({ code: "forbidden" });
    await mesh.count(3);
    await complete();
  });

  it("an edge is killed: back at another one without a gap and without a reset", async () => {
    const other = await mesh.another();
    const { client, complete, handle, states } = await follow(pollTransport(), { url: [other.url, mesh.home.url] });
    const { edge: before } = client.connection;
    await mesh.count(2);
    await other.end();
    await mesh.count(3);
    await until("moved", () => client.connection.edge != before);
    await mesh.count(2);
    await complete();
    expect(handle.state).toBe("live");
    expect(new Set(states), "nothing is to be seen").toEqual(new Set(["connected"]));
  });

  it("an edge is drained: nothing is to be seen", async () => {
    const other = await mesh.another("--drain", "20s");
    const { client, complete, states, observed } = await follow(pollTransport(), { url: [other.url, mesh.home.url] });
    const { edge: before } = client.connection;
    await mesh.count(1);
    other.process.kill("SIGTERM");
    await mesh.count(2);
    await until("moved", () => client.connection.edge != before);
    await mesh.count(2);
    await complete();
    expect(new Set(states)).toEqual(new Set(["connected"]));
    expect(observed.filter(({ type }) => type == "lost")).toEqual([]);
  });

  it("a token that ends is renewed between polls", async () => {
    const reasons: string[] = [];
    const { complete, states, observed } = await follow(pollTransport(), {
      url: mesh.home.url,
      token: ({ reason }) => {
        reasons.push(reason);
        return reason == "connect" ? mesh.token("--ttl", "2s") : mesh.token();
      },
    });
    await until("renewed", () => reasons.length == 2);
    await mesh.count(2);
    await complete();
    expect(reasons).toEqual(["connect", "refresh"]);
    expect(states).toEqual([]);
    expect(observed.filter(({ type }) => type == "lost")).toEqual([]);
  });

  it("WebSockets are refused or cut by a proxy: polls, and moves back when they pass", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0); // the first trial comes after 24 s
    const ways = await Promise.all(
      (["http", "http-cut"] as const).map(async (mode) => {
        const between = await proxy(mesh.home);
        between.mode = mode;
        const transport = withPolling({ webSocket: webSocketTransport(WebSocket as never) });
        const followed = await follow(transport, { url: between.url });
        expect(between.refused, `WebSockets that were tried: ${mode}`).toBe(2);
        return { ...followed, mode, between, session: followed.client.connection.session };
      }),
    );
    await mesh.count(3);
    for (const { complete } of ways) await complete();

    for (const { between } of ways) between.mode = "pass";
    for (const { client, mode, session } of ways) await until(`back: ${mode}`, () => client.connection.session != session);
    await mesh.count(3);
    for (const { between, complete, handle, states } of ways) {
      await complete();
      expect(new Set(states), "nothing is to be seen").toEqual(new Set(["connected"]));
      expect(handle.state).toBe("live");
      expect(between.refused).toBe(2);
    }
  });
});
