/** The connection of a pane in a few words, and the notice when it is away for long. */
import { ConnectionIndicator, useWebSocketConnection } from "@tidings/client/react";

const words = {
  idle: "not connected yet",
  connecting: "connecting",
  connected: "connected to",
  waiting: "waiting",
  offline: "offline",
  suspended: "suspended",
  failed: "failed",
  closed: "closed",
} as const;

export function Status() {
  const { state, edge, error } = useWebSocketConnection();
  return (
    <>
      <p className="status" data-state={state}>
        <i aria-hidden="true" />
        <span>
          {words[state]}{edge && <strong> {edge}</strong>}
          {state == "failed" && <span className="muted">: {error?.message}</span>}
        </span>
      </p>
      <ConnectionIndicator className="notice" />
    </>
  );
}
