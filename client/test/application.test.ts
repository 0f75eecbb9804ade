/** A new application, outside the repository, that installs the package and follows the README word for word. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import WebSocket from "ws";
import { createClient, webSocketTransport } from "../src/index.js";
import { Mesh, secret } from "./edges.js";
import { Packed, source } from "./packed.js";

/** What a reader of the README installs beside the package, in the versions that the library is tested with where it is. */
const { devDependencies } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
const installed = {
  ...Object.fromEntries(
    ["@types/react", "@types/react-dom", "happy-dom", "react", "react-dom", "typescript", "vitest"].map((name) => [
      name,
      devDependencies[name],
    ]),
  ),
  "@testing-library/dom": "10.4.2",
  "@testing-library/react": "16.3.3",
  "@vitejs/plugin-react": "6.3.0",
  jose: "6.2.18",
  vite: "8.3.8",
};

/** As in Vite's template for React and TypeScript. */
const scaffold = {
  "package.json": JSON.stringify({ name: "campaign", private: true, type: "module", dependencies: installed }),
  "index.html": '<!doctype html><div id="root"></div><script type="module" src="/src/main.tsx"></script>',
  "tsconfig.json": JSON.stringify({
    compilerOptions: {
      target: "ES2023",
      lib: ["ES2023", "DOM", "DOM.Iterable"],
      module: "ESNext",
      types: ["vite/client"],
      skipLibCheck: true,
      moduleResolution: "bundler",
      verbatimModuleSyntax: true,
      noEmit: true,
      jsx: "react-jsx",
      strict: true,
      noUnusedLocals: true,
      noUnusedParameters: true,
      erasableSyntaxOnly: true,
    },
    include: ["src", "vite.config.ts"],
  }),
};

/** The fenced blocks of the README that name a file. */
function sources(): Record<string, string> {
  const readme = readFileSync(join(source, "README.md"), "utf8");
  return Object.fromEntries([...readme.matchAll(/^```\w+ (\S+)\n(.*?)^```$/gms)].map(([, path, text]) => [path!, text!]));
}

describe("a new application", { timeout: 300_000 }, () => {
  const packed = new Packed();
  const folder = join(packed.folder, "campaign");
  const files = sources();

  /** Runs a command in the application's folder, as from a shell and not from a test. Rejects with all that it said. */
  async function run(command: string, ...args: string[]): Promise<string> {
    const { NODE_ENV: _, VITEST: __, TEST: ___, ...env } = process.env;
    try {
      const { stdout } = await promisify(execFile)(command, args, { cwd: folder, env: { ...env, TIDINGS_JWT_SECRET: secret } });
      return stdout;
    } catch (error: any) {
      throw new Error(`${command} ${args.join(" ")}: ${error.stdout}${error.stderr}`, { cause: error });
    }
  }

  function write(path: string, text: string): void {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }

  beforeAll(async () => {
    for (const [path, text] of Object.entries({ ...scaffold, ...files })) write(path, text);
    await run("npm", "install", "--prefer-offline", "--no-audit", "--no-fund", packed.tarball);
  }, 300_000);
  afterAll(() => packed.remove(), 300_000);

  it("is made of the README's files", () => {
    const page = ["src/CampaignPage.tsx", "src/CampaignPage.test.tsx"];
    expect(Object.keys(files).sort()).toEqual([...page, "src/main.tsx", "vite.config.ts", "server/main.mjs", "server/token.mjs"].sort());
    expect(files["src/CampaignPage.tsx"]!.split("\n").length, "lines of the page").toBeLessThan(50);
  });

  it("compiles, and does not where it is wrong", async () => {
    const wrong: [path: string, right: string, wrong: string, error: string][] = [
      ["src/CampaignPage.tsx", "settlement_updated:", "settlement_udpated:", "'settlement_udpated' does not exist"],
      ["src/CampaignPage.tsx", "data.changes", "data.chnages", "'chnages' does not exist"],
      ["src/CampaignPage.test.tsx", '"settlement_updated"', '"settlement_udpated"', "'\"settlement_udpated\"' is not assignable"],
      ["src/CampaignPage.test.tsx", "{ population: 81 }", '"81"', "'string' is not assignable"],
    ];
    for (const [i, [path, right, mistake]] of wrong.entries()) {
      expect(files[path]).toContain(right);
      write(`src/wrong${i}.tsx`, files[path]!.replace(right, mistake));
    }
    const errors = await run("npx", "tsc", "--pretty", "false").then(() => "", (error) => error.cause.stdout as string);
    expect([...new Set(errors.match(/^\S+?(?=\()/gm))], errors).toEqual(wrong.map((_, i) => `src/wrong${i}.tsx`));
    for (const [i, [, , , error]] of wrong.entries()) {
      expect(errors).toMatch(new RegExp(`^src/wrong${i}\\.tsx.* error .*${error}`, "m"));
    }
  });

  it("is built", async () => {
    expect(await run("npx", "vite", "build")).toMatch(/dist\/index\.html/);
  });

  it("passes its test", async () => {
    expect(await run("npx", "vitest", "run", "--no-color")).toMatch(/1 passed/);
  });

  it("makes tokens that an edge takes", async () => {
    const script = 'import * as api from "./server/token.mjs"; process.stdout.write(await api.tidingsToken("alice", ["42"]));';
    const mesh = await Mesh.start();
    const client = createClient({
      url: mesh.home.url,
      transport: webSocketTransport(WebSocket as never),
      token: () => run("node", "--input-type=module", "-e", script),
    });
    try {
      await client.room("campaign:42").ready();
      await client.room("settlement:7").ready();
      await expect(client.room("campaign:7").ready()).rejects.toMatchObject({ code: "forbidden" });
    } finally {
      client.close();
      await mesh.stop();
    }
  });
});
