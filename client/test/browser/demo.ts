/** The demo: `tidings demo` as a process of its own, with its edges, and the page that it serves as a reader has it. */
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { expect } from "vitest";
import { binary } from "../edges.js";
import { end, start } from "../process.js";
import type { Chromium } from "./chromium.js";
import { watch, type DemoSight } from "./demo-sight.js";
import type { Tab } from "./tab.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const patience = { timeout: 45_000, interval: 20 };
const free = "127.0.0.1:0"; // the system chooses the port
const stops = 60; // more than the page has for the keyboard

/** A running demo. Whoever starts it stops it. */
export class Demo {
  private constructor(
    readonly process: ChildProcess,
    /** Of the page. */
    readonly url: string,
    /** host:port where workers publish. */
    readonly nats: string,
  ) {}

  static async start(): Promise<Demo> {
    let page = "";
    const { child, ready } = await start(binary, ["demo", "--http", free, "--nats-listen", free], (line) => {
      page ||= /^ *page +(\S+)/.exec(line)?.[1] ?? "";
      return /^Any NATS client .* nats:\/\/(\S+)$/.exec(line)?.[1];
    });
    return new Demo(child, page, ready);
  }

  /** Publishes an event with this number to the page's room, as any NATS client might. */
  async publish(number: number): Promise<void> {
    const event = JSON.stringify({ type: "settlement_updated", data: { id: "s1" }, sequence: String(number) });
    const [host, port] = this.nats.split(":");
    const socket = connect(Number(port), host);
    socket.end(`CONNECT {"verbose":false}\r\nPUB room.campaign.demo ${event.length}\r\n${event}\r\nPING\r\n`);
    let said = "";
    for await (const text of socket) said += text;
    expect(said).toMatch(/PONG\r\n$/);
  }

  /** Ends it in order, and its edges. */
  stop(): Promise<void> {
    return end(this.process, "SIGTERM");
  }
}

/** What a reader's browser is like. */
export interface Reader {
  readonly width: number;
  readonly height: number;
  readonly scheme?: "light" | "dark";
  readonly motion?: "no-preference" | "reduce";
}

export const desktop: Reader = { width: 1440, height: 900 };
export const phone: Reader = { width: 390, height: 844 };

/** The demo's page in a tab of its own. */
export class DemoPage {
  /** GraphQL requests that the browser has really sent, of each pane. */
  readonly #requests: Record<string, number> = { a: 0, b: 0 };

  private constructor(readonly tab: Tab<DemoSight>) {
    tab.page.on("request", (request) => {
      if (request.url().endsWith("/graphql")) this.#requests[request.headers()["tidings-pane"]!]!++;
    });
  }

  /** Opens it, and waits until both clients get events as they happen and both edges are up. Whoever opens it closes it. */
  static async open(chromium: Chromium, demo: Demo, reader = desktop): Promise<DemoPage> {
    const page = new DemoPage(await chromium.open<DemoSight>());
    const { devtools } = page.tab;
    await devtools.send("Page.enable");
    await devtools.send("Page.addScriptToEvaluateOnNewDocument", { source: `(${watch})()` });
    await page.be(reader);
    await page.tab.go(demo.url);
    await page.sees({ panes: Array(2).fill({ state: "connected" }), edges: Array(2).fill({ state: "up" }) });
    await page.ticks();
    return page;
  }

  /** Makes the browser that of this reader. */
  async be({ width, height, scheme = "light", motion = "no-preference" }: Reader): Promise<void> {
    const { devtools } = this.tab;
    const features = [{ name: "prefers-color-scheme", value: scheme }, { name: "prefers-reduced-motion", value: motion }];
    await devtools.send("Emulation.setEmulatedMedia", { features });
    await devtools.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
  }

  see(): Promise<DemoSight> {
    return this.tab.see();
  }

  async sees(expected: object): Promise<void> {
    await expect.poll(() => this.see(), patience).toMatchObject(expected);
  }

  /** Waits until an event more has come to each pane. */
  async ticks(): Promise<void> {
    const { panes } = await this.see();
    const more = panes.map(({ counters }) => ({ counters: { Received: above(counters["Received"]) } }));
    await this.sees({ panes: more });
  }

  /** Chooses something out of a few, with the keyboard. */
  async choose(group: string, name: string): Promise<void> {
    await this.focus({ group });
    for (let i = 0; (await this.see()).focus?.name != name; i++) {
      if (i == 3) throw new Error(`${group}: no choice ${name}`);
      await this.press("ArrowRight");
    }
  }

  /** Begins a trial with the keyboard, as soon as it can be. */
  async begin(trial: string): Promise<void> {
    await this.focus({ trial });
    await this.sees({ trials: { [trial]: { blocked: false } } });
    await this.press("Enter");
  }

  /** Waits until a trial that has begun has come to its end, and returns what it says. */
  async outcome(trial: string): Promise<string> {
    await this.sees({ trials: { [trial]: { outcome: expect.stringMatching(/^(done|wrong)$/) } } });
    const { outcome, text } = (await this.see()).trials[trial]!;
    expect(outcome, text).toBe("done");
    return text;
  }

  /** Does a trial from its beginning to its end. */
  async go(trial: string): Promise<string> {
    await this.begin(trial);
    return this.outcome(trial);
  }

  /** Presses a key. */
  press(key: string): Promise<void> {
    return this.tab.page.keyboard.press(key);
  }

  /** Goes on with Tab, and returns what the focus is on then. */
  async next(): Promise<DemoSight["focus"]> {
    await this.press("Tab");
    return (await this.see()).focus;
  }

  /** Goes on with Tab until the focus is on something like this. */
  async focus(target: object): Promise<void> {
    for (let i = 0; i < stops; i++) {
      const focus = await this.next();
      if (focus && Object.entries(target).every(([key, value]) => focus[key as keyof typeof focus] == value)) return;
    }
    throw new Error(`Tab does not lead to ${JSON.stringify(target)}`);
  }

  /** Nothing is missing, came twice, or was fetched again, and each request that was sent has been counted. */
  async whole(refetches: readonly [number, number] = [0, 0]): Promise<void> {
    await expect.poll(async () => (await this.see()).panes, patience).toMatchObject(
      ["a", "b"].map((pane, i) => ({
        counters: { Missing: 0, Twice: 0, Refetches: refetches[i], Requests: this.#requests[pane] },
        cells: { missing: 0 },
      })),
    );
  }

  /** What axe finds that is serious or critical, with everything that moves as it is when it begins to. */
  async barriers(): Promise<string[]> {
    await this.tab.run(`if (!globalThis.axe) { ${axe} }; null`);
    return this.tab.run(`(async () => {
      for (const one of document.getAnimations()) if (one instanceof CSSTransition) one.finish();
      const moving = document.getAnimations();
      for (const one of moving) one.currentTime = 0, one.pause();
      const { violations } = await axe.run({ resultTypes: ["violations"] });
      for (const one of moving) one.play();
      return violations
        .filter(({ impact }) => impact == "serious" || impact == "critical")
        .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => id + ": " + html + " " + failureSummary));
    })()`);
  }

  close(): Promise<void> {
    return this.tab.close();
  }
}

/** Matches numbers above this one, 0 by default. */
export function above(least = 0): unknown {
  return expect.toSatisfy((value: number) => value > least, `above ${least}`);
}
