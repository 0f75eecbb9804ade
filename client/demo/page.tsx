/** The page: what can be broken beside the two panes, and below what happened and the code that it takes. */
import { useState } from "react";
import { ClockControls } from "./clock-controls.js";
import { Edges } from "./edges.js";
import { PaneView } from "./pane-view.js";
import type { Pane } from "./pane.js";
import { Rail } from "./rail.js";
import { Snippet } from "./snippet.js";
import { Story } from "./story.js";
import { Ticker } from "./ticker.js";
import { Theme } from "./theme.js";

export function Page({ panes }: { panes: readonly [Pane, Pane] }) {
  const [story, setStory] = useState("start");
  return (
    <>
      <header className="masthead">
        <div>
          <h1>Tidings</h1>
          <p>
            Events that reach every browser once and in order. Two clients, at two servers called edges: break something, and
            look for what is missing.
          </p>
        </div>
        <Edges />
        <ClockControls pane={panes[0]} />
        <Theme />
      </header>
      <main>
        <Rail panes={panes} onStart={setStory} />
        <div className="panes">
          {panes.map((pane) => <PaneView key={pane.id} pane={pane} />)}
        </div>
        <div className="notes">
          <Story id={story} />
          <Snippet />
        </div>
      </main>
      <footer>
        Everything here runs on your machine. <a href="licenses.txt">Licences of what this page is made with</a>
      </footer>
      <Ticker panes={panes} />
    </>
  );
}
