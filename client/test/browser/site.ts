/** The web server that the tests' pages come from, and their tokens. */
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { build } from "esbuild";

const head = '<!doctype html><link rel="icon" href="data:,">'; // asks for no other icon
const folder = new URL(".", import.meta.url).pathname;

/**
 * Serves
 *
 * - `/page/NAME` the page of `NAME.page.tsx` in this folder, bundled as an application would do it
 * - `/elsewhere` a page with nothing in it
 * - `/token?ttl=SECONDS` a token
 *
 * Whoever starts it stops it.
 */
export class Site {
  /** The most requests for a token that were being answered at one time. */
  atOnce = 0;
  /** Milliseconds that a token takes. */
  slowness = 0;
  #asking = 0;
  readonly #server: Server;
  readonly #token: (ttl: string) => Promise<string>;

  private constructor(token: (ttl: string) => Promise<string>) {
    this.#token = token;
    this.#server = createServer((request, response) => void this.#answer(new URL(request.url!, this.origin), response));
  }

  /** `token` makes one that is good for a time like `60s`. */
  static async start(token: (ttl: string) => Promise<string>): Promise<Site> {
    const site = new Site(token);
    await once(site.#server.listen(0, "127.0.0.1"), "listening");
    return site;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Address of a page, with what it is told. Rejects when there is no such page, or it cannot be bundled. */
  async page(name: string, options: object): Promise<string> {
    await bundle(name);
    return `${this.origin}/page/${name}?${encodeURIComponent(JSON.stringify(options))}`;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server.close(), "close");
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer({ pathname, searchParams }: URL, response: ServerResponse): Promise<void> {
    const [, kind, name] = pathname.split("/");
    const answer = (type: string, body: string | Uint8Array): unknown => response.setHeader("Content-Type", type).end(body);
    if (kind == "page") answer("text/html", `${head}<div id="root"></div><script type="module" src="/script/${name}"></script>`);
    else if (kind == "elsewhere") answer("text/html", head);
    else if (kind == "script") answer("text/javascript", await bundle(name!));
    else if (kind == "token") response.end(await this.#give(`${searchParams.get("ttl")}s`));
    else response.writeHead(404).end();
  }

  async #give(ttl: string): Promise<string> {
    this.atOnce = Math.max(this.atOnce, ++this.#asking);
    const [token] = await Promise.all([this.#token(ttl), delay(this.slowness)]);
    this.#asking--;
    return token;
  }
}

const strict = ["react"]; // made for development: StrictMode does nothing otherwise
const bundles = new Map<string, Promise<Uint8Array>>();

/** The script of a page, made when it is first asked for. */
function bundle(name: string): Promise<Uint8Array> {
  let made = bundles.get(name);
  if (!made) {
    const mode = strict.includes(name) ? "development" : "production";
    made = build({
      entryPoints: [`${folder}${name}.page.tsx`],
      bundle: true,
      format: "esm",
      minify: true,
      jsx: "automatic",
      conditions: [mode],
      define: { "process.env.NODE_ENV": JSON.stringify(mode) },
      write: false,
    }).then(({ outputFiles }) => outputFiles[0]!.contents);
    bundles.set(name, made);
  }
  return made;
}
