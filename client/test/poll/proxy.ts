/** A proxy that lets plain HTTP through, and WebSockets only if told to. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export class Proxy {
  /** What happens to a WebSocket's handshake. */
  webSockets: "pass" | "refused" | "cut" = "refused";
  /** Handshakes that did not pass. */
  blocked = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#serve(socket));

  private constructor(readonly target: string) {}

  /** Stands before an edge at `host:port`. */
  static async before(target: string): Promise<Proxy> {
    const proxy = new Proxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ws`;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(socket: Socket): void {
    this.#keep(socket);
    socket.once("data", (head) => {
      if (/^upgrade: websocket/im.test(`${head}`) && this.webSockets != "pass") {
        this.blocked++;
        if (this.webSockets == "cut") socket.destroy();
        else socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
      }
      const [host, port] = this.target.split(":");
      const far = this.#keep(connect(Number(port), host!));
      far.write(head);
      socket.pipe(far).pipe(socket);
    });
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on("error", () => {}); // close follows
    return socket.on("close", () => this.#sockets.delete(socket));
  }
}
