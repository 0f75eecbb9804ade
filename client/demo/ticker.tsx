/** The newest end of the strips, in sight on small screens wherever one is on the page. It says nothing that the panes do not. */
import { useSyncExternalStore } from "react";
import { useStore } from "zustand";
import type { Pane } from "./pane.js";

const length = 36; // cells

export function Ticker({ panes }: { panes: readonly Pane[] }) {
  return <div className="ticker" aria-hidden="true">{panes.map((pane) => <Line key={pane.id} pane={pane} />)}</div>;
}

function Line({ pane }: { pane: Pane }) {
  const { start, cells, missing } = useStore(pane.tape.store);
  const { state, edge } = useSyncExternalStore(pane.client.subscribe, () => pane.client.connection);
  const from = Math.max(0, cells.length - length);
  return (
    <p className="strip">
      <strong>{pane.id.toUpperCase()}</strong>
      <span className="row">{cells.slice(from).map((cell, i) => <i key={start + from + i} data-cell={cell} />)}</span>
      <span>{edge ?? state}</span>
      <span>{missing} missing</span>
    </p>
  );
}
