import { describe, expect, it } from "vitest";
import type { EventFrame, JoinedFrame } from "../src/frames.js";
import { Place } from "../src/place.js";
import { event as eventFrame, joined as joinedFrame, position } from "./fake.js";

const event = (seq: number, prev: number) => eventFrame(seq, prev) as EventFrame;
const first = (seq: number, more: object = {}) => joinedFrame(seq, more) as JoinedFrame;
const recovered = (seq: number, replay: number) => first(seq, { recovered: true, replay });
const lost = (seq: number, reason: string, epoch = "e") => first(seq, { recovered: false, reason, position: position(seq, epoch) });

function at(seq: number): Place {
  const place = new Place();
  place.joined(first(seq));
  return place;
}

describe("a place in a room", () => {
  it("begins at the first answer, which is no reset", () => {
    const place = new Place();
    expect(place.joined(first(7))).toBe(false);
    expect(place.at).toEqual(position(7));
  });

  it("takes events in order, once", () => {
    const place = at(7);
    expect(place.event(event(9, 7))).toBe("new");
    expect(place.event(event(9, 7))).toBe("duplicate");
    expect(place.event(event(8, 7))).toBe("duplicate");
    expect(place.event(event(12, 8)), "a predecessor before the position is no gap").toBe("new");
    expect(place.at).toEqual(position(12));
  });

  it.each([null, undefined, 7])("takes an event whose id is %j: its position has none", (id) => {
    const place = at(7);
    const frame = event(9, 7);
    expect(place.event({ ...frame, event: { ...frame.event, id: id as never } })).toBe("new");
    expect(place.at).toMatchObject({ seq: 9, id: undefined });
  });

  it("does not take what comes after a gap", () => {
    const place = at(7);
    expect(place.event(event(12, 9))).toBe("gap");
    expect(place.at).toEqual(position(7));
  });

  it("counts a replay and does not compare its predecessors", () => {
    const place = at(7);
    place.restart();
    expect(place.joined(recovered(20, 2))).toBe(false);
    expect(place.replay).toBe(true);
    expect(place.event(event(10, 9))).toBe("new");
    expect(place.at, "a connection lost now resumes here").toEqual(position(10));
    expect(place.event(event(15, 10))).toBe("new");
    expect(place.at).toEqual(position(20));
    expect(place.replay).toBe(false);
  });

  it("counts a replay that repeats", () => {
    const place = at(7);
    place.event(event(10, 7));
    place.joined(recovered(15, 2));
    expect(place.event(event(10, 7))).toBe("duplicate");
    expect(place.event(event(15, 10))).toBe("new");
    expect(place.replay).toBe(false);
    expect(place.event(event(17, 16))).toBe("gap");
  });

  it("is not turned back by an older answer", () => {
    const place = at(7);
    place.event(event(9, 7));
    place.joined(recovered(7, 0));
    expect(place.at).toEqual(position(9));
  });

  it("takes no late first answer for a proof", () => {
    const place = at(7);
    expect(place.joined(first(12))).toBeUndefined();
    expect(place.at).toEqual(position(7));
    place.joined(recovered(12, 1));
    expect(place.event(event(11, 9))).toBe("new");
    expect(place.joined(first(12)), "nothing is missing").toBe(false);
    expect(place.joined(first(3, { position: position(3, "f") }))).toBeUndefined();
  });

  it.each([
    ["truncated", 20, 20],
    ["expired", 20, 20],
    ["position", 20, 20],
    ["epoch", 3, 3],
    ["behind", 3, 3],
    ["truncated", 3, 7], // in the same history what was applied is not applied again
  ])("moves on after a reset: %s at %i", (reason, seq, stands) => {
    const place = at(7);
    expect(place.joined(lost(seq, reason))).toBe(true);
    expect(place.at!.seq).toBe(stands);
  });

  it("moves to another history as a whole", () => {
    const place = at(7);
    expect(place.joined(lost(3, "truncated", "f"))).toBe(true);
    expect(place.at).toEqual(position(3, "f"));
  });

  it("stays young by pings while nothing is on its way", () => {
    const place = at(7);
    place.refresh(5000);
    expect(place.at!.ts).toBe(5000);
    place.refresh(4000);
    expect(place.at!.ts).toBe(5000);
    place.lag();
    place.refresh(6000);
    expect(place.at!.ts, "the edge has more for it").toBe(5000);
    place.event({ ...event(8, 7), ts: 5500 });
    place.refresh(7000);
    expect(place.at!.ts).toBe(7000);
    place.joined(recovered(30, 1));
    place.refresh(9000);
    expect(place.at!.ts, "in a replay").toBe(7000);
  });
});
