import { QueryClient, QueryObserver } from "@tanstack/query-core";
import { expect, it, vi } from "vitest";
import { connectQuery } from "../../src/query/index.js";
import type { Client, Reset } from "../../src/index.js";
import { pass, withFakeTime } from "../fake.js";
import { seeded } from "../world.js";

withFakeTime();

/**
 * 10,000 requests in 50 buckets are 200 each on average, with a deviation of 14. The fullest of 50 is some 2.3 deviations above,
 * 1.16 times the mean; 1.3 times is 4.3 deviations, out of reach for chance. Clients know nothing of each other, so they take
 * their turns here: a fake clock is slow with many timers.
 */
it("10,000 clients that are told to fetch spread their requests flat over the window", async () => {
  const [turns, clients, spreadMs, buckets] = [50, 200, 60_000, 50];
  const counts = Array.from({ length: buckets }, () => 0);
  vi.spyOn(Math, "random").mockImplementation(seeded(7));
  const options = { staleTime: Infinity, gcTime: Infinity };
  for (let turn = 0; turn < turns; turn++) {
    let started = 0;
    const ends = Array.from({ length: clients }, () => {
      const resets: ((reset: Reset) => void)[] = [];
      const client = { on: () => () => {}, onReset: (handler: (reset: Reset) => void) => void resets.push(handler) };
      const queries = new QueryClient({ defaultOptions: { queries: options } });
      queries.setQueryData(["campaign"], 0);
      const queryFn = () => ++counts[Math.floor(((performance.now() - started) / spreadMs) * buckets)]!;
      const unmount = new QueryObserver(queries, { queryKey: ["campaign"], queryFn }).subscribe(() => {});
      connectQuery(client as unknown as Client, queries);
      const reset: Reset = { room: "campaign:42", reason: "expired", spreadMs, position: { epoch: "e", seq: 1, ts: 0 } };
      return { unmount, reset: () => resets[0]!(reset) };
    });
    started = performance.now();
    for (const { reset } of ends) reset();
    await pass(spreadMs + 1000);
    for (const { unmount } of ends) unmount();
  }
  expect(counts.reduce((sum, count) => sum + count)).toBe(turns * clients);
  expect(Math.max(...counts)).toBeLessThanOrEqual((1.3 * turns * clients) / buckets);
}, 60_000);
