/** Something to be done later, and not before the page can be seen. */

/** Milliseconds in which events are collected that come in a burst. */
export const burst = 50;

/**
 * Returns what has it done once, `part` (0 to 1) of so many milliseconds from then on: while it is waited for, only a longer time
 * counts. After Infinity it is never done.
 */
export function defer(act: () => void): (ms: number, part?: number) => void {
  let timer: ReturnType<typeof setTimeout> | false | undefined;
  let longest = -1;
  const due = (): void => {
    const page = globalThis.document as Document | undefined; // where there is none, nothing is hidden
    if (page?.visibilityState == "hidden") page.addEventListener("visibilitychange", due, { once: true });
    else if (timer) {
      timer = false;
      longest = -1;
      act();
    }
  };
  return (ms, part = 1) => {
    if (ms <= longest) return;
    longest = ms;
    clearTimeout(timer as any);
    timer = ms < Infinity && setTimeout(due, ms * part);
  };
}
