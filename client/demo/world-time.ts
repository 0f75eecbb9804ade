/** Time in the world, as text. */
const format = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC",
});

/** Of Unix milliseconds: "12 May 1403, 06:00". */
export const worldTimeText = (ms: number): string => format.format(ms);
