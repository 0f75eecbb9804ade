/** The demo's page: that the binary has it as it is built now, and that its strip tells the truth. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TidingsEvent } from "@tidings/client";
import { describe, expect, it } from "vitest";
import { blank, last, numberOf, record, type Tape } from "../demo/tape.js";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

function contents(folder: string): Record<string, string> {
  return Object.fromEntries(readdirSync(folder).sort().map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

it("the committed page is the one that is built: if not, run `npm run demo`", { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "tidings-demo-"));
  try {
    execFileSync(process.execPath, [path("../demo/build.mjs"), folder]);
    const [built, committed] = [contents(folder), contents(path("../../cmd/tidings/demo/web"))];
    expect(Object.keys(committed)).toEqual(Object.keys(built));
    // Compared as a whole: a difference in half a megabyte on one line is not worth printing.
    expect(Object.keys(built).filter((name) => built[name] != committed[name])).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe("the tape", () => {
  const live = (tape: Tape, ...numbers: number[]) => numbers.reduce((tape, n) => record(tape, n, "live"), tape);

  it("begins with the first event, whatever its number", () => {
    const tape = live(blank, 7, 8);
    expect(tape).toMatchObject({ start: 7, cells: ["live", "live"], received: 2, missing: 0 });
    expect(last(tape)).toBe(8);
  });

  it("has a cell for each event that is missing", () => {
    const tape = live(blank, 1, 4);
    expect(tape.cells).toEqual(["live", "missing", "missing", "live"]);
    expect(tape).toMatchObject({ received: 2, missing: 2 });
  });

  it("tells a hole that was announced from a silent one, once", () => {
    const tape = live({ ...live(blank, 1), broken: true }, 3, 5);
    expect(tape.cells).toEqual(["live", "told", "live", "missing", "live"]);
    expect(tape).toMatchObject({ told: 1, missing: 1, broken: false });
  });

  it("fills a hole when the event comes after all", () => {
    const tape = record(live(blank, 1, 3), 2, "recovered");
    expect(tape.cells).toEqual(["live", "recovered", "live"]);
    expect(tape).toMatchObject({ received: 3, recovered: 1, missing: 0, twice: 0 });
  });

  it("counts what comes twice, also when it is older than the tape", () => {
    const tape = live(blank, 5, 6, 6, 2);
    expect(tape).toMatchObject({ cells: ["live", "live"], received: 2, twice: 2 });
  });

  it("keeps the newest cells only, and the counters of all", () => {
    const tape = live({ ...live(blank, 1), broken: true }, 100_000, ...Array.from({ length: 600 }, (_, i) => 100_001 + i));
    expect(tape.cells).toHaveLength(500);
    expect(last(tape)).toBe(100_600);
    expect(tape).toMatchObject({ received: 602, told: 99_998, missing: 0 });
  });

  it("counts only events that are numbered", () => {
    const event = (sequence?: unknown) => ({ id: "1", sequence }) as unknown as TidingsEvent;
    expect(["17", "0", "x", "1.5", undefined].map((sequence) => numberOf(event(sequence)))).toEqual([17, ...Array(4)]);
  });
});
