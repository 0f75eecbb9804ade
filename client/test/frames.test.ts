import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decode, split } from "../src/frames.js";
import { closeCodes, closeError } from "../src/errors.js";

interface Golden {
  name: string;
  frame: string;
  decoded: any;
}

const root = new URL("../../", import.meta.url);
const golden = (file: string): Golden[] => JSON.parse(readFileSync(new URL(`edge/wire/testdata/${file}`, root), "utf8"));

describe("frames of the server", () => {
  it.each(golden("server.json"))("are read: $name", ({ frame, decoded }) => {
    expect(decode(frame)).toEqual(decoded);
  });

  it.each([
    ["an op of a newer protocol", '{"op":"revoked","room":"campaign:42"}'],
    ["an op that every object has", '{"op":"constructor"}'],
    ["no op", "{}"],
    ["a list", "[]"],
  ])("are passed over: %s", (_, text) => {
    expect(decode(text)).toBeUndefined();
  });

  it.each([
    ["nothing", ""],
    ["no JSON", '{"op":"ping"'],
    ["null", "null"],
    ["a Blob", "[object Blob]"],
    ["an event without a sequence", '{"op":"event","room":"a:b","prev":1,"ts":1,"event":{}}'],
    ["an event with a broken number", '{"op":"event","room":"a:b","seq":1.5,"prev":1,"ts":1,"event":{}}'],
    ["an event that is none", '{"op":"event","room":"a:b","seq":1,"prev":1,"ts":1,"event":null}'],
    ["an answer without a position", '{"op":"joined","room":"a:b"}'],
    ["an answer with half a position", '{"op":"joined","room":"a:b","position":{"epoch":"e"}}'],
  ])("are refused: %s", (_, text) => {
    expect(() => decode(text)).toThrow();
  });
});

describe("lists of rooms", () => {
  it("stay within a frame that a server takes", () => {
    const rooms = Array.from({ length: 128 }, (_, i) => ({ room: `campaign:${"é".repeat(50)}${i}`, since: { epoch: "dsc9kqm2yo", seq: i } }));
    const lists = split(rooms);
    expect(lists.flat()).toEqual(rooms);
    expect(lists.length).toBeGreaterThan(1);
    for (const list of lists) expect(Buffer.byteLength(JSON.stringify(list))).toBeLessThanOrEqual(7170);
    expect(split([])).toEqual([]);
  });
});

describe("close codes", () => {
  const table = readFileSync(new URL("docs/protocol.md", root), "utf8").matchAll(/^\| (4\d{3}) \| ([^|]+) \| (yes|no) \|/gm);
  const documented = [...table].map(([, code, , reconnect]) => ({ code: Number(code), reconnect: reconnect == "yes" }));

  it("are those of docs/protocol.md", () => {
    expect(documented.map(({ code }) => code)).toEqual(Object.keys(closeCodes).map(Number));
  });

  it.each(documented)("$code: reconnect $reconnect", ({ code, reconnect }) => {
    expect(closeError(code, "", true).retryable).toBe(reconnect);
  });

  it.each([1002, 1003, 1007])("%i is a fault of this side", (code) => {
    expect(closeError(code, "", true)).toMatchObject({ code: "protocol_error", retryable: false });
  });

  it("says how long to wait", () => {
    expect(closeError(4429, "retry_after=30; too many connections", true).retryAfter).toBe(30_000);
    expect(closeError(4429, "retry_after=99999999", true).retryAfter).toBe(600_000);
    expect(closeError(4429, "", true).retryAfter).toBe(0);
  });
});
