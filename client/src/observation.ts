/** What `observe` is told, for metrics and logs. */
import type { TidingsError } from "./errors.js";
import type { ResetReason } from "./frames.js";

/** Something happened; states are told by `subscribe`. Further types may be added; `observe` passes over those that it does not know. */
export type Observation =
  /** An edge has said welcome, `ms` after the connection before was lost or the first try began; 0: it was never lost. */
  | { readonly type: "connected"; readonly edge: string; readonly ms: number }
  /** A connection was lost, or did not come about. */
  | { readonly type: "lost"; readonly error: TidingsError }
  /** A token could not be renewed in time; it is tried again. */
  | { readonly type: "token"; readonly error: TidingsError }
  /** A room is joined, `replay` missed events follow, and `reset` says why continuity was lost, if it was. */
  | { readonly type: "joined"; readonly room: string; readonly replay: number; readonly reset: ResetReason | undefined }
  /** An event is missing; the room is joined again from its position. */
  | { readonly type: "gap"; readonly room: string }
  /** An event came twice and was dropped. */
  | { readonly type: "duplicate"; readonly room: string }
  /** A room lost continuity too often and is given up for a minute. */
  | { readonly type: "breaker"; readonly room: string };
