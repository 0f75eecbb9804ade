/**
 * `@tidings/client/poll`: for networks that block WebSockets. `createClient({ …, transport: withPolling() })` is all it takes.
 *
 * @packageDocumentation
 */
export { withPolling, type PollingOptions } from "./fallback.js";
export { pollTransport, type PollOptions } from "./polling.js";
