/** The package as `npm publish` would send it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The folder of the package's sources. */
export const source = new URL("..", import.meta.url).pathname;

/** A folder outside the repository with the tarball and what is in it. Whoever packs removes it. */
export class Packed {
  readonly folder = mkdtempSync(join(tmpdir(), "tidings-package-"));
  readonly tarball: string;
  /** The paths of its files. */
  readonly files: readonly string[];
  /** Its package.json. */
  readonly manifest: Manifest;

  constructor() {
    const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", this.folder];
    const out = execFileSync("npm", args, { cwd: source, encoding: "utf8" });
    const [packed] = JSON.parse(out) as [{ filename: string; files: { path: string }[] }];
    this.tarball = join(this.folder, packed.filename);
    this.files = packed.files.map(({ path }) => path);
    execFileSync("tar", ["-xzf", this.tarball, "-C", this.folder]);
    this.manifest = JSON.parse(readFileSync(join(this.unpacked, "package.json"), "utf8"));
  }

  /** The folder of what is in the tarball. */
  get unpacked(): string {
    return join(this.folder, "package");
  }

  /** The entry points as they are written in `exports`, and their modules. */
  get entries(): [name: string, module: string][] {
    const { "./package.json": _, ...entries } = this.manifest.exports;
    return Object.entries(entries).map(([name, entry]) => [name, entry.default]);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

interface Manifest {
  name: string;
  exports: Record<string, { types: string; default: string }>;
  sideEffects?: boolean;
  dependencies?: Record<string, string>;
  peerDependencies: Record<string, string>;
  peerDependenciesMeta: Record<string, { optional: boolean }>;
}
