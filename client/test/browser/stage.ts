/** What the tests in a browser play on: the browser, the site of their page, and edges that serve it. */
import { expect } from "vitest";
import { Mesh, room, type Edge } from "../edges.js";
import { Chromium } from "./chromium.js";
import type { PageOptions, Sight } from "./follower.js";
import { Proxy } from "../proxy.js";
import { Site } from "./site.js";
import type { Tab } from "./tab.js";

/** Whoever starts it stops it. */
export class Stage {
  readonly #tabs: Tab[] = [];
  readonly #proxies: Proxy[] = [];

  private constructor(
    readonly chromium: Chromium,
    readonly site: Site,
    readonly mesh: Mesh,
  ) {}

  /** Starts all of it, the edge with these flags of `tidings serve`. */
  static async start(...flags: string[]): Promise<Stage> {
    const site = await Site.start((ttl) => mesh.token("--ttl", ttl));
    const mesh = await Mesh.start("--origin", site.origin, ...flags);
    const stage = new Stage(await Chromium.start(), site, mesh);
    return stage;
  }

  /** Ends all of it. */
  async stop(): Promise<void> {
    await Promise.all([this.chromium.stop(), this.mesh.stop(), this.site.stop()]);
  }

  /** Ends what one test has opened. No page must have had anything to complain of. */
  async clear(): Promise<void> {
    const tabs = this.#tabs.splice(0);
    await Promise.all(tabs.map((tab) => tab.close()));
    await Promise.all(this.#proxies.splice(0).map((proxy) => proxy.stop()));
    expect(tabs.flatMap(({ complaints }) => complaints)).toEqual([]);
  }

  /** Another edge for the site's pages, with these flags of `tidings serve`. */
  edge(...flags: string[]): Promise<Edge> {
    return this.mesh.another("--origin", this.site.origin, ...flags);
  }

  /** A proxy before an edge. */
  async proxy(edge = this.mesh.home): Promise<Proxy> {
    const proxy = await Proxy.to(edge.http);
    this.#proxies.push(proxy);
    return proxy;
  }

  /** Opens a page in a new tab, which is in front then. */
  async open<Sight>(name: string, options: object): Promise<Tab<Sight>> {
    const address = await this.site.page(name, options);
    const tab = await this.chromium.open<Sight>();
    this.#tabs.push(tab);
    await tab.go(address);
    return tab;
  }

  /** A tab that follows the room, with a page that does, and is live. */
  async follow(options: Omit<PageOptions, "room">, page = "core"): Promise<Following> {
    const tab = await this.open<Sight>(page, { ...options, room });
    const following = new Following(this.mesh, tab, options.clients);
    await following.complete();
    return following;
  }
}

/** A tab that follows the room. */
export class Following {
  readonly #first: number;

  constructor(
    readonly mesh: Mesh,
    readonly tab: Tab<Sight>,
    readonly clients = 1,
  ) {
    this.#first = mesh.published + 1;
  }

  /** Waits until each client is live and has got each event since, in order and once. There must have been no reset. */
  readonly complete = async (): Promise<void> => {
    const numbers = Array.from({ length: this.mesh.published - this.#first + 1 }, (_, i) => this.#first + i);
    const whole = { connection: { state: "connected" }, state: "live", numbers, resets: [] };
    await this.tab.sees({ followers: Array(this.clients).fill(whole) });
  };

  /** What the first client has seen, and the page. */
  readonly seen = async () => {
    const { followers, ...page } = await this.tab.see();
    return { ...followers[0]!, ...page };
  };
}
