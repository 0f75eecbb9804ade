/** What is shown instead of the page when its server does not answer. */
export function Failure({ error }: { error: Error }) {
  return (
    <main className="failure">
      <h1>The demo does not answer</h1>
      <p>Is <code>tidings demo</code> still running? Start it again and reload this page.</p>
      <p className="muted">{error.message}</p>
      <button type="button" onClick={() => location.reload()}>Reload</button>
    </main>
  );
}
