/** The continuity strip: one cell per event, in rows that are filled from the top, and then move up. */
import { memo } from "react";
import { useStore } from "zustand";
import { last, row, type Cell, type Recorder } from "./tape.js";

const legend: readonly (readonly [Cell, string])[] = [
  ["live", "live"],
  ["recovered", "recovered"],
  ["missing", "missing"],
  ["told", "lost, and told so"],
];

/** Rows that are shown. */
const height = 5;

export function Strip({ tape, label }: { tape: Recorder; label: string }) {
  const state = useStore(tape.store);
  const oldest = Math.floor(Math.max(0, state.start - 1) / row); // in the first row, as long as all have room
  const newest = Math.max(oldest + height - 1, Math.floor((last(state) - 1) / row));
  const rows = Array.from({ length: height }, (_, i) => newest - height + 1 + i);
  const summary = `${label}: ${state.received} events received up to number ${last(state)}, ${state.missing} missing`;
  return (
    <figure className="strip">
      <div role="img" aria-label={summary}>
        {rows.map((index) => (
          <Row key={index} first={index * row + 1} cells={slice(state.start, state.cells, index)} />
        ))}
      </div>
      <figcaption>
        One cell per event:
        {legend.map(([cell, name]) => <span key={cell}><i data-cell={cell} /> {name}</span>)}
      </figcaption>
    </figure>
  );
}

/** The cells of a row as a text, so that a row that stays as it is is not rendered again. */
function slice(start: number, cells: readonly Cell[], index: number): string {
  return Array.from({ length: row }, (_, i) => cells[index * row + 1 + i - start] ?? "").join();
}

const Row = memo(function Row({ first, cells }: { first: number; cells: string }) {
  return (
    <div className="row">
      <span>{first}</span>
      {cells.split(",").map((cell, i) => <i key={i} data-cell={cell || undefined} />)}
    </div>
  );
});
