/** How fast the world's clock runs, for everybody. What is chosen shows when the event has come back. */
import { useStore } from "zustand";
import { setRate } from "./backend.js";
import { Choices } from "./choices.js";
import type { Pane } from "./pane.js";

const rates: readonly (readonly [number, string])[] = [[0, "Pause"], [60, "1×"], [3600, "Fast"]];

/** When the server is gone, the panes say so, and the choice stays as it is. */
const ignored = (): void => {};

export function ClockControls({ pane }: { pane: Pane }) {
  const rate = useStore(pane.world, ({ worldTimes }) => worldTimes[pane.room]?.rate);
  return <Choices legend="World clock" choices={rates} chosen={rate} onChoose={(next) => void setRate(next).catch(ignored)} />;
}
