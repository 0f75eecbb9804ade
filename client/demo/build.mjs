/** Builds the page of `tidings demo` into the folder given, by default the one that the binary embeds. */
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = process.argv[2] ?? join(here, "../../cmd/tidings/demo/web");

await mkdir(folder, { recursive: true });
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: [{ in: "main.tsx", out: "app" }, { in: "style/page.css", out: "app" }],
  outdir: folder,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  conditions: ["production"],
  define: { "process.env.NODE_ENV": '"production"' },
  legalComments: "none", // they are in licenses.txt
  metafile: true,
  logLevel: "warning",
});
await copyFile(join(here, "index.html"), join(folder, "index.html"));
await writeFile(join(folder, "licenses.txt"), await licenses(Object.keys(metafile.inputs)));

/** The licences of all packages that the bundle has something of. */
async function licenses(inputs) {
  const packages = inputs.map((input) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(input)?.[0]).filter(Boolean);
  const texts = [...new Set(packages)].sort().map(async (path) => {
    const { name, version, license } = JSON.parse(await readFile(join(here, path, "package.json"), "utf8"));
    const file = (await readdir(join(here, path))).find((name) => /^licen[cs]e/i.test(name));
    const text = file ? await readFile(join(here, path, file), "utf8") : license;
    return `${name} ${version}\n\n${text.trim()}\n`;
  });
  return (await Promise.all(texts)).join(`\n${"-".repeat(72)}\n\n`);
}
