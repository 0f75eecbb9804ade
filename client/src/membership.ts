/** What a client knows of one room that it is in, or wants to be in. */
import { TidingsError } from "./errors.js";
import type { Delivery } from "./events.js";
import type { EventFrame, RoomRef } from "./frames.js";
import { Place } from "./place.js";
import type { Position } from "./position.js";
import { Timer } from "./timer.js";
import { Handle, type Reset, type RoomState } from "./room.js";

const linger = 1_000; // ms from the last handle's end to the leave
const window = 60_000; // ms in which resyncs are counted, and for which a room is given up after too many
const enough = 5; // resyncs within the window

// kind:id. The edge looks more closely, at what is not too long for a frame.
const roomName = /^[a-z][\w-]{0,31}:.{1,128}$/;

/** The handles of one room and its place. The client says what frames mean for it and sends what is to be sent. */
export class Membership extends Place {
  state: RoomState = "joining";
  declare error: TidingsError | undefined;
  /** It is joined, or was asked for, over each connection that has sent hello. */
  asked = false;
  /** The answer to a join is to come; until then events mean nothing. */
  awaiting = false;
  /** Joins refused for now in a row. */
  refusals = 0;

  readonly #handles = new Set<Handle>();
  readonly #change: () => void;
  #refused: string | undefined; // the token with which it was denied
  #resyncs: number[] = []; // performance.now() of those within the window
  readonly #hold = new Timer(); // until it is asked for again
  readonly #lingering = new Timer(); // until it is left
  #since: Position | undefined; // before the place, to be read from for a new handle
  #read = 0; // the room was read up to here before it was read from #since again

  /** `change` is called when there may be something to send. */
  constructor(readonly name: string, change: () => void) {
    super();
    this.#change = change;
    if (!roomName.test(name)) this.deny("bad_room", name);
  }

  /** Some handle wants it, or did a moment ago. */
  get wanted(): boolean {
    return !!this.#handles.size || this.#lingering.running;
  }

  /** Whether it is to be asked for with this token, and was not: then it counts as asked for now. */
  ask(token: string): boolean {
    if (this.asked || !this.wanted || this.#hold.running) return false;
    if (this.state == "denied" && (this.error!.code == "bad_room" || this.#refused == token)) return false;
    if (this.error) this.retry();
    return (this.asked = this.awaiting = true);
  }

  get ref(): RoomRef {
    return { room: this.name, since: this.at };
  }

  /** Makes a handle that reads on from `since`, or from now. */
  handle(since: Position | undefined): Handle {
    const handle = new Handle(this.name, this);
    const { at } = this;
    handle.seen = (since ?? at)?.seq ?? 0;
    if (!at) this.at = since;
    else if (since && (since.epoch != at.epoch || since.seq < at.seq)) {
      handle.since = since;
      handle.seen = Infinity;
      const to = since.epoch == at.epoch ? since : { epoch: "", seq: 0 };
      if (!this.#since || to.seq < this.#since.seq) this.#since = to;
    }
    this.#lingering.stop();
    this.#handles.add(handle);
    this.#change();
    return handle;
  }

  /**
   * Carries out what was planned, and leaves the room to be asked for from there. Not while an answer is to come: one to a join
   * from the later position would be taken for continuity from the earlier one.
   */
  rewind(): void {
    if (!this.#since || this.awaiting) return;
    const had = this.at!.seq;
    this.#read = Math.max(this.#read, had);
    this.at = this.#since;
    this.restart();
    this.asked = false;
    this.lost();
    this.#since = undefined;
    for (const handle of this.#handles) {
      handle.seen = handle.since?.seq ?? Math.max(handle.seen, had);
      handle.since = undefined;
    }
  }

  /** A handle has ended. */
  release(handle: Handle): void {
    this.#handles.delete(handle);
    if (!this.#handles.size) this.#lingering.start(linger, this.#change);
  }

  /** Ends all handles and timers. */
  end(error?: TidingsError): void {
    for (const handle of [...this.#handles]) handle.end(error!);
    this.#lingering.stop();
    this.#hold.stop();
  }

  become(state: RoomState, error?: TidingsError): void {
    this.error = error;
    if (state == this.state) return;
    this.state = state;
    for (const handle of [...this.#handles]) handle.emit("state", state);
  }

  /** Given up with the connection. */
  fail(error: TidingsError): void {
    if (this.state != "denied") this.become("failed", error);
  }

  /** Asked for anew, whatever it was. */
  retry(): void {
    this.become(this.at ? "recovering" : "joining");
  }

  /** What was live is so no more. */
  lost(): void {
    if (this.state == "live") this.retry();
  }

  /** Refused: for good, or until there is another token than `token`. */
  deny(code: string, message: string, token?: string): void {
    this.asked = this.awaiting = false;
    this.#refused = token;
    this.become("denied", new TidingsError(code, false, message));
  }

  /** Not asked for before so many milliseconds have passed. */
  hold(ms: number): void {
    this.asked = false;
    this.#hold.start(ms, this.#change);
  }

  /**
   * Counts a loss of continuity. True when that was one too many: then the room is given up for a while, after which one more
   * within the window is too many again.
   */
  unstable(): boolean {
    const now = performance.now();
    this.#resyncs = this.#resyncs.filter((at) => now - at < window);
    if (this.#resyncs.push(now) < enough) return false;
    this.#resyncs = Array(enough - 1).fill(now + window);
    this.hold(window);
    this.awaiting = false;
    this.become("failed", new TidingsError("unstable", true));
    return true;
  }

  reset(reset: Reset): void {
    this.#since = undefined;
    this.#read = 0;
    for (const handle of [...this.#handles]) {
      handle.seen = 0;
      handle.since = undefined; // the place sees to it that nothing comes twice
      handle.emit("reset", reset);
    }
  }

  /** Gives the event to the handles that have not had it. True when the room was read past it before. */
  deliver(frame: EventFrame, delivery: Delivery): boolean {
    for (const handle of [...this.#handles]) handle.deliver(frame, delivery);
    return frame.seq <= this.#read;
  }
}
