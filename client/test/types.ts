/** What compiles and what does not, from where an application stands: checked by tsc against the built package, never run. */
import { ConnectionState, createClient, type Client, type Connection, type Position, type TidingsError } from "@tidings/client";

declare module "@tidings/client" {
  interface EventMap {
    settlement_founded: { id: string; name: string };
  }
}

const client = createClient({ url: "/ws", token: async ({ reason, signal }) => `${reason} ${signal.aborted}` });
const room = client.room("campaign:42");

room.on("settlement_updated", (event, { position }) => {
  const id: string = event.data.id;
  const version: number | undefined = event.data.version;
  const type: "settlement_updated" = event.type;
  const at: Position = position;
  // @ts-expect-error no such field
  void event.data.population;
  void [id, version, type, at];
});
room.on("settlement_founded", ({ data }) => data.name.toUpperCase());
// @ts-expect-error a misspelt event
room.on("settlement_udpated", () => {});
room.on("*", (event) => {
  // @ts-expect-error nothing is known of the data
  void event.data.id;
});
// @ts-expect-error handlers get no such argument
room.on("settlement_updated", (id: string) => id);

interface MyEvents {
  counted: { n: number };
}
const mine: Client<MyEvents> = createClient<MyEvents>({ url: ["wss://a/ws", "wss://b/ws"], token: () => "t" });
mine.room("counter:1").on("counted", ({ data }) => data.n.toFixed());
// @ts-expect-error not among these
mine.room("counter:1").on("settlement_updated", () => {});

const offClient: () => void = client.on("structure_updated", ({ data, type }, { room: name }) => void [data.settlementId, type == "structure_updated", name.length]);
client.on("*", ({ type }) => type.length, { again: true });
client.onReset(({ room: name, reason }) => void [name.length, reason.length]);
// @ts-expect-error a misspelt event
client.on("settlement_udpated", () => {});
// @ts-expect-error no such field
client.on("settlement_founded", ({ data }) => data.population);
mine.on("counted", ({ data }) => data.n.toFixed());
// @ts-expect-error not among these
mine.on("settlement_updated", () => {});

const off: () => void = room.onReset(({ reason, spreadMs }) => void [reason.length, spreadMs.toFixed()]);
room.onState((state) => state == "live" || state == "denied");
const ready: Promise<Position> = room.ready();
const error: TidingsError | undefined = room.error;
const connection: Connection = client.connection;
const lost: boolean = connection.state == ConnectionState.Waiting && connection.retryAt! > 0;
// @ts-expect-error a snapshot does not change
connection.state = "idle";
// @ts-expect-error no such state
void (connection.state == "conected");
// @ts-expect-error a token is needed
createClient({ url: "/ws" });
// @ts-expect-error an option that does not exist
createClient({ url: "/ws", token: () => "t", retries: 3 });
void [off, offClient, ready, error, lost];
