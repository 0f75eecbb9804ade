import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { pass, start, withFakeTime } from "./fake.js";
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
    ["an event of no room", '{"op":"event","seq":2,"prev":1,"ts":1,"event":{}}'],
    ["an answer of no room", '{"op":"joined","position":{"epoch":"e","seq":1}}'],
    ["a refusal of a room that is no name", '{"op":"denied","room":7,"code":"forbidden"}'],
    ["an event without a sequence", '{"op":"event","room":"a:b","prev":1,"ts":1,"event":{}}'],
    ["an event with a broken number", '{"op":"event","room":"a:b","seq":1.5,"prev":1,"ts":1,"event":{}}'],
    ["an event that is none", '{"op":"event","room":"a:b","seq":1,"prev":1,"ts":1,"event":null}'],
    ["an answer without a position", '{"op":"joined","room":"a:b"}'],
    ["an answer with half a position", '{"op":"joined","room":"a:b","position":{"epoch":"e"}}'],
  ])("are refused: %s", (_, text) => {
    expect(() => decode(text)).toThrow();
  });
});

describe("frames of the client", () => {
  withFakeTime();

  it("are written as the edge reads them", async () => {
    const position = { epoch: "dsc9kqm2yo", seq: 1042, id: "evt-7", ts: 1732390000123 };
    const quiet = { epoch: "dsc9kqm2yo", seq: 2000, ts: 1732390000123 };
    const token = "eyJ.eyJ.c2ln";
    const { client, server } = start({ token: ({ reason }) => (reason == "refresh" ? token : "first") });
    const frames = new Map(golden("client.json").map(({ name, frame }) => [name, frame]));
    const said = () => server.last.news().map((frame) => JSON.stringify(frame));
    const handles = [client.room("campaign:42", { since: position }), client.room("settlement:7")];
    await pass(20);
    server.accept(40);
    expect(said()).toEqual([frames.get("hello: rooms, one of them resumed")!.replace(token, "first")]);
    for (const handle of handles) handle.leave();
    await pass(1_020);
    expect(said()).toEqual([frames.get("leave")]);
    const first = client.room("campaign:42");
    await pass(20);
    expect(said()).toEqual([frames.get("join: first time")]);
    first.leave();
    await pass(1_020);
    said();
    for (const [name, since] of [["join: resumed", position], ["join: resumed in a room that had no event", quiet]] as const) {
      const handle = client.room("campaign:42", { since });
      await pass(20);
      expect(said()).toEqual([frames.get(name)]);
      handle.leave();
      await pass(1_020);
      said();
    }
    server.last.send({ op: "ping", ts: 1 });
    expect(said()).toEqual([frames.get("pong")]);
    await pass(26_000);
    expect(said()).toEqual([frames.get("token")]);
  });
});

describe("lists of rooms", () => {
  it("stay within a frame that a server takes", () => {
    // The longest that client and edge let pass: see membership.ts and subjects/attribute.go.
    const since = { epoch: "dsc9kqm2yo", seq: Number.MAX_SAFE_INTEGER, id: '"'.repeat(256), ts: Date.now() };
    const rooms = Array.from({ length: 128 }, () => ({ room: `${"k".repeat(32)}:${"あ".repeat(128)}`, since }));
    const lists = split(rooms);
    expect(lists.flat()).toEqual(rooms);
    expect(lists.length).toBeGreaterThan(1);
    for (const list of lists) expect(Buffer.byteLength(JSON.stringify(list))).toBeLessThanOrEqual(8100);
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
