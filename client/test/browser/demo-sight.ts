/** What there is to see on the demo's page. */

export interface DemoSight {
  readonly panes: readonly PaneSight[];
  readonly edges: readonly { name: string; state: string; process: number | undefined }[];
  /** By the trial's id. */
  readonly trials: Readonly<Record<string, TrialSight>>;
  /** What the keyboard is at. */
  readonly focus: { name: string; group: string | undefined; trial: string | undefined; outlined: boolean } | undefined;
  readonly story: string;
  readonly scheme: string;
  /** Pixels of the page that are beside the window. */
  readonly overflow: number;
  readonly animations: number;
}

export interface PaneSight {
  readonly state: string;
  readonly edge: string | undefined;
  /** Each state and edge that was on the page, in order. */
  readonly history: readonly string[];
  /** Number of the newest event. */
  readonly last: number;
  readonly clock: string;
  readonly counters: Readonly<Record<string, number>>;
  /** Cells of the strip, of each kind. */
  readonly cells: Readonly<Record<"live" | "recovered" | "missing" | "told", number>>;
}

export interface TrialSight {
  readonly button: string;
  readonly blocked: boolean;
  readonly outcome: string | undefined;
  readonly text: string;
}

/** Runs in the page before all else, and gives it the function `see`. It uses nothing from outside itself. */
export function watch(): void {
  const all = (selector: string, within: ParentNode = document) => [...within.querySelectorAll<HTMLElement>(selector)];
  const text = (selector: string, within: ParentNode = document) => within.querySelector(selector)?.textContent;
  const histories: string[][] = [[], []];

  const status = (pane: ParentNode) => ({
    state: pane.querySelector<HTMLElement>(".status")?.dataset["state"] ?? "",
    edge: text(".status strong", pane)?.trim(),
  });
  const look = (): void =>
    all(".pane").forEach((pane, i) => {
      const { state, edge } = status(pane);
      const now = [state, edge].filter(Boolean).join(" ");
      if (now != histories[i]!.at(-1)) histories[i]!.push(now);
    });
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });

  const counters = (pane: ParentNode) =>
    Object.fromEntries(all(".counters dl > div", pane).map((one) => [text("dt", one), Number(text("dd", one))]));
  const cells = (pane: ParentNode) =>
    Object.fromEntries(["live", "recovered", "missing", "told"].map((kind) => [kind, all(`.row [data-cell=${kind}]`, pane).length]));
  const trial = (card: ParentNode): [string, TrialSight] => {
    const button = card.querySelector("button")!;
    const outcome = card.querySelector<HTMLElement>(".outcome");
    return [button.getAttribute("aria-describedby")!, {
      button: button.textContent!,
      blocked: button.ariaDisabled == "true",
      outcome: outcome?.dataset["state"],
      text: outcome?.textContent ?? "",
    }];
  };
  const focus = () => {
    const at = document.activeElement;
    if (!at || at == document.body) return undefined;
    const label = at.closest("label");
    const { outlineStyle } = getComputedStyle(label?.querySelector("span") ?? at);
    return {
      name: (label ?? at).textContent!,
      group: text("legend", at.closest("fieldset") ?? document.createElement("p")),
      trial: at.closest(".trial") ? at.getAttribute("aria-describedby") : undefined,
      outlined: outlineStyle != "none",
    };
  };
  const see = () => ({
    panes: all(".pane").map((pane, i) => ({
      ...status(pane),
      history: histories[i],
      last: Number(/number (\d+)/.exec(pane.querySelector("[role=img]")!.ariaLabel!)?.[1]),
      clock: text(".clock", pane),
      counters: counters(pane),
      cells: cells(pane),
    })),
    edges: all(".edges li").map((edge) => ({
      name: text("strong", edge),
      state: edge.dataset["state"],
      process: /process (\d+)/.exec(edge.textContent!)?.[1],
    })),
    trials: Object.fromEntries(all(".trial").map(trial)),
    focus: focus(),
    story: text(".story h2"),
    scheme: getComputedStyle(document.documentElement).colorScheme,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    animations: document.getAnimations().length,
  });
  Object.assign(globalThis, { see });
}
