/** The gate: what all traffic of one pane goes through, so that this pane alone can be taken off the network. */
import { webSocketTransport, type Transport, type TransportConnection, type TransportEvents } from "@tidings/client";

export class Gate {
  readonly #connections = new Map<TransportConnection, TransportEvents>();
  #shut = false;

  /** No connection, and none that comes about. */
  get shut(): boolean {
    return this.#shut;
  }

  /** The transport for the client: the browser's WebSocket, as long as the gate is open. */
  readonly transport: Transport = (url, events) => {
    if (this.#shut) {
      const refusal = setTimeout(() => events.close(1006, ""));
      return { send() {}, close: () => clearTimeout(refusal) };
    }
    const connection = webSocketTransport()(url, {
      open: events.open,
      message: events.message,
      close: (code, reason) => {
        this.#connections.delete(connection);
        events.close(code, reason);
      },
    });
    const close = (): void => {
      this.#connections.delete(connection);
      connection.close();
    };
    this.#connections.set(connection, events);
    return { send: connection.send, close };
  };

  /** `fetch`, as long as the gate is open. */
  readonly fetch: typeof fetch = (input, init) =>
    this.#shut ? Promise.reject(new TypeError("this pane is offline")) : fetch(input, init);

  /** Cuts every connection without a word, and lets none through until `open`. */
  cut(): void {
    this.#shut = true;
    for (const [connection, events] of this.#connections) {
      connection.close();
      events.close(1006, "");
    }
    this.#connections.clear();
  }

  open(): void {
    this.#shut = false;
  }

  /** Sends a frame past the client, over each connection that it has. */
  inject(frame: object): void {
    for (const connection of this.#connections.keys()) connection.send(JSON.stringify(frame));
  }
}
