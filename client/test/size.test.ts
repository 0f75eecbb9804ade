import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, it } from "vitest";

/** What a page pays for the whole of an entry point, minified and compressed, in bytes. */
async function size(entry: string): Promise<number> {
  const { outputFiles } = await build({
    entryPoints: [new URL(`../${entry}`, import.meta.url).pathname],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
  });
  return gzipSync(outputFiles[0]!.contents, { level: 9 }).length;
}

it("is small", async () => {
  expect(await size("dist/index.js")).toBeLessThanOrEqual(5.25 * 1024);
});
