/** The chronicle: no event carries it. An event only says that it is out of date, and its query is asked again. */
import type { Entry } from "./queries.js";
import { worldTimeText } from "./world-time.js";

export function Chronicle({ entries }: { entries: readonly Entry[] }) {
  return (
    <section className="chronicle">
      <h4>Chronicle</h4>
      <ol>
        {entries.map(({ id, at, text }) => (
          <li key={id}>
            <time dateTime={at}>{worldTimeText(Date.parse(at))}</time>
            <span>{text}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
