/** The counters of a pane at one moment, and what happened between two. */
import type { Pane } from "./pane.js";

export interface Reading {
  readonly received: number;
  readonly recovered: number;
  readonly missing: number;
  readonly told: number;
  readonly twice: number;
  readonly refetched: number;
}

export function read({ tape, requests }: Pane): Reading {
  const { received, recovered, missing, told, twice } = tape.store.getState();
  return { received, recovered, missing, told, twice, refetched: requests.store.getState().refetched };
}

export function since(pane: Pane, before: Reading): Reading {
  const now = read(pane);
  return {
    received: now.received - before.received,
    recovered: now.recovered - before.recovered,
    missing: now.missing - before.missing,
    told: now.told - before.told,
    twice: now.twice - before.twice,
    refetched: now.refetched - before.refetched,
  };
}

export const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n == 1 ? one : many}`;

/** "38 ms", "10.2 s". */
export const duration = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** What counts after a loss, in one line. */
export function account(pane: Pane, before: Reading): string {
  const { recovered, missing, refetched } = since(pane, before);
  return `${count(recovered, "event")} recovered, ${missing} missing, ${count(refetched, "refetch", "refetches")}`;
}
