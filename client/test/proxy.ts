/** A proxy on the way to an edge, and what can go wrong there. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/**
 * What the proxy does with connections:
 *
 * - `pass` hands on what comes, in both directions
 * - `refuse` ends new ones at once
 * - `swallow` keeps all of them open and hands on nothing; what it swallowed is lost, and the connection stays as it is then
 * - `http` answers requests for a WebSocket with 403, and passes the rest; `http-cut` breaks them
 */
export type ProxyMode = "pass" | "refuse" | "swallow" | "http" | "http-cut";

/** Listens on a port of its own. Whoever starts it stops it. */
export class Proxy {
  mode: ProxyMode = "pass";
  /** Milliseconds by which everything is late, in both directions. */
  delay = 0;
  /** Requests for a WebSocket that were not passed. */
  refused = 0;
  readonly #server: Server;
  readonly #near = new Set<Socket>();
  readonly #far = new Set<Socket>();

  private constructor(
    /** host:port to which new connections go. */
    public target: string,
  ) {
    this.#server = createServer((near) => this.#accept(near));
  }

  static async to(target: string): Promise<Proxy> {
    const proxy = new Proxy(target);
    await once(proxy.#server.listen(0, "127.0.0.1"), "listening");
    return proxy;
  }

  /** host:port */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `ws://${this.address}/ws`;
  }

  /** Connections that are open on the near side. */
  get open(): number {
    return this.#near.size;
  }

  /** Breaks all connections. */
  cut(): void {
    for (const socket of this.#near) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    const closed = once(this.#server.close(), "close");
    for (const socket of [...this.#near, ...this.#far]) socket.destroy();
    await closed;
  }

  #accept(near: Socket): void {
    if (this.mode == "refuse") return void near.resetAndDestroy();
    keep(near, this.#near);
    near.once("data", (head) => {
      if (!this.mode.startsWith("http") || !/^upgrade: *websocket/im.test(head.toString("latin1"))) return this.#connect(near, head);
      this.refused++;
      if (this.mode == "http-cut") near.destroy();
      else near.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    });
  }

  #connect(near: Socket, head: Buffer): void {
    const [host, port] = this.target.split(":");
    const far = connect(Number(port), host);
    keep(far, this.#far);
    const way = { lost: false };
    this.#carry(near, far, way);
    this.#carry(far, near, way);
    near.emit("data", head);
  }

  /** Hands on what one side says to the other. */
  #carry(from: Socket, to: Socket, way: { lost: boolean }): void {
    const late = (act: () => void): void => {
      way.lost ||= this.mode == "swallow";
      if (way.lost) return;
      if (this.delay) setTimeout(act, this.delay);
      else act();
    };
    from.on("data", (data) => late(() => to.write(data)));
    from.once("close", () => late(() => to.destroy()));
  }
}

/** Keeps a socket among others as long as it is open. */
function keep(socket: Socket, among: Set<Socket>): void {
  among.add(socket);
  socket.once("close", () => among.delete(socket));
  socket.on("error", () => {}); // close follows
}
