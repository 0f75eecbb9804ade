/** The states of the two processes, in the masthead. */
import { useEffect } from "react";
import { useStore } from "zustand";
import { edgeProcesses, watchEdges } from "./edge-processes.js";

export function Edges() {
  const edges = useStore(edgeProcesses);
  useEffect(watchEdges, []);
  return (
    <ul className="edges" aria-label="Edges">
      {edges.map(({ name, state, pid }) => (
        <li key={name} data-state={state}>
          <span><strong>{name}</strong> {state}{state == "up" && <span className="muted">, process {pid}</span>}</span>
        </li>
      ))}
    </ul>
  );
}
