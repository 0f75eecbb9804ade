/** Waiting for something that a pane's stores will tell. */
import type { Pane } from "./pane.js";

const patience = 60_000; // ms

/** Resolves as soon as the condition holds. Rejects after a minute, saying what did not happen. */
export function until(pane: Pane, what: string, condition: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      if (condition()) finish(resolve);
    };
    const ends = [pane.client.subscribe(look), pane.tape.store.subscribe(look), pane.requests.store.subscribe(look)];
    const timer = setTimeout(() => finish(() => reject(new Error(`Not within a minute: ${what}.`))), patience);
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      for (const end of ends) end();
      settle();
    };
    look();
  });
}
