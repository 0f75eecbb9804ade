/** Starts the page: two panes that try the two edges in opposite order. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { getConfig } from "./backend.js";
import { Failure } from "./failure.js";
import { Page } from "./page.js";
import { createPane } from "./pane.js";

const root = createRoot(document.getElementById("root")!);

try {
  const config = await getConfig();
  const others = { ...config, edges: [...config.edges].reverse() };
  const panes = [createPane("a", config), createPane("b", others)] as const;
  root.render(<StrictMode><Page panes={panes} /></StrictMode>);
} catch (error) {
  root.render(<Failure error={error as Error} />);
}
