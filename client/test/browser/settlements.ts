/** The settlements of the page with Apollo, as their publisher knows them. */
import { setTimeout as delay } from "node:timers/promises";
import type { Mesh } from "../edges.js";

const settlements = 300;

/** Changes settlements in turns. */
export class Settlements {
  /** Population by settlement. */
  readonly populations: number[] = Array(settlements).fill(0);
  /** Changes up to now. */
  changes = 0;

  constructor(readonly mesh: Mesh) {}

  /** Publishes so many changes one after the other, each number of milliseconds `pace` or as fast as they are taken. */
  async change(times: number, pace = 0): Promise<void> {
    const start = performance.now();
    for (let i = 0; i < times; i++) {
      const population = ++this.changes;
      const id = population % settlements;
      this.populations[id] = population;
      await this.mesh.publish("settlement_updated", { id: `${id}`, changes: { population }, version: population });
      const early = start + (i + 1) * pace - performance.now();
      if (early > 0) await delay(early);
    }
  }
}
