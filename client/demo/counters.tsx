/** The counters of a pane: of events from their numbers, of requests from the server. */
import { useStore } from "zustand";
import type { Pane } from "./pane.js";

export function Counters({ pane }: { pane: Pane }) {
  const { received, recovered, missing, twice } = useStore(pane.tape.store);
  const { counted, first, asked, refetched } = useStore(pane.requests.store);
  return (
    <div className="counters">
      <dl>
        <Counter name="Received" value={received} />
        <Counter name="Recovered" value={recovered} />
        <Counter name="Missing" value={missing} verdict={missing ? "bad" : "good"} />
        <Counter name="Twice" value={twice} verdict={twice ? "bad" : "good"} />
        <Counter name="Refetches" value={refetched} verdict={refetched ? undefined : "good"} />
        <Counter name="Requests" value={counted} />
      </dl>
      <p className="muted">
        Counted by the server: {first} first loads, {asked} for events, {refetched} refetches
      </p>
    </div>
  );
}

interface CounterProps {
  name: string;
  value: number;
  /** What the value says of those that should be 0. */
  verdict?: "good" | "bad" | undefined;
}

function Counter({ name, value, verdict }: CounterProps) {
  return (
    <div data-verdict={verdict}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
