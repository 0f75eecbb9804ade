import { expect, it } from "vitest";
import { connectApollo } from "../../src/apollo/index.js";
import { event, live, pass, withFakeTime } from "../fake.js";
import { updates, watched } from "./load.js";

withFakeTime();

it("1,000 updates in a burst with 300 watched queries are one batch, and each query is told once", async () => {
  const { client, connection } = await live();
  const { apollo, counts } = watched(300);
  connectApollo(client, apollo);
  await pass(100);
  Object.assign(counts, { batches: 0, results: 0 });
  updates(1000, 300).forEach((data, i) => connection.send(event(8 + i, 7 + i, "entity_updated", data)));
  await pass(99);
  expect(counts).toEqual({ requests: 0, batches: 0, results: 0 });
  await pass(10);
  expect(counts).toEqual({ requests: 0, batches: 1, results: 300 });
  await pass(10_000);
  expect(counts.requests).toBe(0);
});

