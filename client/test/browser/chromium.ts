/** Chromium, without a window, as a user has it: no emulated focus, and the back/forward cache is on. */
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser } from "playwright-core";
import { end, start } from "../process.js";
import { Tab } from "./tab.js";

const flags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--remote-debugging-port=0",
];

/** One process with an empty profile. Whoever starts it stops it. */
export class Chromium {
  private constructor(
    readonly process: ChildProcess,
    readonly profile: string,
    readonly browser: Browser,
  ) {}

  static async start(): Promise<Chromium> {
    const profile = mkdtempSync(join(tmpdir(), "tidings-chromium-"));
    const args = [...flags, `--user-data-dir=${profile}`, "about:blank"];
    const { child, ready } = await start("/usr/bin/chromium", args, (line) => /^DevTools listening on (.*)/.exec(line)?.[1]);
    return new Chromium(child, profile, await chromium.connectOverCDP(ready, { noDefaults: true }));
  }

  /** A new tab, in front of the others. */
  open<Sight>(): Promise<Tab<Sight>> {
    return Tab.open<Sight>(this.browser.contexts()[0]!);
  }

  async stop(): Promise<void> {
    await end(this.process, "SIGTERM");
    rmSync(this.profile, { recursive: true, maxRetries: 5 });
  }
}
