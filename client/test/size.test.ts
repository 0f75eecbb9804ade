import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, it } from "vitest";

/**
 * What a page pays for entry points of the built library, minified and compressed, in bytes. Packages that an application has
 * anyway are left out, and so are modules of the core where the entry point only adds to it. They are named as they are imported:
 * a pattern such as `../*` is taken from the working directory, and leaves out everything.
 */
async function size(entries: string[], external: string[]): Promise<number> {
  const { outputFiles } = await build({
    stdin: {
      contents: entries.map((entry) => `export * from "./${entry}"`).join("\n"),
      resolveDir: new URL("../dist", import.meta.url).pathname,
    },
    bundle: true,
    packages: "external",
    external,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
  });
  return gzipSync(outputFiles[0]!.contents, { level: 9 }).length;
}

it.each<[string, number, string[], string[]?]>([
  ["core", 5, ["index.js"]],
  ["core and react", 6, ["index.js", "react/index.js"]],
  ["apollo", 1.5, ["apollo/index.js"]],
  ["query", 1.15, ["query/index.js"]],
  ["zustand", 0.5, ["zustand/index.js"]],
  ["poll", 1.2, ["poll/index.js"], ["../transport.js"]],
])("%s takes at most %f KiB", async (_, limit, entries, external = []) => {
  expect(await size(entries, external)).toBeLessThanOrEqual(limit * 1024);
});
