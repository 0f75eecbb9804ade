/** What just happened, for people who want to know how. */
const stories: Record<string, { title: string; steps: readonly string[] }> = {
  start: {
    title: "Two clients, two edges, one order",
    steps: [
      "Each pane is a client of its own, with its own socket, cache and counters. Client A prefers edge-1, client B " +
        "edge-2; both edges are real processes.",
      "Before it read the campaign, the API noted how far the room had got. The client joined from there, so nothing " +
        "fell between the query and the join.",
      "Each event has a number. The strip is drawn from these numbers alone: a number that is passed over is a hole, " +
        "whatever the library believes.",
    ],
  },
  burst: {
    title: "The events carry what changed",
    steps: [
      "The server changed the world a hundred times and published each change when the one before was stored.",
      "Both edges read them from the stream and sent them to their clients in the same order.",
      "The values went into the Apollo cache in batches. Only what an event cannot carry, the chronicle, was asked " +
        "for again, once and not a hundred times.",
    ],
  },
  kill: {
    title: "The process was gone, the position was not",
    steps: [
      "SIGKILL leaves no time for a goodbye: the socket broke, and whatever the edge had in memory was lost.",
      "The client opened a connection to the other edge and said how far it had read. The position is good at every edge.",
      "That edge proved from the stream that nothing else lay in between, and sent exactly what was missed, then went " +
        "on live. No request was made to the API.",
    ],
  },
  drain: {
    title: "Moved while connected",
    steps: [
      "An edge that is to stop asks its clients to move, one after the other, instead of dropping them all at once.",
      "The client opened a second connection first, at the other edge, and let go of the old one when the new one had answered.",
      "What came over both was dropped by its number. A user has seen nothing: this is what a deployment looks like.",
    ],
  },
  offline: {
    title: "Away, and caught up",
    steps: [
      "The pane’s connection was cut, and each new try was refused, with growing waits in between.",
      "When the network came back, the client connected at once and resumed from its position.",
      "The missed events were replayed in order, before the first live one. The cache was patched by them; nothing was fetched.",
    ],
  },
  expire: {
    title: "A new token over the open connection",
    steps: [
      "The edge was given a token of five seconds in place of the one it had.",
      "At about three quarters of that time the client asked the application for another one, and sent it over the " +
        "connection that it had.",
      "The edge checked it, looked at each room again, and went on. An expired token never had to end the connection.",
    ],
  },
  outlast: {
    title: "What cannot be proved is said",
    steps: [
      "While the pane was away, more happened than the room’s history keeps: what it missed is no longer there.",
      "The edge could not prove that nothing was lost, so it said so. A silent hole would look the same to a user, " +
        "and be wrong for good.",
      "The library told the page once, and each query was fetched again at a random moment, so that ten thousand " +
        "pages would not ask at once.",
    ],
  },
};

export function Story({ id }: { id: string }) {
  const { title, steps } = stories[id]!;
  return (
    <section className="story" aria-labelledby="story">
      <p className="kicker" id="story">{id == "start" ? "What this is" : "What just happened"}</p>
      <h2>{title}</h2>
      <ol>{steps.map((step) => <li key={step}>{step}</li>)}</ol>
    </section>
  );
}
