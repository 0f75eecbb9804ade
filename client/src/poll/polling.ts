/** Long polling: requests that an edge parks until there is something to tell. Any edge may answer, because none keeps anything. */
import type { RoomRef, ServerFrame } from "../frames.js";
import type { Transport } from "../transport.js";

/** Options of polling. */
export interface PollOptions {
  /** Where to poll, for the URL of a WebSocket. Default: `https://…/poll` for `wss://…/ws`. */
  url?: (webSocket: string) => string;
}

const parked = 1_000; // ms after which a poll that fails was parked, and cut off by something in between
const respite = 3_000; // ms that the client has to move when the edge goes

// A room that no edge knows, and denies: with it, the answer comes at once.
const now = "?";

/** A room that is polled for, and how far it has been read. */
type Polled = { -readonly [K in keyof RoomRef]: RoomRef[K] };

/** The transport that polls. What an application wants is rather `withPolling`. */
export function pollTransport({ url = pollUrl }: PollOptions = {}): Transport {
  return (address, events) => {
    const rooms = new Map<string, Polled>();
    const answered = new Set<Polled>(); // the client has had the answer to its join
    let token = "";
    let expected: "welcome" | "token_ok" | undefined = "welcome"; // what the client makes of the next welcome
    let closed = false;
    let request = new AbortController();
    let leaving: ReturnType<typeof setTimeout> | 0 = 0; // until the edge, which goes, is tried once more

    const tell = (frame: object): void => events.message(JSON.stringify(frame));

    /** Ends the poll under way, of which nothing is lost, and begins the next once all is said that there is to say now. */
    const next = (): void => {
      request.abort();
      const { signal } = (request = new AbortController());
      queueMicrotask(() => signal.aborted || void poll(signal));
    };

    /** A poll that is not parked. */
    const hurry = (): void => {
      rooms.set(now, { room: now });
      next();
    };

    const poll = async (signal: AbortSignal): Promise<void> => {
      const asked = new Map(rooms);
      const began = performance.now();
      try {
        const response = await fetch(url(address), {
          method: "POST",
          headers: { authorization: `Bearer ${token}` },
          body: JSON.stringify([...asked.values()]),
          signal,
        });
        const answer = await response.json();
        if (signal.aborted) return;
        if (answer[0]?.op == "welcome") take(answer, asked);
        else if (answer.code >= 4000) (answer.code == 4503 ? leave : end)(answer.code, answer.reason);
        else throw response.status;
        if (!signal.aborted && !leaving) next();
      } catch (error) {
        if (signal.aborted) return;
        if (asked.has(now) || performance.now() - began < parked) leave(1006, `${error}`);
        else hurry();
      }
    };

    /** Hands on what is new to the client. What it says meanwhile is for the next poll, but closes it at once. */
    const take = (frames: ServerFrame[], asked: Map<string, Polled>): void => {
      for (const frame of frames) {
        const ref = asked.get((frame as RoomRef).room)!;
        if (closed || (ref && ref != rooms.get(ref.room))) continue; // left, or to be joined again
        switch (frame.op) {
          case "welcome":
            if (expected) tell({ ...frame, op: expected, dropped: [] });
            expected = undefined;
            clearTimeout(leaving);
            leaving = 0;
            continue;
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
            if (!frame.replay) ref.since = frame.position;
            if (answered.has(ref) && frame.recovered && !frame.replay) continue;
            answered.add(ref);
            break;
          case "event":
            ref.since = { ...ref.since!, seq: frame.seq, id: frame.event.id, ts: frame.ts };
        }
        tell(frame);
      }
    };

    /** The edge goes, or has gone: the client is asked to move. Should it stay, the edge is tried once more. */
    const leave = (code: number, reason: string): void => {
      if (leaving || expected == "welcome") return end(code, reason);
      leaving = setTimeout(next, respite);
      tell({ op: "drain", within: 0 });
    };

    const end = (code: number, reason: string): void => {
      close();
      events.close(code, reason);
    };

    const close = (): void => {
      closed = true;
      request.abort();
      clearTimeout(leaving);
    };

    queueMicrotask(() => closed || events.open());
    return {
      send(text) {
        const frame: { op: string; token?: string; rooms?: (RoomRef | string)[] } = JSON.parse(text);
        if (frame.op == "pong") return;
        token = frame.token ?? token;
        if (frame.op == "token") expected ??= "token_ok";
        for (const ref of frame.rooms ?? []) {
          const room = typeof ref == "string" ? { room: ref } : ref;
          if (frame.op == "leave") rooms.delete(room.room);
          else rooms.set(room.room, room);
        }
        hurry();
      },
      close,
    };
  };
}

function pollUrl(webSocket: string): string {
  return webSocket.replace(/^ws(.+\/\/.*)\/ws/, "http$1/poll");
}
