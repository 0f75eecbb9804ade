/** Light or dark: as the system has it, until the reader says otherwise. */
import { useEffect, useState, useSyncExternalStore } from "react";

const key = "tidings-demo-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function subscribe(listener: () => void): () => void {
  system.addEventListener("change", listener);
  return () => system.removeEventListener("change", listener);
}

export function Theme() {
  const preferred = useSyncExternalStore(subscribe, () => (system.matches ? "dark" : "light"));
  const [chosen, choose] = useState(() => localStorage.getItem(key));
  const dark = (chosen ?? preferred) == "dark";
  useEffect(() => {
    if (!chosen) return;
    document.documentElement.dataset["theme"] = chosen;
    localStorage.setItem(key, chosen);
  }, [chosen]);
  return (
    <button type="button" className="theme" aria-pressed={dark} onClick={() => choose(dark ? "light" : "dark")}>
      Dark
    </button>
  );
}
