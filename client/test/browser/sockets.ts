/** The page's WebSockets, to be counted. Import it before anything that might open one. */

/** A WebSocket, and the frames that were sent over it. */
export interface Opened {
  readonly url: string;
  readonly sent: { readonly op: string }[];
  state: number;
}

export const sockets: Opened[] = [];

globalThis.WebSocket = class extends WebSocket {
  readonly #opened: Opened;

  constructor(url: string | URL, protocols?: string | string[]) {
    super(url, protocols);
    this.#opened = { url: String(url), sent: [], state: this.readyState };
    for (const type of ["open", "close"]) this.addEventListener(type, () => (this.#opened.state = this.readyState));
    sockets.push(this.#opened);
  }

  override send(data: string): void {
    this.#opened.sent.push(JSON.parse(data));
    super.send(data);
  }
};
