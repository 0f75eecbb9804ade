/** A wait that ends when the page can be seen. */

/** Milliseconds in which events are collected that may belong to a burst. */
export const quiet = 50;

/** Resolves after so many milliseconds, and then when the page is drawn: not while it is hidden. */
export const pause = (ms: number): Promise<unknown> =>
  new Promise((go) => setTimeout(globalThis.requestAnimationFrame ?? setTimeout, ms, go));
