/** A tab of the browser, with one of the tests' pages in it. */
import type { BrowserContext, CDPSession, Page } from "playwright-core";
import { expect } from "vitest";

/**
 * A tab whose page shows what it has seen by a function `see`. It is spoken to through the DevTools protocol alone, since
 * Playwright loses sight of a page that comes out of the back/forward cache.
 */
export class Tab<Sight = unknown> {
  /**
   * What was thrown in the page and caught by nobody, and what scripts and Chromium complained of on the console, WebSockets
   * that did not open left out.
   */
  readonly complaints: string[] = [];

  private constructor(
    readonly page: Page,
    readonly devtools: CDPSession,
  ) {}

  /** A new tab, in front of the others. Whoever opens it closes it. */
  static async open<Sight>(context: BrowserContext): Promise<Tab<Sight>> {
    const page = await context.newPage();
    const tab = new Tab<Sight>(page, await context.newCDPSession(page));
    const { devtools, complaints } = tab;
    devtools.on("Runtime.exceptionThrown", ({ exceptionDetails: thrown }) => complaints.push(said(thrown)));
    devtools.on("Runtime.consoleAPICalled", ({ type, args }) => {
      if (type != "error" && type != "warning") return;
      complaints.push(args.map(({ value, description }) => value ?? description).join(" "));
    });
    devtools.on("Log.entryAdded", ({ entry: { level, source, text } }) => {
      const refused = source == "network" && text.startsWith("WebSocket"); // by an edge that is gone
      if (level == "error" && !refused) complaints.push(text);
    });
    await devtools.send("Runtime.enable");
    await devtools.send("Log.enable");
    return tab;
  }

  /** Goes to another page. */
  async go(url: string): Promise<void> {
    const { errorText } = await this.devtools.send("Page.navigate", { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
  }

  /** Runs JavaScript in the page, and returns its value, or what the promise resolves to. */
  async run(script: string): Promise<any> {
    const { result, exceptionDetails: thrown } = await this.devtools.send("Runtime.evaluate", {
      expression: script,
      returnByValue: true,
      awaitPromise: true,
    });
    if (thrown) throw new Error(said(thrown));
    return result.value;
  }

  /** What the page has seen up to now. */
  see(): Promise<Sight> {
    return this.run("see()");
  }

  /** Waits until what the page has seen is like this. */
  async sees(expected: object): Promise<void> {
    await expect.poll(() => this.see(), { timeout: 30_000, interval: 20 }).toMatchObject(expected);
  }

  /** In front of the other tabs: it is visible, and no other one is. */
  async front(): Promise<void> {
    await this.devtools.send("Page.bringToFront");
  }

  async close(): Promise<void> {
    await this.page.close();
  }
}

function said({ exception, text }: { exception?: { description?: string }; text: string }): string {
  return exception?.description ?? text;
}
