/** One connection to the fake server, from the edge's side. */
import type { ClientFrame, EventFrame, RoomRef, ServerFrame } from "../frames.js";
import type { TransportConnection, TransportEvents } from "../transport.js";

/** A connection as a test sees it. */
export interface FakeConnection {
  /** The address that the client connected to. */
  readonly url: string;
  /** The token that was shown last; empty before the first one. */
  readonly token: string;
  /** The rooms that are joined over it. */
  readonly rooms: readonly string[];
  /** What the client has sent over it, as frames of the protocol. */
  readonly received: readonly ClientFrame[];
}

/** What the server decides for all its sessions. */
export interface Rules {
  /** Seconds that a token is good for. */
  ttl(token: string): number;
  accepts(token: string): boolean;
  /** The code with which a join of the room is refused. */
  denial(room: string): string | undefined;
  /** The answer to a join that is not refused. */
  join(ref: RoomRef): ServerFrame[];
  /** The session is over, by whichever side. */
  ended(session: Session): void;
}

/**
 * Hears what the client sends in a microtask, as no socket answers from within `send`; what a test makes it say is said at once.
 */
export class Session implements FakeConnection, TransportConnection {
  token = "";
  readonly received: ClientFrame[] = [];
  silent = false; // nothing arrives any more, in either direction
  readonly #rooms = new Map<string, EventFrame[] | undefined>(); // joined; with what is held back from a client that lags
  readonly #inbox: string[] = [];
  readonly #outbox: ServerFrame[] = [];
  #speaking = false;
  #state: "connecting" | "open" | "welcomed" | "over" = "connecting";
  #draining: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly name: string,
    readonly url: string,
    readonly events: TransportEvents,
    readonly rules: Rules,
  ) {}

  get rooms(): string[] {
    return [...this.#rooms.keys()];
  }

  /** It is past being connected. */
  get opened(): boolean {
    return this.#state != "connecting";
  }

  // ---- the client's end

  /** @internal */
  send(text: string): void {
    if (!this.opened || this.#state == "over") throw new Error("sent over a connection that is not open");
    this.#inbox.push(text);
    void Promise.resolve().then(() => this.read());
  }

  /** @internal */
  close(): void {
    this.#state = "over";
    clearTimeout(this.#draining);
    this.rules.ended(this);
  }

  // ---- the edge's end

  open(): void {
    if (this.#state != "connecting") return;
    this.#state = "open";
    this.events.open();
  }

  end(code: number, reason: string): void {
    if (this.#state == "over" || this.silent) return;
    this.close();
    this.events.close(code, reason);
  }

  /** Says it after what was to be said before, and not from within what the client does on hearing that. */
  say(...frames: ServerFrame[]): void {
    this.#outbox.push(...frames);
    if (this.#speaking) return;
    this.#speaking = true;
    try {
      for (let frame; (frame = this.#outbox.shift()); ) {
        if (this.#state == "welcomed" && !this.silent) this.events.message(JSON.stringify(frame));
      }
    } finally {
      this.#speaking = false;
    }
  }

  /** Sends an event on, if the room is joined. */
  event(frame: EventFrame): void {
    const held = this.#rooms.get(frame.room);
    if (held) held.push(frame);
    else if (this.#rooms.has(frame.room)) this.say(frame);
  }

  /** Holds the room's events back from now on. */
  lag(room: string): void {
    this.#rooms.set(room, this.#rooms.get(room) ?? []);
    this.say({ op: "lag", room });
  }

  /** Sends on what was held back. */
  catchUp(room: string): void {
    const held = this.#rooms.get(room);
    if (!held) return;
    this.#rooms.set(room, undefined);
    this.say(...held);
  }

  /** Takes away the rooms that the token does not grant, and says so. */
  review(): void {
    const dropped = this.rooms.filter((room) => this.rules.denial(room) == "forbidden");
    for (const room of dropped) this.#rooms.delete(room);
    this.say({ op: "token_ok", ttl: this.rules.ttl(this.token), dropped });
  }

  /** Asks the client to go, and closes after `within` milliseconds. */
  drain(within: number): void {
    if (this.#state != "welcomed") return this.end(4503, "draining");
    this.say({ op: "drain", within });
    this.#draining ??= setTimeout(() => this.end(4503, "draining"), within);
  }

  /** Hears what the client has sent until now. */
  read(): void {
    for (let text; (text = this.#inbox.shift()) !== undefined; ) if (this.#state != "over" && !this.silent) this.#hear(text);
  }

  #hear(text: string): void {
    try {
      const frame: ClientFrame = JSON.parse(text);
      this.received.push(frame);
      this.#take(frame);
    } catch (error) {
      this.end(4400, String(error));
    }
  }

  #take(frame: ClientFrame): void {
    const { op } = frame;
    if (op == "pong") return;
    if ((op == "hello") == (this.#state == "welcomed")) return this.end(4400, `unexpected ${op}`);
    if (op == "hello" || op == "token") {
      this.token = frame.token;
      if (!this.rules.accepts(frame.token)) return this.end(4401, "token rejected");
    }
    if (op == "token") return this.review();
    if (op == "leave") for (const ref of frame.rooms) this.#rooms.delete(named(ref).room);
    if (op == "hello") this.#welcome();
    if (op == "hello" || op == "join") for (const ref of frame.rooms) this.#join(named(ref));
  }

  #welcome(): void {
    this.#state = "welcomed";
    this.say({ op: "welcome", session: this.name, edge: new URL(this.url).host, ttl: this.rules.ttl(this.token), ping: 25 });
  }

  #join(ref: RoomRef): void {
    const { room } = ref;
    const code = this.rules.denial(room);
    if (!code) {
      this.#rooms.set(room, undefined);
      return this.say(...this.rules.join(ref));
    }
    const retryable = code == "rate_limit";
    if (!retryable) this.#rooms.delete(room);
    this.say({ op: "denied", room, code, retryable, message: `${room}: ${code}` });
  }
}

function named(ref: RoomRef | string): RoomRef {
  return typeof ref == "string" ? { room: ref } : ref;
}
