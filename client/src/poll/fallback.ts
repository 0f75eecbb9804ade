/** Polling where WebSockets do not get through, and for no longer than that. */
import { webSocketTransport, type Transport, type TransportConnection } from "../transport.js";
import { pollTransport, type PollOptions } from "./polling.js";

/** Options of the fallback. */
export interface PollingOptions extends PollOptions {
  /** What is tried first, and again from time to time. Default: the browser's WebSocket. */
  webSocket?: Transport;
}

/**
 * A transport that opens WebSockets, and polls after two of them in a row have failed, provided that polls get through. While it
 * polls, it tries a WebSocket every half minute; once one opens, the client moves over as from an edge that is drained, so
 * that nothing is to be seen. One for each client: it remembers what failed.
 */
export function withPolling({ webSocket = webSocketTransport(), ...options }: PollingOptions = {}): Transport {
  const enough = 2; // WebSockets in a row that failed
  const patience = 9_000; // ms of silence before a client may take it for a failure, which is a bit less than its handshake
  const interval = 24_000; // ms from one try of a WebSocket to the next, and up to half as much again

  const poll = pollTransport(options);
  let failed = 0; // WebSockets in a row

  return (url, events) => {
    let polling = failed >= enough;
    const began = performance.now();
    let judged = false; // whether it gets through is known
    let timer: ReturnType<typeof setInterval> | undefined;
    let trial: TransportConnection | undefined;
    let connection: TransportConnection;

    /** Learns from how it ended. */
    const over = (silent: boolean): void => {
      clearInterval(timer);
      trial?.close();
      if (silent && !judged) failed = polling ? 0 : failed + 1; // failing polls: it is not about WebSockets
      judged = true;
    };

    /** Tries a WebSocket. */
    const retry = (): void => {
      trial?.close();
      trial = webSocket(url, {
        open() {
          trial!.close();
          failed = 0;
          events.message('{"op":"drain","within":0}');
        },
        message() {},
        close() {},
      });
    };

    const watched = {
      ...events,
      message(text: string) {
        judged = true;
        if (!polling) failed = 0;
        events.message(text);
      },
      close(code: number, reason: string) {
        over(code < 4000); // an edge that says why has been reached
        events.close(code, reason);
      },
    };

    try {
      connection = (polling ? poll : webSocket)(url, watched);
      if (polling) timer = setInterval(retry, (1 + Math.random() / 2) * interval);
    } catch {
      polling = true; // there are no WebSockets here
      connection = poll(url, watched);
    }
    return {
      ...connection,
      close() {
        over(performance.now() - began > patience); // given up, and not just of no use any more
        connection.close();
      },
    };
  };
}
