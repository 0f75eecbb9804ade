/** What can be broken: each trial does it, waits until the pane is well again, and says what came of it. */
import { drain, getToken, kill, outlast, publish } from "./backend.js";
import { look } from "./edge-processes.js";
import type { Pane } from "./pane.js";
import * as queries from "./queries.js";
import { account, count, duration, read, since } from "./reading.js";
import { sent } from "./requests.js";
import { last } from "./tape.js";
import { until } from "./until.js";

/** Tells how far a trial is. */
type Say = (progress: string) => void;

export interface Trial {
  readonly id: string;
  /** What the button says. */
  readonly title: (edge: string) => string;
  readonly does: string;
  readonly look: string;
  /** Ends the pane's edge, hence needs another one that is up. */
  readonly endsEdge?: boolean;
  /** Can be begun without a connection, too. */
  readonly always?: boolean;
  /** Resolves to the result in one line. */
  readonly run: (pane: Pane, say: Say) => Promise<string>;
}

const edgeOf = (pane: Pane): string | undefined => pane.client.connection.edge;
const connected = (pane: Pane): boolean => pane.client.connection.state == "connected";

/** Events in a burst. */
const burst = 100;
/** Events published while an edge is being killed, so that there is something to lose. */
const atRisk = 20;
/** Seconds for which a pane is offline, and for which a short token is good. */
const away = 10;
const brief = 5;

/** Resolves when the pane has lost its connection and gets events as they happen again, to the milliseconds without one. */
async function outage(pane: Pane, cause: () => Promise<unknown>): Promise<number> {
  let lost = 0;
  const noticed = until(pane, "the connection is lost", () => !connected(pane)).then(() => (lost = performance.now()));
  await Promise.all([cause().then(look), noticed]);
  await until(pane, "connected again", () => connected(pane));
  const ms = performance.now() - lost;
  await fresh(pane);
  return ms;
}

/** Resolves when an event has come as it happened: whatever was missed before it shows by its number. */
async function fresh(pane: Pane): Promise<void> {
  const { received, recovered } = read(pane);
  await until(pane, "an event comes", () => {
    const now = read(pane);
    return now.received - now.recovered > received - recovered;
  });
}

async function countdown(from: number, say: Say): Promise<void> {
  for (let left = from; left > 0; left--) {
    say(`Offline: back in ${left} s`);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** Lets the network of the pane come back, and tells the client, as a browser does with its event `online`. */
function reopen({ gate, client }: Pane): void {
  gate.open();
  client.connect();
}

export const trials: readonly Trial[] = [
  {
    id: "burst",
    title: () => `Publish ${burst} events`,
    does: "The server publishes them as fast as they are stored.",
    look: "Both strips run ahead. The events carry what changed: no refetches.",
    always: true,
    async run(pane) {
      const before = read(pane);
      const start = performance.now();
      const range = await publish(burst);
      await until(pane, `event ${range.last} comes`, () => last(pane.tape.store.getState()) >= range.last);
      const ms = performance.now() - start;
      return `Events ${range.first} to ${range.last} here after ${duration(ms)}: ${since(pane, before).missing} missing, ` +
        `${since(pane, before).twice} twice, ${since(pane, before).refetched} refetches.`;
    },
  },
  {
    id: "kill",
    title: (edge) => `Kill ${edge}`,
    does: `kill -9 on its process, while ${atRisk} events are published.`,
    look: "It is on the other edge at once. What it missed comes in amber.",
    endsEdge: true,
    async run(pane) {
      const before = read(pane);
      const ms = await outage(pane, () => Promise.all([kill(edgeOf(pane)!), publish(atRisk)]));
      return `Back on ${edgeOf(pane)} after ${duration(ms)}: ${account(pane, before)}.`;
    },
  },
  {
    id: "drain",
    title: (edge) => `Drain ${edge}`,
    does: "SIGTERM, as in a deployment: clients are asked to move.",
    look: "Only the edge’s name changes. It stays connected.",
    endsEdge: true,
    async run(pane, say) {
      const before = read(pane);
      const { session, edge } = pane.client.connection;
      let broken = false;
      const end = pane.client.subscribe(({ state }) => (broken ||= state != "connected"));
      say(`${edge} is asking its clients to move`);
      const start = performance.now();
      await drain(edge!).then(look);
      await until(pane, "moved to another edge", () => connected(pane) && pane.client.connection.session != session);
      const ms = performance.now() - start;
      await fresh(pane).finally(end);
      const how = broken ? "with a break" : "without a break";
      return `Moved to ${edgeOf(pane)} after ${duration(ms)}, ${how}: ${account(pane, before)}.`;
    },
  },
  {
    id: "offline",
    title: () => `Go offline for ${away} s`,
    does: "Cuts this pane’s connection and refuses new ones.",
    look: "The strip stands still, then catches up in order.",
    async run(pane, say) {
      const before = read(pane);
      const ms = await outage(pane, async () => {
        pane.gate.cut();
        await countdown(away, say).finally(() => reopen(pane));
      });
      return `Back on ${edgeOf(pane)} after ${duration(ms)}: ${account(pane, before)}.`;
    },
  },
  {
    id: "expire",
    title: () => "Expire the token",
    does: `Gives the edge a token of ${brief} s for this client.`,
    look: "The client hands over a new one in time, still connected.",
    async run(pane, say) {
      const before = read(pane);
      const { session } = pane.client.connection;
      const { asked } = pane.tokens;
      pane.gate.inject({ op: "token", token: await getToken(pane.id, brief, fetch) });
      const start = performance.now();
      say(`The token ends in ${brief} s`);
      await until(pane, "a new token", () => pane.tokens.asked > asked);
      const ms = performance.now() - start;
      await new Promise((resolve) => setTimeout(resolve, 1000 * brief - ms)); // the short one is over
      await fresh(pane);
      const kept = session == pane.client.connection.session ? "the same connection" : "another connection";
      return `A new token after ${duration(ms)}, ${kept}: ${account(pane, before)}.`;
    },
  },
  {
    id: "outlast",
    title: () => "Outlast the retention",
    does: "Offline for longer than the history reaches back.",
    look: "A hole, and the page is told: only now it refetches.",
    async run(pane, say) {
      const before = read(pane);
      const asked = sent(pane.requests);
      say("Offline, while the history is deleted");
      await outage(pane, async () => {
        pane.gate.cut();
        await outlast(pane.id).finally(() => reopen(pane));
      });
      await until(pane, "each query is fetched again", () => sent(pane.requests) >= asked + Object.keys(queries).length);
      const { told, missing, refetched } = since(pane, before);
      return `Told of a hole of ${count(told, "event")} and refetched ${count(refetched, "query", "queries")}: ` +
        `${missing} missing without a word.`;
    },
  },
];
