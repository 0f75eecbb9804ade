/** Where the party is, and what it has left. */
import { Changing } from "./changing.js";
import type { Campaign } from "./queries.js";

export function Party({ name, place, gold }: Campaign["party"]) {
  return (
    <p className="party">
      <strong>{name}</strong> <span>in <Changing value={place} /></span> <Changing value={gold} suffix=" gold" />
    </p>
  );
}
