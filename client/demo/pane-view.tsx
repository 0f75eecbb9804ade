/** A pane on the page: an application of its own, with its own providers. */
import { ApolloProvider, useQuery } from "@apollo/client/react";
import { TidingsProvider, useRoom } from "@tidings/client/react";
import { useStore } from "zustand";
import { Chronicle } from "./chronicle.js";
import { Clock, useWorldTime } from "./clock.js";
import { Counters } from "./counters.js";
import type { Pane } from "./pane.js";
import { Party } from "./party.js";
import * as queries from "./queries.js";
import { Settlements } from "./settlements.js";
import { Status } from "./status.js";
import { Strip } from "./strip.js";

export function PaneView({ pane }: { pane: Pane }) {
  return (
    <TidingsProvider client={pane.client}>
      <ApolloProvider client={pane.apollo}>
        <article className="pane" aria-labelledby={`pane-${pane.id}`}>
          <header>
            <h2 id={`pane-${pane.id}`}>{pane.title}</h2>
            <Status />
          </header>
          <Strip tape={pane.tape} label={pane.title} />
          <Counters pane={pane} />
          <Campaign pane={pane} />
        </article>
      </ApolloProvider>
    </TidingsProvider>
  );
}

/** The application proper: two queries at first, and from then on the events of one room. */
function Campaign({ pane }: { pane: Pane }) {
  const world = useQuery(queries.World);
  const chronicle = useQuery(queries.Chronicle);
  const position = useStore(pane.requests.store, (log) => log.position);
  const loaded = world.data && chronicle.data;
  const room = useRoom(loaded && pane.room, {
    "*": (event, delivery) => pane.tape.event(event, delivery),
    state_invalidated: ({ data }) => pane.requests.invalidated(data.queries ?? []),
    onReset() {
      pane.tape.reset();
      pane.requests.reset();
    },
  }, { since: position });
  useWorldTime(pane, world.data?.campaign);
  const error = room.error ?? world.error ?? chronicle.error;
  if (error && !loaded) return <p className="error" role="alert">The campaign cannot be loaded: {error.message}</p>;
  if (!loaded) return <p className="muted">Loading the campaign</p>;
  const { campaign, settlements } = world.data!;
  return (
    <div className="campaign">
      <div className="title">
        <h3>{campaign.name}</h3>
        <Clock pane={pane} />
      </div>
      {room.error && <p className="error" role="alert">The room {pane.room}: {room.error.message}</p>}
      <Settlements settlements={settlements} />
      <Party {...campaign.party} />
      <Chronicle entries={chronicle.data!.chronicle} />
    </div>
  );
}
