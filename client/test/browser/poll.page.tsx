/** A page that follows the room, and polls when WebSockets do not get through. */
import { followRoom } from "./follower.js";
import { withPolling } from "@tidings/client/poll";

// A WebSocket is tried again after half a minute. Here, that takes a tenth.
const start = globalThis.setTimeout;
globalThis.setTimeout = ((act: () => void, ms = 0) => start(act, ms >= 24_000 && ms <= 36_000 ? ms / 10 : ms)) as typeof start;

followRoom({ transport: withPolling() });
