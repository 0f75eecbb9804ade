/** What compiles and what does not, from where an application with React stands: checked by tsc against the built package. */
import { createClient, type Client, type Connection, type Position, type TidingsError } from "@tidings/client";
import {
  ConnectionIndicator,
  TidingsProvider,
  useCampaignSubscription,
  useConnectionNotice,
  useRoom,
  useSettlementSubscription,
  useStructureSubscription,
  useTidings,
  useWebSocketConnection,
  useWebSocketSubscription,
  type ConnectionNotice,
  type RoomHandlers,
  type RoomStatus,
} from "@tidings/client/react";
import type { ReactNode } from "react";

declare module "@tidings/client" {
  interface EventMap {
    settlement_razed: { id: string; survivors: number };
  }
}

interface MyEvents {
  counted: { n: number };
}

const options = { url: "/ws", token: () => "t" };

export const pages: ReactNode[] = [
  <TidingsProvider client={createClient(options)}>
    <p />
    <ConnectionIndicator className="c" style={{}} id="i" data-testid="x" />
  </TidingsProvider>,
  <TidingsProvider client={createClient<MyEvents>(options)} />,
  // @ts-expect-error an instance, never options
  <TidingsProvider client={options} />,
  // @ts-expect-error a client is needed
  <TidingsProvider />,
  // @ts-expect-error its words are its own
  <ConnectionIndicator>Connected</ConnectionIndicator>,
];

export function Component({ id, since }: { id: string | null; since: Position | undefined }): ReactNode {
  const client: Client = useTidings();
  const connection: Connection = useWebSocketConnection();
  const notice: ConnectionNotice | undefined = useConnectionNotice();
  const kind: "lost" | "restored" | undefined = notice?.kind;
  const told: (number | undefined)[] = [notice?.attempt, notice?.retryAt];

  const status: RoomStatus = useRoom(
    id && `campaign:${id}`,
    {
      settlement_updated: (event, { position, replayed }) => {
        const data: { id: string; version?: number } = event.data;
        const type: "settlement_updated" = event.type;
        const at: [Position, boolean] = [position, replayed];
        // @ts-expect-error no such field
        void event.data.population;
        void [data, type, at];
      },
      settlement_razed: ({ data }) => data.survivors.toFixed(),
      "*": (event, { room }) => {
        // @ts-expect-error nothing is known of the data
        void event.data.id;
        room.toUpperCase();
      },
      onReset: ({ room, reason, spreadMs }) => void [room.length, reason.length, spreadMs.toFixed()],
      onState: (state) => state == "live" || state == "denied",
    },
    { since },
  );
  const error: TidingsError | undefined = status.error;
  // @ts-expect-error no such state
  void (status.state == "alive");
  // @ts-expect-error a snapshot does not change
  status.state = "live";

  useRoom("campaign:42");
  useRoom(undefined, { settlement_razed: id ? () => {} : undefined });
  // @ts-expect-error a misspelt event
  useRoom("campaign:42", { settlement_udpated: () => {} });
  // @ts-expect-error handlers get no such argument
  useRoom("campaign:42", { settlement_updated: (id: string) => id });
  // @ts-expect-error a room's name, not a number
  useRoom(42);
  // @ts-expect-error no such option
  useRoom("campaign:42", {}, { from: since });

  useCampaignSubscription(id, { world_time_changed: ({ data }) => data.worldTime.length }, { since });
  useSettlementSubscription(42, { settlement_updated: ({ data }) => data.id });
  useStructureSubscription(undefined, { structure_updated: ({ data }) => data.settlementId?.length });
  // @ts-expect-error a misspelt event
  useCampaignSubscription(id, { settlement_udpated: () => {} });
  // @ts-expect-error no id
  useSettlementSubscription({}, {});
  // @ts-expect-error no such field
  useStructureSubscription(id, { structure_updated: ({ data }) => data.level });

  useWebSocketSubscription("settlement_razed", ({ data, type }, { position }) => {
    const only: "settlement_razed" = type;
    void [data.survivors.toFixed(), only, position.seq];
  });
  useWebSocketSubscription("*", ({ type, data }) => void [type.length, data]);
  // @ts-expect-error a misspelt event
  useWebSocketSubscription("settlement_udpated", () => {});
  // @ts-expect-error no such field
  useWebSocketSubscription("settlement_razed", ({ data }) => data.population);

  return [client.connection.state, connection.state, kind, told, error?.code].join();
}

/** An application with an event map of its own names it once. */
const useMine = useRoom<MyEvents>;
const handlers: RoomHandlers<MyEvents> = { counted: ({ data }) => data.n.toFixed() };

export function Mine(): ReactNode {
  const client: Client<MyEvents> = useTidings<MyEvents>();
  useMine("counter:1", handlers);
  useMine("counter:1", { counted: ({ data }) => data.n.toFixed() });
  // @ts-expect-error not among these
  useMine("counter:1", { settlement_updated: () => {} });
  useCampaignSubscription<MyEvents>("1", { counted: ({ data }) => data.n.toFixed() });
  useWebSocketSubscription<MyEvents>("counted", ({ data }) => data.n.toFixed());
  // @ts-expect-error not among these
  useWebSocketSubscription<MyEvents>("settlement_updated", () => {});
  return client.connection.state;
}

interface TwoEvents extends MyEvents {
  named: { name: string };
}

export function Two(): ReactNode {
  useWebSocketSubscription<TwoEvents, "named">("named", ({ data }) => data.name.length);
  // @ts-expect-error it could be of either type, when only the map is named
  useWebSocketSubscription<TwoEvents>("named", ({ data }) => data.name.length);
  return null;
}
