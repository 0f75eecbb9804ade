/** A page of React components under StrictMode, which mounts, unmounts and mounts each of them again. */
import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { connect, room, show, type PageSight } from "./follower.js";
import { TidingsProvider, useCampaignSubscription, useRoom } from "@tidings/client/react";

const { client, see } = connect();
const counts = { mounts: 0, unmounts: 0 };
const numbers: number[] = [];

function Campaign() {
  const [newest, setNewest] = useState(0);
  const { state } = useRoom<{ counted: { n: number } }>(room, {
    counted({ data }) {
      numbers.push(data.n);
      setNewest(data.n);
    },
  });
  useEffect(() => {
    counts.mounts++;
    return () => void counts.unmounts++;
  }, []);
  return (
    <p>
      {state}, event {newest}
    </p>
  );
}

/** Another component that wants the same. */
function Chronicle() {
  const { state } = useCampaignSubscription(room.split(":")[1]);
  return <p>{state}</p>;
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <TidingsProvider client={client}>
      <Campaign />
      <Chronicle />
    </TidingsProvider>
  </StrictMode>,
);

show(() => ({ ...see(), counts, numbers, text: document.body.innerText }));

/** What the page has seen up to now. */
export interface ReactSight extends PageSight, ReturnType<typeof see> {
  readonly counts: typeof counts;
  readonly numbers: readonly number[];
  readonly text: string;
}
