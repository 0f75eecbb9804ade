/** A mesh of real edges: processes of `tidings serve`, of which the first has NATS inside. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { end, start } from "./process.js";

/** The program under test. */
export const binary = process.env["TIDINGS"] ?? new URL("../../bin/tidings", import.meta.url).pathname;

/** What signs tokens. */
export const secret = "a secret of the tests, of 32 bytes or more";
const env = { TIDINGS_JWT_SECRET: secret };

/** The room of most tests, and the one that tokens are for. */
export const room = "campaign:42";

/** One process. */
export class Edge {
  constructor(
    readonly process: ChildProcess,
    /** host:port of the public side. */
    readonly http: string,
    readonly nats: string,
  ) {}

  get url(): string {
    return `ws://${this.http}/ws`;
  }

  /** Ends it, by default as a crash would, and resolves when it is gone. */
  end(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    return end(this.process, signal);
  }
}

/** Edges on one NATS, and a publisher. Whoever starts it stops it. */
export class Mesh {
  /** The number of the newest event of `count`. */
  published = 0;
  readonly #edges: Edge[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), "tidings-client-"));
  #flags: string[] = []; // of the home edge
  #home: Edge | undefined;

  /** Starts the first edge, with these flags of `tidings serve`. */
  static async start(...flags: string[]): Promise<Mesh> {
    const mesh = new Mesh();
    mesh.#flags = ["--data", mesh.#folder, "--nats-listen", `127.0.0.1:${await freePort()}`, "--dev", ...flags];
    try {
      await mesh.restart();
    } catch (error) {
      await mesh.stop();
      throw error;
    }
    return mesh;
  }

  /** The edge that has NATS, and so outlives the others. */
  get home(): Edge {
    return this.#home!;
  }

  /** Kills the home edge, and NATS with it, and starts it again with what NATS had stored. */
  async restart(): Promise<void> {
    await this.#home?.end();
    this.#home = await this.#serve(...this.#flags);
  }

  /** Starts another edge. */
  another(...flags: string[]): Promise<Edge> {
    return this.#serve("--nats", this.home.nats, ...flags);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#edges.map((edge) => edge.end()));
    rmSync(this.#folder, { recursive: true });
  }

  /** A token of alice for the room, unless there is a `--room` among more flags of `tidings token`. */
  async token(...flags: string[]): Promise<string> {
    const args = ["token", "--sub", "alice", ...(flags.includes("--room") ? [] : ["--room", room]), ...flags];
    const child = spawn(binary, args, { env, stdio: ["ignore", "pipe", "inherit"] });
    let out = "";
    child.stdout.on("data", (text) => (out += text));
    const [code] = await once(child, "close");
    if (code) throw new Error(`tidings token ${flags.join(" ")}: status ${code}`);
    return out.trim();
  }

  /** Publishes one event to the room, and resolves when the stream has it. */
  async publish(type: string, data: object): Promise<void> {
    const response = await fetch(`http://${this.home.http}/dev/publish`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ room, type, data: JSON.stringify(data) }),
    });
    if (!response.ok) throw new Error(`publish ${type}: ${await response.text()}`);
  }

  /** Publishes events of type `counted` one after the other, numbered on and on. */
  async count(events: number): Promise<void> {
    for (let i = 0; i < events; i++) await this.publish("counted", { n: ++this.published });
  }

  async #serve(...flags: string[]): Promise<Edge> {
    const args = ["serve", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json", ...flags];
    const { child, ready } = await start(binary, args, serving, env);
    const edge = new Edge(child, ready.http, ready.nats);
    this.#edges.push(edge);
    return edge;
  }
}

/** The line of the log that says where an edge serves. */
function serving(line: string): { http: string; nats: string } | undefined {
  const entry = line.startsWith("{") && JSON.parse(line); // what --dev tells a reader is no entry
  return entry.msg == "serving" ? entry : undefined;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
