/** Long polling: requests that an edge parks until there is something to tell. Any edge may answer, because none keeps anything. */
import type { RoomRef, ServerFrame } from "../frames.js";
import type { Transport } from "../transport.js";

/** Options of polling. */
export interface PollOptions {
  /** Where to poll, for the URL of a WebSocket. Default: `https://…/poll` for `wss://…/ws`. */
  url?: (webSocket: string) => string;
}

const parked = 1_000; // ms after which a poll that fails was parked, and cut off by something in between
const minute = 60_000; // ms by which a position that is told anew is younger
const respite = 3_000; // ms that the client has to move when the edge goes

// A room that no edge knows, and denies: with it, the answer comes at once.
const now = "?";

/** A room that is polled for, and how far it has been read. */
type Polled = { -readonly [K in keyof RoomRef]: RoomRef[K] };

/** The transport that polls. What an application wants is rather `withPolling`. */
export function pollTransport({ url = pollUrl }: PollOptions = {}): Transport {
  return (address, events) => {
    const rooms = new Map<string, Polled>();
    let token = "";
    let expected: "welcome" | "token_ok" | undefined = "welcome"; // what the client makes of the next welcome
    let soon = false; // the poll under way is answered at once
    let request = new AbortController();
    let leaving: ReturnType<typeof setTimeout> | 0 = 0; // until the edge, which goes, is tried once more

    /** A poll that is not parked, after the one under way if that is not parked either: it has to get through some time. */
    const hurry = (): void => {
      rooms.set(now, { room: now });
      if (!soon) void poll();
    };

    /** Ends the poll under way, of which nothing is lost, and begins another once all is said that there is to say now. */
    const poll = async (): Promise<void> => {
      request.abort();
      const { signal } = (request = new AbortController());
      await 0;
      if (signal.aborted) return;
      const asked = new Map(rooms);
      const began = performance.now();
      soon = asked.has(now);
      try {
        const response = await fetch(url(address), {
          method: "POST",
          headers: { authorization: `Bearer ${token}` },
          body: JSON.stringify([...asked.values()]),
          signal,
        });
        const answer = await response.json().catch(() => 0);
        if (signal.aborted) return;
        if (answer[0]?.op == "welcome") take(answer, asked);
        else if (answer.code >= 4000) (answer.code == 4503 ? leave : end)(answer.code, answer.reason);
        else throw `/poll answered ${response.status}: no edge`;
        if (!signal.aborted && !leaving) void poll();
      } catch (error) {
        if (signal.aborted) return;
        if (soon || performance.now() - began < parked) leave(1006, `${error}`);
        else hurry();
      }
    };

    /** Hands on what is new to the client. What it says meanwhile is for the next poll, but closes it at once. */
    const take = (frames: ServerFrame[], asked: Map<string, Polled>): void => {
      for (const frame of frames) {
        const ref = asked.get((frame as RoomRef).room)!;
        const at = ref?.since!;
        if (request.signal.aborted || (ref && ref != rooms.get(ref.room))) continue; // left, or to be joined again
        switch (frame.op) {
          case "welcome":
            clearTimeout(leaving);
            leaving = 0;
            if (!expected) continue;
            (frame as { op: string }).op = expected;
            expected = undefined;
            break;
          case "drain":
            leave(4503, "");
            continue;
          case "ping":
            for (const ref of asked.values()) ref.since = { ...ref.since!, ts: frame.ts };
            break;
          case "denied":
            rooms.delete(frame.room);
            break;
          case "joined":
            // The client knows that, unless it has just joined, or will see a gap, or could come back with a position too old.
            if (!soon && frame.recovered && frame.position.seq == at.seq && frame.position.ts! - at.ts! < minute) continue;
            if (!frame.replay) ref.since = frame.position;
            break;
          case "event":
            ref.since = { ...at, seq: frame.seq, id: frame.event.id, ts: frame.ts };
        }
        events.message(JSON.stringify(frame));
      }
    };

    /** The edge goes, or has gone: the client is asked to move. Should it stay, the edge is tried once more. */
    const leave = (code: number, reason: string): void => {
      soon = false;
      if (leaving || expected == "welcome") return end(code, reason);
      leaving = setTimeout(poll, respite);
      events.message('{"op":"drain","within":0}');
    };

    const end = (code: number, reason: string): void => {
      close();
      events.close(code, reason);
    };

    const close = (): void => {
      request.abort();
      clearTimeout(leaving);
    };

    queueMicrotask(() => request.signal.aborted || events.open());
    return {
      send(text) {
        const frame: { op: string; token?: string; rooms?: (Polled & string)[] /* either */ } = JSON.parse(text);
        token = frame.token ?? token;
        if (frame.op == "token") {
          expected ??= "token_ok";
          soon = false; // its welcome would be taken for that of this token
        }
        for (const ref of frame.rooms ?? []) {
          const name = ref.room ?? ref;
          if (frame.op == "leave") rooms.delete(name);
          else rooms.set(name, ref);
        }
        if (frame.op != "pong") hurry();
      },
      close,
    };
  };
}

function pollUrl(webSocket: string): string {
  return webSocket.replace(/^ws(.+\/\/.*)\/ws/, "http$1/poll");
}
