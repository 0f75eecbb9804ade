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
const roomName = /^[a-z][a-z0-9-]*:.{1,128}$/;

/** The handles of one room and its place. The client says what frames mean for it and sends what is to be sent. */
export class Membership {
  readonly place = new Place();
  state: RoomState = "joining";
  error: TidingsError | undefined;
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
    this.#change = change;
    if (!roomName.test(name)) this.deny("bad_room", name);
  }

  /** Some handle wants it, or did a moment ago. */
  get wanted(): boolean {
    return this.#handles.size > 0 || this.#lingering.running;
  }

  /** Whether to ask for it, with this token. */
  askable(token: string): boolean {
    if (!this.wanted || this.#hold.running) return false;
    return this.state != "denied" || (this.error!.code != "bad_room" && this.#refused != token);
  }

  get ref(): RoomRef {
    return { room: this.name, ...(this.place.at && { since: this.place.at }) };
  }

  /** Makes a handle that reads on from `since`, or from now. */
  handle(since: Position | undefined): Handle {
    const handle = new Handle(this.name, this);
    const { at } = this.place;
    handle.seen = (since ?? at)?.seq ?? 0;
    if (since && !at) this.place.at = since;
    else if (since && at && (since.epoch != at.epoch || since.seq < at.seq)) this.#turnBack(handle, since, at);
    this.#lingering.stop();
    this.#handles.add(handle);
    this.#change();
    return handle;
  }

  /** Plans to read again from before the place, for one handle. It hears nothing until then, so that it does not get 9 before 7. */
  #turnBack(handle: Handle, since: Position, at: Position): void {
    handle.since = since;
    handle.seen = Infinity;
    // Of two histories one is over, and nobody here knows which. A position that cannot be true is answered with a reset.
    const to = since.epoch == at.epoch ? since : { epoch: "", seq: 0 };
    if (!this.#since || to.seq < this.#since.seq) this.#since = to;
  }

  /**
   * Carries out what was planned, and leaves the room to be asked for from there. Not while an answer is to come: one to a join
   * from the later position would be taken for continuity from the earlier one.
   */
  rewind(): void {
    if (!this.#since || this.awaiting) return;
    const had = this.place.at!.seq;
    this.#read = Math.max(this.#read, had);
    this.place.at = this.#since;
    this.place.restart();
    this.asked = false;
    this.interrupt();
    for (const handle of this.#handles) handle.seen = handle.since?.seq ?? Math.max(handle.seen, had);
    this.#forgetPlans();
  }

  #forgetPlans(): void {
    this.#since = undefined;
    for (const handle of this.#handles) handle.since = undefined;
  }

  /** A handle has ended. */
  release(handle: Handle): void {
    this.#handles.delete(handle);
    if (!this.#handles.size) this.#lingering.start(linger, this.#change);
  }

  /** Ends all handles and timers. */
  end(error = new TidingsError("left")): void {
    for (const handle of [...this.#handles]) handle.end(error);
    this.#lingering.stop();
    this.#hold.stop();
  }

  become(state: RoomState, error?: TidingsError): void {
    this.error = error;
    if (state == this.state) return;
    this.state = state;
    for (const handle of [...this.#handles]) handle.states.emit(state);
  }

  /** Given up with the connection. */
  fail(error: TidingsError): void {
    if (this.state != "denied") this.become("failed", error);
  }

  /** Asked for anew, whatever it was. */
  retry(): void {
    this.become(this.place.at ? "recovering" : "joining");
  }

  /** What was live is so no more. */
  interrupt(): void {
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
    this.#forgetPlans();
    this.#read = 0;
    for (const handle of [...this.#handles]) {
      handle.seen = 0; // the place sees to it that nothing comes twice
      handle.resets.emit(reset);
    }
  }

  /** Gives the event to the handles that have not had it. True when the room was read past it before. */
  deliver(frame: EventFrame, delivery: Delivery): boolean {
    for (const handle of [...this.#handles]) handle.deliver(frame, delivery);
    return frame.seq <= this.#read;
  }
}
