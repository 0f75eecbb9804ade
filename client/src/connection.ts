/** What a program can see of the connection. */
import type { TidingsError } from "./errors.js";

/** The states of a connection. */
export const ConnectionState = {
  /** Nothing was asked for yet. */
  Idle: "idle",
  /** A connection is being made. */
  Connecting: "connecting",
  /** An edge has said welcome. */
  Connected: "connected",
  /** The next try comes at `retryAt`. */
  Waiting: "waiting",
  /** As waiting, and the browser says that there is no network: tries are rare until it says otherwise. */
  Offline: "offline",
  /** The page is in the back/forward cache. */
  Suspended: "suspended",
  /** Trying again cannot help, `error` says why; `connect()` tries all the same. */
  Failed: "failed",
  /** Closed by the program, for good. */
  Closed: "closed",
} as const;

export type ConnectionState = (typeof ConnectionState)[keyof typeof ConnectionState];

/** The connection at one moment. Never changes: another moment is another object. */
export interface Connection {
  readonly state: ConnectionState;
  /** Tries since the last good connection, of 10 s or more; 0 while connected. */
  readonly attempt: number;
  /** Date.now() of the next try, while waiting or offline. */
  readonly retryAt?: number;
  /** Why there is no connection. */
  readonly error?: TidingsError;
  /** Name of the connection, for support and logs, while connected. */
  readonly session?: string;
  /** Name of the edge, while connected. */
  readonly edge?: string;
}
