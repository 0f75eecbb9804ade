/** The rail: the pane that is to suffer, and what can be done to it. */
import { useState } from "react";
import { Choices } from "./choices.js";
import type { Pane } from "./pane.js";
import { read, since } from "./reading.js";
import { TrialCard, type Outcome } from "./trial-card.js";
import { trials, type Trial } from "./trials.js";

interface Props {
  panes: readonly Pane[];
  /** A trial has begun: its id. */
  onStart: (trial: string) => void;
}

export function Rail({ panes, onStart }: Props) {
  const [target, setTarget] = useState(panes[0]!);
  const { outcomes, news, run } = useOutcomes();
  return (
    <section className="rail" aria-labelledby="rail">
      <h2 id="rail">Break it</h2>
      <Choices
        legend="For"
        choices={panes.map((pane) => [pane, pane.title])}
        chosen={target}
        onChoose={setTarget}
      />
      <ol className="trials">
        {trials.map((trial) => (
          <TrialCard
            key={trial.id}
            trial={trial}
            pane={target}
            outcome={outcomes[keyOf(trial, target)]}
            onRun={() => {
              onStart(trial.id);
              void run(trial, target);
            }}
          />
        ))}
      </ol>
      <p className="unseen" role="status">{news}</p>
    </section>
  );
}

const keyOf = (trial: Trial, pane: Pane): string => `${trial.id} ${pane.id}`;

/** Runs trials, several at a time if need be, and keeps the last outcome of each for each pane. */
function useOutcomes() {
  const [outcomes, setOutcomes] = useState<Readonly<Record<string, Outcome>>>({});
  const [news, setNews] = useState("");
  const run = async (trial: Trial, pane: Pane): Promise<void> => {
    const tell = (state: Outcome["state"], text: string): void => {
      setOutcomes((all) => ({ ...all, [keyOf(trial, pane)]: { state, text } }));
      if (state != "running") setNews(`${pane.title}: ${text}`);
    };
    const before = read(pane);
    tell("running", "Under way");
    try {
      const text = await trial.run(pane, (progress) => tell("running", progress));
      tell(since(pane, before).missing ? "wrong" : "done", text);
    } catch (error) {
      tell("wrong", (error as Error).message);
    }
  };
  return { outcomes, news, run };
}
