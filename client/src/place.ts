/**
 * Where a client stands in one room: which event comes next, and what to ask for after an interruption. Pure; the rules are
 * those of docs/protocol.md, "Positions".
 */
import type { EventFrame, JoinedFrame } from "./frames.js";
import type { Position } from "./position.js";

/** What to do with an event: apply it, pass over it, or join again from the position because one before it is missing. */
export type Outcome = "new" | "duplicate" | "gap";

export class Place {
  /**
   * Position of the last event applied, or of the first join. Invariant: within one history of the stream the frames of a
   * server never move it back, so no event is applied twice.
   */
  declare at: Position | undefined;
  #left = 0; // events of a replay still to come
  #end: Position | undefined; // position after the replay
  #behind = false; // the edge has skipped events and will send them later

  /** A replay is under way. */
  get replay(): boolean {
    return this.#left > 0;
  }

  /** Prepares for the answer to a join on another connection. */
  restart(): void {
    this.#left = 0;
    this.#behind = false;
  }

  /**
   * Takes the answer to a join. True: continuity is lost. False: it is not. Undefined: the answer is to a join without a position, and there
   * is one by now; nothing is known of what is in between, so join again.
   */
  joined({ position, recovered, replay = 0, reason }: JoinedFrame): boolean | undefined {
    this.restart();
    const { at } = this;
    const reset = recovered === false;
    if (!at || (reset && (position.epoch != at.epoch || reason == "epoch" || reason == "behind"))) {
      this.at = position;
    } else if (recovered === undefined && (position.seq > at.seq || position.epoch != at.epoch)) {
      return undefined;
    } else if (replay > 0) {
      this.at = { ...at, epoch: position.epoch };
      this.#left = replay;
      this.#end = position;
    } else {
      this.#advance(position);
    }
    return reset;
  }

  /** Takes an event that comes after the first `joined`. */
  event({ seq, prev, ts, event: { id } }: EventFrame): Outcome {
    const at = this.at!;
    // Within a replay the predecessor is not compared: the edge has proved all of it complete.
    if (!this.#left && prev > at.seq && seq > at.seq) return "gap";
    const outcome = seq > at.seq ? "new" : "duplicate";
    if (outcome == "new") {
      this.at = { epoch: at.epoch, seq, id: typeof id == "string" ? id : undefined, ts };
      this.#behind = false;
    }
    if (this.#left && !--this.#left) this.#advance(this.#end!);
    return outcome;
  }

  /** Notes that the edge has skipped events for this client and will send them later. */
  lag(): void {
    this.#behind = true;
  }

  /** Notes that the edge had nothing more at `ts`, which keeps the position of a quiet room young enough to resume from. */
  refresh(ts: number): void {
    if (this.at && !this.#left && !this.#behind) this.at = { ...this.at, ts: Math.max(this.at.ts ?? 0, ts) };
  }

  #advance(to: Position): void {
    const at = this.at!;
    this.at = { ...(to.seq > at.seq ? to : at), ts: Math.max(at.ts ?? 0, to.ts ?? 0) };
  }
}
