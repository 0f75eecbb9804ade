/** The frames of the protocol `tidings.v1`, as docs/protocol.md describes them. Pure: text in, values out. */
import type { TidingsEvent } from "./events.js";
import type { Position } from "./position.js";

/** The WebSocket subprotocol that is offered. */
export const subprotocol = "tidings.v1";

/** Why continuity could not be proved. For logs and metrics: what follows is the same for all of them. */
export type ResetReason = "expired" | "epoch" | "behind" | "truncated" | "position" | (string & {});

export interface WelcomeFrame {
  op: "welcome";
  session: string;
  edge: string;
  /** Seconds until the token ends. */
  ttl: number;
  /** Seconds of silence after which the edge pings. */
  ping: number;
}

export interface JoinedFrame {
  op: "joined";
  room: string;
  position: Position;
  recovered?: boolean;
  replay?: number;
  reason?: ResetReason;
  /** Milliseconds. */
  spread?: number;
}

export interface DeniedFrame {
  op: "denied";
  room: string;
  code: string;
  retryable: boolean;
  message: string;
}

export interface EventFrame {
  op: "event";
  room: string;
  seq: number;
  prev: number;
  /** Unix milliseconds. */
  ts: number;
  event: TidingsEvent;
}

/** What an edge sends. */
export type ServerFrame =
  | WelcomeFrame
  | JoinedFrame
  | DeniedFrame
  | EventFrame
  | { op: "lag"; room: string }
  | { op: "token_ok"; ttl: number; dropped: string[] }
  | { op: "drain"; within: number }
  | { op: "ping"; ts: number };

/** A room to join, and the position to read on from. */
export interface RoomRef {
  room: string;
  /** Absent or undefined: from now on. */
  since?: Position | undefined;
}

/** What a client sends. */
export type ClientFrame =
  | { op: "hello"; token: string; rooms: RoomRef[] }
  | { op: "join" | "leave"; rooms: (RoomRef | string)[] }
  | { op: "token"; token: string }
  | { op: "pong" };

/** The numbers of each frame, the length of its room among them; getting them throws when what they are in is missing. */
const numbers: Record<string, ((frame: any) => unknown[]) | null> = {
  __proto__: null,
  welcome: (frame) => [frame.ttl, frame.ping],
  joined: (frame) => [frame.room.length, frame.position.seq],
  denied: (frame) => [frame.room.length],
  event: (frame) => [frame.room.length, frame.seq, frame.prev, frame.ts, frame.event.type ? 1 : 0],
  lag: (frame) => [frame.room.length],
  token_ok: (frame) => [frame.ttl],
  drain: (frame) => [frame.within],
  ping: (frame) => [frame.ts],
};

/**
 * Reads a frame of the server. `undefined` is one of a newer protocol, to be passed over. Throws for what is no frame: from
 * there on nothing is known of what is missing.
 */
export function decode(text: string): ServerFrame | undefined {
  const frame = JSON.parse(text);
  if (numbers[frame.op]?.(frame).every(Number.isSafeInteger) === false) throw new TypeError(frame.op);
  return numbers[frame.op] && frame;
}

// Of these, with the longest names and ids, a frame is within what a server takes (16 KiB unless configured), with the largest
// token (8 KiB) beside them.
const most = 7;

/** Puts rooms into lists for one frame each. */
export function split<T>(rooms: readonly T[]): T[][] {
  return rooms.length ? [rooms.slice(0, most), ...split(rooms.slice(most))] : [];
}
