/** Against the real binary: two edges, of which the first has NATS inside. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import WebSocket from "ws";
import { createClient, webSocketTransport, type Client, type ClientOptions, type Observation, type Position, type Reset } from "../src/index.js";
import { Mesh, room } from "./edges.js";

async function until(what: string, condition: () => boolean): Promise<void> {
  await expect.poll(condition, { timeout: 20_000, interval: 10, message: what }).toBe(true);
}

describe("against tidings serve", { timeout: 60_000 }, () => {
  let mesh: Mesh;
  const clients: Client[] = [];

  const second = () => mesh.another("--drain", "3s");

  /** A client in the room, and what it gets from now on. */
  async function follow(options: Partial<ClientOptions> & Pick<ClientOptions, "url">, since?: Position) {
    const observed: Observation[] = [];
    const client = createClient<{ counted: { n: number } }>({
      transport: webSocketTransport(WebSocket as never),
      token: () => mesh.token(),
      observe: (observation) => observed.push(observation),
      ...options,
    });
    clients.push(client as never);
    const handle = client.room(room, { since });
    const got: number[] = [];
    const resets: Reset[] = [];
    handle.on("counted", ({ data }) => got.push(data.n));
    handle.onReset((reset) => resets.push(reset));
    await handle.ready();
    const first = mesh.published + 1;
    const complete = async () => {
      await until(`event ${mesh.published}`, () => got.at(-1) == mesh.published);
      expect(got).toEqual(Array.from({ length: mesh.published - first + 1 }, (_, i) => first + i));
    };
    return { client, handle, got, resets, observed, complete };
  }

  beforeAll(async () => {
    mesh = await Mesh.start("--stream-history", "20");
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });
  afterAll(() => mesh.stop());

  it("events come in order, once", async () => {
    const { complete, client } = await follow({ url: mesh.home.url });
    await mesh.count(3);
    await complete();
    expect(client.connection.state).toBe("connected");
  });

  it("an edge is killed: back at another one without a gap and without a reset", async () => {
    const other = await second();
    const { client, complete, handle, resets, observed } = await follow({ url: [other.url, mesh.home.url] });
    await mesh.count(2);
    await other.end();
    await mesh.count(3);
    await until("live again", () => handle.state == "live" && client.connection.state == "connected");
    await mesh.count(2);
    await complete();
    expect(resets).toEqual([]);
    const back = observed.filter((o) => o.type == "connected");
    expect(back).toHaveLength(2);
  });

  it("an edge is drained: nothing is to be seen", async () => {
    const other = await second();
    const { client, complete, handle, observed } = await follow({ url: [other.url, mesh.home.url] });
    const states: string[] = [];
    client.subscribe(({ state }) => states.push(state));
    handle.onState((state) => states.push(state));
    await mesh.count(1);
    const { session } = client.connection;
    other.process.kill("SIGTERM");
    await mesh.count(2);
    await until("moved", () => client.connection.session != session);
    await mesh.count(2);
    await complete();
    expect(new Set(states)).toEqual(new Set(["connected"]));
    expect(observed.filter(({ type }) => type == "lost")).toEqual([]);
  });

  it("NATS is killed and comes back: the edge goes on, without a gap and without a reset", async () => {
    const other = await second();
    const { complete, resets, observed } = await follow({ url: other.url });
    await mesh.count(2);
    await mesh.restart();
    await mesh.count(3);
    await complete();
    expect(resets).toEqual([]);
    expect(observed.filter(({ type }) => type == "breaker")).toEqual([]);
  });

  it("away for longer than the history: told so, and on from there", async () => {
    const { client, handle } = await follow({ url: mesh.home.url });
    const { position } = handle;
    client.close();
    await mesh.count(25); // the history is 20
    const { resets, complete } = await follow({ url: mesh.home.url }, position);
    expect(resets).toMatchObject([{ reason: "truncated" }]);
    await mesh.count(1);
    await complete();
  });

  it("a token that ends is renewed over the open socket", async () => {
    const reasons: string[] = [];
    const { client, complete, observed } = await follow({
      url: mesh.home.url,
      token: ({ reason }) => {
        reasons.push(reason);
        return reason == "connect" ? mesh.token("--ttl", "2s") : mesh.token();
      },
    });
    await until("renewed", () => reasons.length == 2);
    await mesh.count(1);
    await complete();
    expect(reasons).toEqual(["connect", "refresh"]);
    expect(observed.filter(({ type }) => type == "lost")).toEqual([]);
    expect(client.connection.state).toBe("connected");
  });

  it("a right that the next token does not have is gone, and with the one after it everything is there", async () => {
    let tokens = 0;
    const { client, complete, handle, got, resets } = await follow({
      url: mesh.home.url,
      token: () => [mesh.token("--ttl", "2s"), mesh.token("--ttl", "3s", "--room", "campaign:7"), mesh.token()][tokens++] ?? mesh.token(),
    });
    await until("revoked", () => handle.state == "denied");
    expect(handle.error).toMatchObject({ code: "forbidden", retryable: false });
    await mesh.count(2);
    expect(got).toEqual([]);
    expect(client.connection.state).toBe("connected");
    await complete();
    expect(resets).toEqual([]);
  });

  it("a token that runs out while there is no other ends the connection, and the next one resumes", async () => {
    const strict = await mesh.another("--leeway", "0s");
    let down = false;
    const { client, complete, handle, resets, observed } = await follow({
      url: strict.url,
      token: ({ reason }) => {
        if (down) throw new Error("the token endpoint is down");
        down = reason == "connect";
        return mesh.token(...(down ? ["--ttl", "3s"] : []));
      },
    });
    await until("ended", () => observed.some((o) => o.type == "lost" && o.error.code == "token_rejected"));
    await mesh.count(2);
    down = false;
    client.connect();
    await until("live", () => handle.state == "live" && client.connection.state == "connected");
    await complete();
    expect(resets).toEqual([]);
    await strict.end();
  });

  it("a token that is refused is replaced once", async () => {
    const { client } = await follow({ url: mesh.home.url, token: ({ reason }) => (reason == "connect" ? "rubbish" : mesh.token()) });
    expect(client.connection.state).toBe("connected");
    let asked = 0;
    const hopeless = createClient({ url: mesh.home.url, transport: webSocketTransport(WebSocket as never), token: () => `rubbish-${++asked}` });
    clients.push(hopeless as never);
    await expect(hopeless.room(room).ready()).rejects.toMatchObject({ code: "token_rejected", retryable: false });
    expect(asked).toBe(2);
  });

  it("a room that is not granted, or is none, is denied", async () => {
    const { client } = await follow({ url: mesh.home.url });
    await expect(client.room("campaign:7").ready()).rejects.toMatchObject({ code: "forbidden" });
    await expect(client.room(`campaign:${"é".repeat(100)}`).ready()).rejects.toMatchObject({ code: "bad_room" });
  });

  it("a probe is answered", async () => {
    const sent: string[] = [];
    const answers: string[] = [];
    const transport = webSocketTransport(WebSocket as never);
    const { client } = await follow({
      url: mesh.home.url,
      transport: (address, events) => {
        const connection = transport(address, { ...events, message: (text) => (answers.push(text), events.message(text)) });
        return { ...connection, send: (text) => (sent.push(text), connection.send(text)) };
      },
    });
    client.connect();
    expect(sent.at(-1)).toBe('{"op":"join","rooms":["?"]}');
    await until("an answer", () => answers.at(-1)!.includes('"bad_room"'));
    expect(client.connection.state).toBe("connected");
  });
});
