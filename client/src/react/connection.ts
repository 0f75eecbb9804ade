/** The connection as a component sees it, and what is worth telling a person about it. */
import { useEffect, useState, useSyncExternalStore } from "react";
import type { Client } from "../client.js";
import type { Connection } from "../connection.js";
import { useTidings } from "./provider.js";

const atFirst: Connection = { state: "idle", attempt: 0 };
const patience = 1_500; // ms for which there is no connection before a person is told
const relief = 3_000; // ms for which a person is told that it is back

/**
 * The connection as it is now; the component is rendered again when it changes. On the server, and while what the server made is
 * hydrated, it is `idle`.
 *
 * ```tsx
 * const { state, attempt } = useWebSocketConnection();
 * if (state == ConnectionState.Waiting) return <p>Attempt {attempt} comes soon</p>;
 * ```
 */
export function useWebSocketConnection(): Connection {
  const client = useTidings();
  return useSyncExternalStore(client.subscribe, () => client.connection, () => atFirst);
}

/** The connection when there is something to tell, and what. */
export interface ConnectionNotice extends Connection {
  /**
   * `lost`: there has been no connection for 1.5 s, `attempt` is how often it was tried, and `retryAt` when it will be next.
   * `restored`: there is one again, since less than 3 s.
   */
  readonly kind: "lost" | "restored";
}

/**
 * What to tell a person about the connection; undefined when it is stable, which short interruptions, a page's first connecting
 * and a client that was closed are too. The component is rendered again when that changes.
 *
 * ```tsx
 * const notice = useConnectionNotice();
 * return notice && <Toast>{notice.kind == "lost" ? `Connecting, attempt ${notice.attempt}` : "Connected again"}</Toast>;
 * ```
 */
export function useConnectionNotice(): ConnectionNotice | undefined {
  const client = useTidings();
  const [notice, setNotice] = useState<ConnectionNotice>();
  useEffect(() => watch(client, setNotice), [client]);
  return notice;
}

/** Says what there is to tell, whenever that changes, until the returned function is called. */
function watch(client: Client, tell: (notice: ConnectionNotice | undefined) => void): () => void {
  let expected = false; // a connection: there was one, or a try to make one has failed
  let down = false; // there is none although it is expected
  let kind: ConnectionNotice["kind"] | undefined;
  let timer: ReturnType<typeof setTimeout>;
  const look = (): void => {
    const { connection } = client;
    const { state } = connection;
    if (state != "connecting") expected = !/idle|suspended|closed/.test(state);
    if (down != (expected && state != "connected")) {
      down = !down;
      kind = kind == "lost" && expected ? "restored" : undefined;
      clearTimeout(timer);
      timer = setTimeout(() => {
        kind = down ? "lost" : undefined;
        look();
      }, down ? patience : relief);
    }
    tell(kind && { ...connection, kind });
  };
  const off = client.subscribe(look);
  look();
  return () => {
    off();
    clearTimeout(timer);
  };
}
