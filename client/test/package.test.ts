/** What is published: looked at as a tarball, from where somebody stands who installs it. */
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { checkPackage, createPackageFromTarballData, type Problem } from "@arethetypeswrong/core";
import { build } from "esbuild";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Packed, source } from "./packed.js";

/** The packages that an entry point may import: what it is for. All others stand alone. */
const partners: Record<string, string> = {
  "./react": "react",
  "./apollo": "@apollo/client",
};

describe("the package", { timeout: 120_000 }, () => {
  let packed: Packed;
  let unmarked: string; // the folder of a copy that does not say that its modules have no effects
  beforeAll(() => {
    packed = new Packed();
    unmarked = join(packed.folder, "unmarked");
    cpSync(packed.unpacked, unmarked, { recursive: true });
    writeFileSync(join(unmarked, "package.json"), JSON.stringify({ ...packed.manifest, sideEffects: true }));
  }, 120_000);
  afterAll(() => packed.remove(), 120_000);

  /** What a bundler makes of importing a module for its effects alone, when it may leave out only what has provably none. */
  async function bundle(module: string): Promise<{ code: string; imports: string[] }> {
    const { outputFiles, metafile } = await build({
      stdin: { contents: `import "${module}"`, resolveDir: unmarked },
      bundle: true,
      packages: "external",
      format: "esm",
      target: "es2022",
      write: false,
      metafile: true,
      minifySyntax: true, // computes constants
    });
    const imports = Object.values(metafile.inputs).flatMap(({ imports }) => imports.filter(({ external }) => external));
    return { code: outputFiles[0]!.text, imports: imports.map(({ path }) => path) };
  }

  // There are no maps: what is published is what tsc made of one file each, with its comments, and is read as it is.
  it("is what was built, its license and its README", () => {
    const built = readdirSync(join(source, "src"), { recursive: true, encoding: "utf8" })
      .filter((path) => /\.tsx?$/.test(path))
      .flatMap((path) => [".js", ".d.ts"].map((ending) => `dist/${path.replace(/\.tsx?$/, ending)}`));
    expect([...packed.files].sort()).toEqual(["LICENSE", "README.md", "package.json", ...built].sort());
    expect(readFileSync(join(packed.unpacked, "LICENSE"), "utf8")).toBe(readFileSync(join(source, "../LICENSE"), "utf8"));
  });

  it("depends on nothing, and makes nobody install anything", () => {
    const { dependencies, peerDependencies, peerDependenciesMeta } = packed.manifest;
    expect(dependencies).toBeUndefined();
    expect(Object.keys(peerDependencies).sort()).toEqual(Object.values(partners).sort());
    for (const name of Object.keys(peerDependencies)) expect(peerDependenciesMeta[name], name).toEqual({ optional: true });
  });

  it("has entry points that import what they are for and nothing else, and do nothing by being imported", async () => {
    expect(packed.manifest.sideEffects).toBe(false);
    for (const [entry, module] of packed.entries) {
      const { code, imports } = await bundle(module);
      for (const name of imports) expect(`${name}/`, `imported by ${entry}`).toMatch(new RegExp(`^${partners[entry]}/`));
      expect(code.replace(/^import [^;]+;$|^\s*\/\/.*$/gm, "").trim(), `done by importing ${entry}`).toBe("");
    }
  });

  it("has nothing that publint would mend", async () => {
    const { messages } = await publint({ pkgDir: packed.unpacked, pack: false, strict: true });
    expect(messages.map((message) => formatMessage(message, packed.manifest as never))).toEqual([]);
  });

  // Of what attw looks at, two things are decided: the package is ESM alone, which `require` reaches in Node 20.19, 22.12 and
  // later, and its entry points are in `exports`, which TypeScript's resolution of 2012 (node10) does not look at.
  it("has types that are those of its modules", async () => {
    const analysis = await checkPackage(createPackageFromTarballData(readFileSync(packed.tarball)));
    if (!analysis.types) throw new Error("no types");
    expect(Object.keys(analysis.entrypoints).sort()).toEqual(Object.keys(packed.manifest.exports).sort());
    const decided = (problem: Problem) =>
      problem.kind == "CJSResolvesToESM" || ("resolutionKind" in problem && problem.resolutionKind == "node10");
    expect(analysis.problems.filter((problem) => !decided(problem))).toEqual([]);
  });

  it.each([
    ["bundler", ts.ModuleKind.ESNext, ts.ModuleResolutionKind.Bundler],
    ["nodenext", ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext],
  ])("compiles in a strict program that checks its declarations, too: %s", (name, module, moduleResolution) => {
    const folder = join(packed.folder, name);
    install(folder);
    const main = join(folder, "main.ts");
    const { name: library } = packed.manifest;
    const imports = packed.entries.map(([entry], i) => `import * as part${i} from "${join(library, entry)}";\nvoid part${i};\n`);
    writeFileSync(main, `${imports.join("")}import { createClient } from "${library}";\ncreateClient();\n`);
    const program = ts.createProgram([main], {
      module,
      moduleResolution,
      target: ts.ScriptTarget.ES2022,
      lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts", "lib.esnext.disposable.d.ts"],
      types: [],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      noEmit: true,
    });
    const found = ts
      .getPreEmitDiagnostics(program)
      .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`)
      .filter((error) => !error.startsWith(join(source, "node_modules"))); // Apollo's declarations do not stand it
    expect(found).toEqual([`${main}: Expected 1 arguments, but got 0.`]); // which shows that errors are found
  });

  /** Makes a program's folder, with the package and what it goes with installed. */
  function install(folder: string): void {
    const modules = join(folder, "node_modules");
    cpSync(packed.unpacked, join(modules, packed.manifest.name), { recursive: true });
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    for (const name of [...Object.values(partners), "@types/react"]) {
      mkdirSync(dirname(join(modules, name)), { recursive: true });
      symlinkSync(join(source, "node_modules", name), join(modules, name));
    }
  }
});
