/** What compiles and what does not: checked by tsc against the built package, never run. */
import { create } from "zustand";
import { devtools } from "zustand/middleware";
import { createClient } from "@tidings/client";
import { connectZustand, readWorldTime, worldNow, type WorldTimes } from "@tidings/client/zustand";

const client = createClient({ url: "/ws", token: () => "t" });
const useWorld = create<WorldTimes & { zoom: number }>()(devtools(() => ({ worldTimes: {}, zoom: 1 })));

connectZustand(client, useWorld).stop();
const now: number | undefined = worldNow(useWorld.getState().worldTimes["campaign:42"]);
const sure: number = worldNow({ worldTime: 0, rate: 1, at: 0 }, 5);
// @ts-expect-error it may not be known yet
const unsure: number = worldNow(readWorldTime({ worldTime: "" }, ""));
// @ts-expect-error a store without world times
connectZustand(client, create(() => ({ zoom: 1 })));
void [now, sure, unsure];
