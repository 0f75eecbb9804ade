/** One connection to an edge, from the token to its end. */
import { closeError, TidingsError } from "./errors.js";
import { decode, type ClientFrame, type ServerFrame } from "./frames.js";
import { Timer } from "./timer.js";
import type { TokenKeeper } from "./token.js";
import type { Transport, TransportConnection } from "./transport.js";

/** Is told by a link, until it is closed by either side. */
export interface LinkEvents {
  /** Frames can be sent; the first must be hello. */
  open(link: Link): void;
  frame(link: Link, frame: ServerFrame): void;
  /** It is over. */
  lost(link: Link, error: TidingsError): void;
}

const handshake = 10_000; // ms from the start to the welcome, the token not counted
const patience = 3_000; // ms for the answer to a probe
const grace = 7_000; // ms past the ping after which the edge is probed: with patience, ping + 10 s as the protocol has it
const stable = 10_000; // ms after which a connection was a good one

/** A link that was closed is never heard of again: a socket from before cannot disturb the one after it. */
export class Link {
  /** The token shown last. */
  token = "";
  /** hello was sent: other frames can be. */
  hello = false;
  readonly #events: LinkEvents;
  #socket: TransportConnection | undefined;
  #closed = false;
  readonly #timer = new Timer(); // until the edge must have said something
  #silence = 0; // ms without a frame until the edge is probed; 0 until the welcome
  #heard = 0; // performance.now() of the newest frame since the timer was started; none: 0
  #welcomed = Infinity; // performance.now()

  constructor(events: LinkEvents) {
    this.#events = events;
  }

  /** It lasted long enough for the next loss to count as the first. */
  get stable(): boolean {
    return performance.now() - this.#welcomed >= stable;
  }

  async start(transport: Transport, url: string, tokens: TokenKeeper): Promise<void> {
    try {
      this.token = await tokens.get("connect");
      if (this.#closed) return;
      this.#expect(handshake);
      // The address may be one as it stands in a page: `/ws`.
      this.#socket = transport(new URL(url, globalThis.location?.href).href.replace(/^http/, "ws"), {
        open: () => this.#closed || this.#events.open(this),
        message: (text) => this.#closed || this.#message(text),
        close: (code, reason) => this.#lose(closeError(code, reason, this.#silence)),
      });
    } catch (cause) {
      this.#lose(cause instanceof TidingsError ? cause : new TidingsError("unreachable", false, cause));
    }
  }

  send(frame: ClientFrame): void {
    this.hello = true;
    this.#socket!.send(JSON.stringify(frame));
  }

  /** Asks the edge for a sign of life: a room that no edge knows is answered at once, and changes nothing. */
  ping(): void {
    this.send({ op: "join", rooms: ["?"] });
    this.#expect(patience);
  }

  close(): void {
    this.#closed = true;
    this.#timer.stop();
    this.#socket?.close();
  }

  #message(text: string): void {
    let frame;
    try {
      frame = decode(text);
    } catch (cause) {
      return this.#lose(new TidingsError("protocol_error", true, cause));
    }
    if (frame?.op == "welcome") {
      this.#welcomed = performance.now();
      this.#silence = frame.ping * 1000 + grace;
    }
    if (this.#silence) this.#heard = performance.now();
    if (frame?.op == "ping") this.send({ op: "pong" });
    if (frame) this.#events.frame(this, frame);
  }

  /** Without a frame for so long, probes the edge or ends it. Frames do not touch the timer, which would cost more than they do. */
  #expect(ms: number, probe?: boolean): void {
    this.#heard = 0;
    this.#timer.start(ms, () => {
      if (this.#heard) this.#expect(this.#heard + this.#silence - performance.now(), true);
      else if (probe) this.ping();
      else this.#lose(new TidingsError("silent", true));
    });
  }

  #lose(error: TidingsError): void {
    if (this.#closed) return;
    this.close();
    this.#events.lost(this, error);
  }
}
