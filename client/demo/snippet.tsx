/** The code that a page like this takes. */
const code = `
const tidings = createClient({ url: EDGES, token: fetchToken });
connectApollo(tidings, apollo); // events patch, a reset refetches

function Campaign({ id }) {
  const { data } = useQuery(CAMPAIGN);
  useCampaignSubscription(id, {
    settlement_updated: ({ data }) => highlight(data.id),
  });
  return <Settlements of={data?.settlements} />;
}

<TidingsProvider client={tidings}>
  <Campaign id="demo" />
</TidingsProvider>
`.trim();

export function Snippet() {
  return (
    <section className="snippet" aria-labelledby="snippet">
      <p className="kicker">For developers</p>
      <h2 id="snippet">The code that this takes</h2>
      <pre tabIndex={0} role="region" aria-label="Code"><code>{code}</code></pre>
    </section>
  );
}
