/** The world's clock. It runs by itself between the events that set it. */
import { readWorldTime, worldNow, type WorldTime } from "@tidings/client/zustand";
import { useEffect, useState } from "react";
import { useStore } from "zustand";
import type { Pane } from "./pane.js";
import type { Campaign } from "./queries.js";
import { worldTimeText } from "./world-time.js";

const tick = 200; // ms

export function Clock({ pane }: { pane: Pane }) {
  const time = useStore(pane.world, ({ worldTimes }) => worldTimes[pane.room]);
  return <p className="clock">{time && <Hands time={time} />}</p>;
}

function Hands({ time }: { time: WorldTime }) {
  const [, turn] = useState(0);
  const running = time.rate > 0;
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => turn((turns) => turns + 1), tick);
    return () => clearInterval(timer);
  }, [running]);
  const now = worldNow(time);
  return (
    <>
      <time dateTime={new Date(now).toISOString()}>{worldTimeText(now)}</time>
      {!running && <span className="muted"> paused</span>}
    </>
  );
}

/** Sets the clock to what a query has brought. */
export function useWorldTime({ world, room }: Pane, campaign: Campaign | undefined): void {
  useEffect(() => {
    const time = campaign && readWorldTime(campaign, campaign.at);
    if (time) world.setState(({ worldTimes }) => ({ worldTimes: { ...worldTimes, [room]: time } }));
  }, [world, room, campaign?.worldTime, campaign?.rate, campaign?.at]);
}
