/** One trial: its button, what it does, what to look for, and what came of it. */
import { useSyncExternalStore } from "react";
import { useStore } from "zustand";
import { edgeProcesses, missed } from "./edge-processes.js";
import type { Pane } from "./pane.js";
import type { Trial } from "./trials.js";

/** `wrong`: events are missing, or the trial did not come to its end. */
export interface Outcome {
  readonly state: "running" | "done" | "wrong";
  readonly text: string;
}

interface Props {
  trial: Trial;
  pane: Pane;
  outcome: Outcome | undefined;
  onRun: () => void;
}

const room = 120; // px that an outcome may need

/** Brings an outcome into sight where the rail scrolls. The page does not move: the strips are to be seen. */
function show(element: Element | null): void {
  const rail = element?.closest(".rail");
  if (!rail) return;
  rail.scrollTop += Math.max(0, element!.getBoundingClientRect().top + room - rail.getBoundingClientRect().bottom);
}

export function TrialCard({ trial, pane, outcome, onRun }: Props) {
  const { state, edge } = useSyncExternalStore(pane.client.subscribe, () => pane.client.connection);
  const other = useStore(edgeProcesses, (edges) => (trial.endsEdge ? missed(edges, edge) : undefined));
  const running = outcome?.state == "running";
  const away = !trial.always && state != "connected";
  const blocked = running || away || other != null; // not disabled: it keeps the focus
  const reason = running ? "under way" : away ? "not connected" : other && `waits for ${other}`;
  return (
    <li className="trial">
      <button type="button" aria-disabled={blocked} aria-describedby={trial.id} onClick={blocked ? undefined : onRun}>
        {trial.title(edge ?? "its edge")} {reason && <span>{reason}</span>}
      </button>
      <p id={trial.id}>
        {trial.does} <span className="look">{trial.look}</span>
      </p>
      {outcome && (
        <p key={outcome.state} className="outcome" data-state={outcome.state} ref={show}>{outcome.text}</p>
      )}
    </li>
  );
}
