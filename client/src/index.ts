/**
 * `@tidings/client`: rooms of events over one WebSocket that resumes. Start at `createClient`.
 *
 * @packageDocumentation
 */
export { createClient, type Client, type ClientHandlerOptions, type ClientOptions } from "./client.js";
export { ConnectionState, type Connection } from "./connection.js";
export { TidingsError, type ErrorCode } from "./errors.js";
export * from "./events.js";
export type * from "./catalogue.js";
export type { ResetReason } from "./frames.js";
export type { Observation } from "./observation.js";
export type { Position } from "./position.js";
export type { Reset, Room, RoomOptions, RoomState } from "./room.js";
export type { TokenReason, TokenRequest, TokenSource } from "./token.js";
export {
  webSocketTransport,
  type Transport,
  type TransportConnection,
  type TransportEvents,
  type WebSocketLike,
} from "./transport.js";
