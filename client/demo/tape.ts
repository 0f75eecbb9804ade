/**
 * The tape: which events came, told from the numbers that they carry and from nothing else. The publisher numbers the events
 * of the room 1, 2, 3, … in the CloudEvents extension `sequence`, so a number that is passed over is an event that is missing,
 * whatever the library believes.
 */
import type { Delivery, TidingsEvent } from "@tidings/client";
import { createStore, type StoreApi } from "zustand/vanilla";

/**
 * One event on the tape: `live` came as it happened, `recovered` happened while the client was away, `missing` never came, and
 * `told` neither, but the client was told so.
 */
export type Cell = "live" | "recovered" | "missing" | "told";

export interface Tape {
  /** Number of the first cell that is kept; 0 before the first event. */
  readonly start: number;
  /** One cell per event, the newest last. Never longer than `length`. */
  readonly cells: readonly Cell[];
  readonly received: number;
  readonly recovered: number;
  readonly missing: number;
  readonly told: number;
  /** Events that came although they had come before. */
  readonly twice: number;
  /** The client was told that continuity is lost, and no event came since. */
  readonly broken: boolean;
}

export const blank: Tape = {
  start: 0, cells: [], received: 0, recovered: 0, missing: 0, told: 0, twice: 0, broken: false,
};

/** Cells in a row of the strip, and cells that are kept: whole rows, so that a cell stays where it is while it is shown. */
export const row = 50;
const length = 10 * row;

/** Number of the newest event on the tape. */
export const last = ({ start, cells }: Tape): number => start + cells.length - 1;

/** The tape with an event more. */
export function record(tape: Tape, number: number, cell: "live" | "recovered"): Tape {
  const came = { received: tape.received + 1, recovered: tape.recovered + Number(cell == "recovered") };
  if (!tape.start) return { ...tape, ...came, start: number, cells: [cell], broken: false };
  const hole = number - last(tape) - 1;
  if (hole < 0) return late(tape, number, cell, came);
  const absent = tape.broken ? "told" : "missing";
  const cells = [...tape.cells, ...Array<Cell>(Math.min(hole, length)).fill(absent), cell].slice(-length);
  return { ...tape, ...came, cells, start: number - cells.length + 1, [absent]: tape[absent] + hole, broken: false };
}

/** An event came out of order: it fills its hole, or was there already. */
function late(tape: Tape, number: number, cell: Cell, came: Pick<Tape, "received" | "recovered">): Tape {
  const index = number - tape.start;
  const before = tape.cells[index];
  if (before != "missing" && before != "told") return { ...tape, twice: tape.twice + 1 };
  const cells = tape.cells.map((other, i) => (i == index ? cell : other));
  return { ...tape, ...came, cells, [before]: tape[before] - 1 };
}

/** An event's number; undefined when somebody else has published it, who does not count. */
export function numberOf(event: TidingsEvent): number | undefined {
  const number = Number((event as TidingsEvent & { sequence?: string }).sequence);
  return Number.isSafeInteger(number) && number > 0 ? number : undefined;
}

/** Keeps the tape of one client. */
export class Recorder {
  readonly store: StoreApi<Tape> = createStore(() => blank);

  event(event: TidingsEvent, { replayed }: Delivery): void {
    const number = numberOf(event);
    if (number) this.store.setState((tape) => record(tape, number, replayed ? "recovered" : "live"));
  }

  /** The client was told that something may be missing. */
  reset(): void {
    this.store.setState({ broken: true });
  }
}
