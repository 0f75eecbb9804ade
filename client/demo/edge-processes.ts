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

/** What keeps this edge from being ended: there would be none left to move to. Undefined when nothing does. */
export function needed(edges: readonly EdgeProcess[], name: string | undefined): string | undefined {
  const other = edges.find((edge) => edge.name != name);
  return !other || other.state == "up" ? undefined : `${other.name} is ${other.state}: wait until there is an edge to move to.`;
}
