/** A value that lights up softly when it has changed. */
import { useState } from "react";

const number = new Intl.NumberFormat("en");

export function Changing({ value, suffix = "" }: { value: number | string; suffix?: string }) {
  const [first] = useState(value);
  const [changed, setChanged] = useState(false);
  if (value !== first && !changed) setChanged(true);
  return (
    <span key={value} className="value" data-changed={changed || undefined}>
      {typeof value == "number" ? number.format(value) : value}{suffix}
    </span>
  );
}
