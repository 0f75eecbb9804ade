/** The two edges as the operating system has them: processes that end and are started again. */
import { createStore } from "zustand/vanilla";
import { getEdges, type EdgeProcess } from "./backend.js";

const interval = 1000; // ms

export const edgeProcesses = createStore<readonly EdgeProcess[]>(() => []);

/** Looks at the processes once. */
export async function look(): Promise<void> {
  edgeProcesses.setState(await getEdges(), true);
}

/** Looks at them once a second, as long as the page is seen, until the returned function is called. */
export function watchEdges(): () => void {
  const timer = setInterval(() => {
    if (!document.hidden) void look().catch(() => {}); // the panes show it when everything is gone
  }, interval);
  void look().catch(() => {});
  return () => clearInterval(timer);
}

/** The other edge, when it is not up: this one is not to be ended then, since there would be none to move to. */
export function missed(edges: readonly EdgeProcess[], name: string | undefined): string | undefined {
  const other = edges.find((edge) => edge.name != name);
  return other?.state == "up" ? undefined : other?.name;
}
