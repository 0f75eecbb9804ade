/** What carries frames. The default is the browser's WebSocket; another one can be given to `createClient`. */
import { subprotocol } from "./frames.js";

/** Told by a transport what happens to one connection. Nothing is told after `close`, of either side. */
export interface TransportEvents {
  /** Frames can be sent. */
  open(): void;
  /** A frame came. */
  message(text: string): void;
  /** The connection ended, or did not come about; `code` as in RFC 6455, 1006 when there is no better one. */
  close(code: number, reason: string): void;
}

/** One connection. */
export interface TransportConnection {
  /** Sends a frame. Called between `open` and `close` only. */
  send(text: string): void;
  /** Ends it, in whatever state it is. */
  close(): void;
}

/** Opens a connection to an absolute `ws:` or `wss:` URL. Throws when that can never work. */
export type Transport = (url: string, events: TransportEvents) => TransportConnection;

/** The part of the standard WebSocket that is used. */
export interface WebSocketLike {
  readyState: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/**
 * The WebSocket transport. Where there is no global `WebSocket`, such as in Node 20, give a class with the same interface:
 * `webSocketTransport(WebSocket)` with the one of the package `ws`.
 */
export function webSocketTransport(
  Socket: new (url: string, protocol: string) => WebSocketLike = globalThis.WebSocket,
): Transport {
  return (url, events) => {
    const socket = new Socket(url, subprotocol);
    socket.onopen = () => events.open();
    socket.onmessage = ({ data }) => events.message(data);
    socket.onclose = ({ code, reason }) => events.close(code, reason);
    socket.onerror = () => {}; // close follows, and says as much
    return {
      send: (text) => socket.send(text),
      close() {
        socket.onmessage = socket.onclose = null;
        // Browsers complain about a socket that is closed while it is being opened.
        if (socket.readyState) socket.close(1000);
        else socket.onopen = () => socket.close(1000);
      },
    };
  };
}
