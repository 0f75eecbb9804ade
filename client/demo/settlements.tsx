/** The settlements and their structures, as the cache has them. */
import { Changing } from "./changing.js";
import type { Settlement, Structure } from "./queries.js";

export function Settlements({ settlements }: { settlements: readonly Settlement[] }) {
  return (
    <ul className="settlements">
      {settlements.map((settlement) => <SettlementRow key={settlement.id} {...settlement} />)}
    </ul>
  );
}

function SettlementRow({ name, mood, population, prosperity, structures }: Settlement) {
  return (
    <li>
      <h4>{name}</h4>
      <p className="facts">
        <Changing value={population} suffix=" people" />
        <span>prosperity <Changing value={prosperity} /></span>
        <Changing value={mood} />
      </p>
      <ul className="structures" aria-label={`Structures of ${name}`}>
        {structures.map((structure) => <StructureChip key={structure.id} {...structure} />)}
      </ul>
    </li>
  );
}

function StructureChip({ kind, level, condition }: Structure) {
  return (
    <li>
      {kind} <Changing value={level} /> <span className="muted"><Changing value={condition} suffix=" %" /></span>
      <span className="meter" style={{ inlineSize: `${condition}%` }} />
    </li>
  );
}
