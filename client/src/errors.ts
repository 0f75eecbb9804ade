/** What went wrong, in words for people and in a code for programs. */

/**
 * What an error is about. Of the connection:
 *
 * - `token_rejected` the edge does not accept the token, and the fresh one that was asked for neither
 * - `token_unavailable` `token()` threw or rejected; `token_timeout` it took longer than 10 s; `token_invalid` it gave no token
 * - `unreachable` no connection came about: network, address or origin; browsers do not say which
 * - `lost` the connection broke; `silent` nothing came over it any more
 * - `protocol_error`, `too_large`, `disconnected` the edge closed for good: a bug, or an operator
 * - `hello_timeout`, `no_pong`, `limit_reached`, `internal`, `draining`, `too_slow` the edge closed; tried again
 * - `closed` the client was closed by the program
 *
 * Of a room:
 *
 * - `forbidden` the token does not grant it, or there is no such room
 * - `bad_room` the name is no room name: `kind:id`
 * - `limit` more rooms than a connection may have
 * - `unstable` it lost continuity five times within a minute; tried again after another one
 * - `left` the handle was left
 */
export type ErrorCode =
  | CloseCode
  | "token_unavailable"
  | "token_timeout"
  | "token_invalid"
  | "unreachable"
  | "lost"
  | "silent"
  | "closed"
  | "forbidden"
  | "bad_room"
  | "limit"
  | "unstable"
  | "left"
  | (string & {});

type CloseCode = (typeof closeCodes)[keyof typeof closeCodes];

/** The close codes of the protocol by name. */
export const closeCodes = {
  4400: "protocol_error",
  4401: "token_rejected",
  4403: "disconnected",
  4408: "hello_timeout",
  4410: "no_pong",
  4413: "too_large",
  4429: "limit_reached",
  4500: "internal",
  4503: "draining",
  4508: "too_slow",
} as const;

/** An error of this library. */
export class TidingsError extends Error {
  /** What it is about. */
  declare readonly code: ErrorCode;
  /** The library tries again by itself. When false, it waits for the program: another token, another room, `connect()`. */
  declare readonly retryable: boolean;
  /** Least time to the next try in milliseconds, when the server named one. */
  declare readonly retryAfter: number;

  /** @internal */
  constructor(code: ErrorCode, retryable = false, cause?: unknown, retryAfter = 0) {
    super(`${code} ${cause ?? ""}`, { cause });
    this.code = code;
    this.retryable = retryable;
    this.retryAfter = retryAfter;
  }
}

// Trying again cannot help: of RFC 6455, and of the protocol.
const finalCodes = [1002, 1003, 1007, 4400, 4403, 4413];

/** What the end of a connection means. */
export function closeError(code: number, reason: string, welcomed: unknown): TidingsError {
  const final = finalCodes.includes(code);
  const name = (closeCodes as Record<number, CloseCode>)[code] ?? (final ? "protocol_error" : welcomed ? "lost" : "unreachable");
  const wait = Math.min(600, parseInt(reason.split("retry_after=")[1]!) || 0) * 1000;
  return new TidingsError(name, !final, `${code} ${reason}`, wait);
}
