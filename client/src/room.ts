/** A program's handle to a room. */
import { TidingsError } from "./errors.js";
import type { Delivery, EventHandler } from "./events.js";
import type { EventFrame, ResetReason } from "./frames.js";
import { Listeners } from "./listeners.js";
import type { Membership } from "./membership.js";
import type { Position } from "./position.js";

/**
 * The states of a room:
 *
 * - `idle` left
 * - `joining` asked for, and not joined yet
 * - `live` each event comes as it happens
 * - `recovering` it was joined, and what was missed meanwhile is on its way
 * - `denied` the token does not grant it; asked for again with another token
 * - `failed` given up: `error` says why
 */
export type RoomState = "idle" | "joining" | "live" | "recovering" | "denied" | "failed";

/** Continuity could not be proved. */
export interface Reset {
  readonly room: string;
  readonly reason: ResetReason;
  /**
   * Fetch the room's state at a random moment from now to so many milliseconds later. It grows with the number of clients in
   * the room, which would all ask at once otherwise.
   */
  readonly spreadMs: number;
  readonly position: Position;
}

/** Options of a handle. */
export interface RoomOptions {
  /**
   * Position to read on from: one that was taken *before* the page's data was read, so that nothing falls between the two.
   * Without it, the room is followed from the join on.
   */
  readonly since?: Position | null | undefined;
}

/**
 * A handle to a room. Handles of one name share one membership; the room is left 1 s after the last of them was left, so that
 * coming back at once costs nothing.
 */
export interface Room<Events extends object> {
  readonly name: string;
  readonly state: RoomState;
  /** Why the room is denied or failed. */
  readonly error: TidingsError | undefined;
  /** How far the room has been read: what a later `since` takes. */
  readonly position: Position | undefined;
  /** Gets the events of a type. Returns what ends it. */
  on<Type extends keyof Events & string>(type: Type, handler: EventHandler<Type, Events[Type]>): () => void;
  /** Gets the events of every type, those that the event map does not know included. */
  on(type: "*", handler: EventHandler): () => void;
  /** Continuity was lost: the one place where a program fetches the room's state again. A first join is none. */
  onReset(handler: (reset: Reset) => void): () => void;
  /** Calls the handler whenever `state` has changed. */
  onState(handler: (state: RoomState) => void): () => void;
  /** Resolves when the room is live, to the position then. Rejects when it is denied, failed or left. */
  ready(): Promise<Position>;
  /** Ends this handle and all that was registered on it. */
  leave(): void;
}

/** The one implementation of Room. Its events are typed by whoever made the client. */
export class Handle extends Listeners implements Room<Record<string, unknown>> {
  #membership: Membership | undefined;
  #left: TidingsError | undefined;

  /** Events up to here are not for this handle: it has had them, or came later. */
  seen = 0;
  /** Where it wants to be read from, until the membership has turned back to there. */
  declare since: Position | undefined;

  constructor(readonly name: string, membership: Membership) {
    super();
    this.#membership = membership;
  }

  get state(): RoomState {
    return this.#membership?.state ?? "idle";
  }

  get error(): TidingsError | undefined {
    return this.#membership ? this.#membership.error : this.#left;
  }

  get position(): Position | undefined {
    return this.since ?? this.#membership?.at;
  }

  /** Calls the handler whenever `state` has changed. */
  onState(handler: (state: RoomState) => void): () => void {
    return this.add("state", handler);
  }

  ready(): Promise<Position> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        if (this.state == "live") resolve(this.position!);
        else if (this.error) reject(this.error);
        else return;
        off();
      };
      const off = this.add("state", settle);
      settle();
    });
  }

  leave(): void {
    this.end(new TidingsError("left"));
  }

  /** Leaves because of `error`; afterwards the handle hears nothing. */
  end(error: TidingsError): void {
    const membership = this.#membership;
    if (!membership) return;
    this.#membership = undefined;
    this.#left = error;
    this.emit("state", "idle");
    this.clear();
    membership.release(this);
  }

  deliver({ seq, event }: EventFrame, delivery: Delivery): void {
    if (seq <= this.seen) return;
    this.seen = seq;
    this.emit("event", event, delivery);
  }
}
