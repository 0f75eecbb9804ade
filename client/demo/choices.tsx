/** A choice of one out of a few, side by side. */
import { useId } from "react";

interface Props<Value> {
  legend: string;
  choices: readonly (readonly [Value, string])[];
  /** None, as long as it is not known. */
  chosen: Value | undefined;
  onChoose: (value: Value) => void;
}

export function Choices<Value>({ legend, choices, chosen, onChoose }: Props<Value>) {
  const name = useId();
  return (
    <fieldset className="choices">
      <legend>{legend}</legend>
      {choices.map(([value, label]) => (
        <label key={label}>
          <input type="radio" name={name} checked={value === chosen} onChange={() => onChoose(value)} />
          <span>{label}</span>
        </label>
      ))}
    </fieldset>
  );
}
