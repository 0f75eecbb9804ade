/** Against the real binary: two edges, of which the first has NATS inside. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import WebSocket from "ws";
import { createClient, webSocketTransport, type Client, type ClientOptions, type Observation, type Position, type Reset } from "../src/index.js";

const binary = process.env["TIDINGS"] ?? new URL("../../bin/tidings", import.meta.url).pathname;
const secret = "a secret of the tests, of 32 bytes or more";
const folder = mkdtempSync(join(tmpdir(), "tidings-client-"));
const room = "campaign:42";

interface Edge {
  readonly process: ChildProcess;
  readonly http: string;
  readonly nats: string;
}

const running = new Set<ChildProcess>();

/** Starts an edge, and waits until it serves. */
async function edge(...flags: string[]): Promise<Edge> {
  const args = ["serve", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json", ...flags];
  const child = spawn(binary, args, { env: { TIDINGS_JWT_SECRET: secret }, stdio: ["ignore", "ignore", "pipe"] });
  running.add(child);
  child.once("exit", () => running.delete(child));
  const log: string[] = [];
  for await (const line of createInterface({ input: child.stderr! })) {
    log.push(line);
    const { msg, http, nats } = JSON.parse(line);
    if (msg == "serving") {
      child.stderr!.resume();
      return { process: child, http, nats };
    }
  }
  throw new Error(`no edge: ${log.join("\n")}`);
}

async function run(...args: string[]): Promise<string> {
  const child = spawn(binary, args, { env: { TIDINGS_JWT_SECRET: secret }, stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.on("data", (text) => (out += text));
  const [code] = await once(child, "close");
  expect(code, args.join(" ")).toBe(0);
  return out.trim();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

const token = (...more: string[]) => run("token", "--sub", "alice", "--room", room, ...more);

async function until(what: string, condition: () => boolean): Promise<void> {
  await expect.poll(condition, { timeout: 20_000, interval: 10, message: what }).toBe(true);
}

describe("against tidings serve", { timeout: 60_000 }, () => {
  let home: Edge; // has NATS
  let natsPort: number;
  let published = 0;
  const clients: Client[] = [];

  const url = ({ http }: Edge) => `ws://${http}/ws`;
  const first = () => edge("--data", folder, "--nats-listen", `127.0.0.1:${natsPort}`, "--stream-history", "20");
  const second = () => edge("--nats", home.nats, "--drain", "3s");

  /** Publishes one after the other, numbered. */
  async function publish(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await run("pub", room, "counted", JSON.stringify({ n: ++published }), "--nats", home.nats);
    }
  }

  /** A client in the room, and what it gets from now on. */
  async function follow(options: Partial<ClientOptions> & Pick<ClientOptions, "url">, since?: Position) {
    const observed: Observation[] = [];
    const client = createClient<{ counted: { n: number } }>({
      transport: webSocketTransport(WebSocket as never),
      token: () => token(),
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
    const first = published + 1;
    const complete = async () => {
      await until(`event ${published}`, () => got.at(-1) == published);
      expect(got).toEqual(Array.from({ length: published - first + 1 }, (_, i) => first + i));
    };
    return { client, handle, got, resets, observed, complete };
  }

  beforeAll(async () => {
    natsPort = await freePort();
    home = await first();
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });
  afterAll(async () => {
    await Promise.all([...running].map((child) => (child.kill("SIGKILL"), once(child, "exit"))));
    rmSync(folder, { recursive: true });
  });

  it("events come in order, once", async () => {
    const { complete, client } = await follow({ url: url(home) });
    await publish(3);
    await complete();
    expect(client.connection.state).toBe("connected");
  });

  it("an edge is killed: back at another one without a gap and without a reset", async () => {
    const other = await second();
    const { client, complete, handle, resets, observed } = await follow({ url: [url(other), url(home)] });
    await publish(2);
    other.process.kill("SIGKILL");
    await publish(3);
    await until("live again", () => handle.state == "live" && client.connection.state == "connected");
    await publish(2);
    await complete();
    expect(resets).toEqual([]);
    const back = observed.filter((o) => o.type == "connected");
    expect(back).toHaveLength(2);
  });

  it("an edge is drained: nothing is to be seen", async () => {
    const other = await second();
    const { client, complete, handle, observed } = await follow({ url: [url(other), url(home)] });
    const states: string[] = [];
    client.subscribe(({ state }) => states.push(state));
    handle.onState((state) => states.push(state));
    await publish(1);
    const { session } = client.connection;
    other.process.kill("SIGTERM");
    await publish(2);
    await until("moved", () => client.connection.session != session);
    await publish(2);
    await complete();
    expect(new Set(states)).toEqual(new Set(["connected"]));
    expect(observed.filter(({ type }) => type == "lost")).toEqual([]);
  });

  it("NATS is killed and comes back: the edge goes on, without a gap and without a reset", async () => {
    const other = await second();
    const { complete, resets, observed } = await follow({ url: url(other) });
    await publish(2);
    home.process.kill("SIGKILL");
    await once(home.process, "exit");
    home = await first();
    await publish(3);
    await complete();
    expect(resets).toEqual([]);
    expect(observed.filter(({ type }) => type == "breaker")).toEqual([]);
  });

  it("away for longer than the history: told so, and on from there", async () => {
    const { client, handle } = await follow({ url: url(home) });
    const { position } = handle;
    client.close();
    await publish(25); // the history is 20
    const { resets, complete } = await follow({ url: url(home) }, position);
    expect(resets).toMatchObject([{ reason: "truncated" }]);
    await publish(1);
    await complete();
  });

  it("a token that ends is renewed over the open socket", async () => {
    const reasons: string[] = [];
    const { client, complete, observed } = await follow({
      url: url(home),
      token: ({ reason }) => {
        reasons.push(reason);
        return reason == "connect" ? token("--ttl", "2s") : token();
      },
    });
    await until("renewed", () => reasons.length == 2);
    await publish(1);
    await complete();
    expect(reasons).toEqual(["connect", "refresh"]);
    expect(observed.filter(({ type }) => type == "lost")).toEqual([]);
    expect(client.connection.state).toBe("connected");
  });

  it("a token that is refused is replaced once", async () => {
    const { client } = await follow({ url: url(home), token: ({ reason }) => (reason == "connect" ? "rubbish" : token()) });
    expect(client.connection.state).toBe("connected");
    let asked = 0;
    const hopeless = createClient({ url: url(home), transport: webSocketTransport(WebSocket as never), token: () => `rubbish ${++asked}` });
    clients.push(hopeless as never);
    await expect(hopeless.room(room).ready()).rejects.toMatchObject({ code: "token_rejected", retryable: false });
    expect(asked).toBe(2);
  });

  it("a room that is not granted, or is none, is denied", async () => {
    const { client } = await follow({ url: url(home) });
    await expect(client.room("campaign:7").ready()).rejects.toMatchObject({ code: "forbidden" });
    await expect(client.room(`campaign:${"é".repeat(100)}`).ready()).rejects.toMatchObject({ code: "bad_room" });
  });

  it("a probe is answered", async () => {
    const sent: string[] = [];
    const answers: string[] = [];
    const transport = webSocketTransport(WebSocket as never);
    const { client } = await follow({
      url: url(home),
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
