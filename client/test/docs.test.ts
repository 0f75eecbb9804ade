/** The API reference that `npm run docs` makes. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { source } from "./packed.js";

describe("the API reference", () => {
  const read = (name: string) => JSON.parse(readFileSync(join(source, name), "utf8"));

  it("has every entry point", () => {
    const { "./package.json": _, ...entries } = read("package.json").exports as Record<string, { types: string }>;
    const sources = Object.values(entries).map(({ types }) => types.replace(/^\.\/dist\/(.*)\.d\.ts$/, "src/$1.ts"));
    expect(read("typedoc.json").entryPoints.sort()).toEqual(sources.sort());
  });

  it("is made without a warning: no link leads nowhere, and no exported type is without a comment", { timeout: 120_000 }, async () => {
    const typedoc = join(source, "node_modules/.bin/typedoc");
    const said = await promisify(execFile)(typedoc, ["--emit", "none"], { cwd: source }).then(
      ({ stdout, stderr }) => stdout + stderr,
      ({ stdout, stderr }) => `it failed: ${stdout}${stderr}`,
    );
    expect(said).toBe("");
  });
});
