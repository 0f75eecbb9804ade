/** What a room of the fake server has had, and what an edge would answer to a join of it. */
import type { TidingsEvent } from "../events.js";
import type { EventFrame, JoinedFrame, ResetReason, ServerFrame } from "../frames.js";
import type { Position } from "../position.js";

export class History {
  #position: Position;
  #kept: EventFrame[] = []; // in order, the newest last
  #forgotten = 0; // seq of the newest event that is kept no more

  /** `start` is where a room without events stands; `limit` is how many events are kept. */
  constructor(
    readonly room: string,
    start: Position,
    readonly limit: number,
  ) {
    this.#position = start;
  }

  /** Where a client stands that has had everything until now. */
  get position(): Position {
    return { ...this.#position, ts: Date.now() };
  }

  append(seq: number, event: TidingsEvent): EventFrame {
    const { room, position } = this;
    const ts = position.ts!;
    const frame: EventFrame = { op: "event", room, seq, prev: position.seq, ts, event };
    this.#kept.push(frame);
    this.#position = { epoch: position.epoch, seq, id: event.id, ts };
    if (this.#kept.length > this.limit) this.#forgotten = this.#kept.shift()!.seq;
    return frame;
  }

  /** Keeps none of the events until now. */
  forget(): void {
    this.#forgotten = this.#kept.at(-1)?.seq ?? this.#forgotten;
    this.#kept = [];
  }

  /** The answer to a join: `joined`, and the events that it announces. */
  join(since: Position | null | undefined, spread: number): ServerFrame[] {
    const { room, position } = this;
    if (!since) return [{ op: "joined", room, position }];
    const doubt = this.#doubt(since);
    if (doubt) return [this.lost(doubt, spread)];
    const missed = this.#kept.filter(({ seq }) => seq > since.seq);
    return [{ op: "joined", room, position, recovered: true, replay: missed.length }, ...missed];
  }

  /** Says that continuity cannot be proved. */
  lost(reason: ResetReason, spread: number): JoinedFrame {
    return { op: "joined", room: this.room, position: this.position, recovered: false, reason, spread };
  }

  /** Why continuity from a position cannot be proved. */
  #doubt({ epoch, seq }: Position): ResetReason | undefined {
    if (typeof epoch != "string" || !Number.isSafeInteger(seq) || seq < 1) return "position";
    if (epoch != this.#position.epoch) return "epoch";
    if (seq > this.#position.seq) return "behind";
    return seq < this.#forgotten ? "truncated" : undefined;
  }
}
