/** How long to wait before trying again. */

/** The doublings after which a wait grows no more: 32 s. */
export const longest = 5;

/**
 * A random time in milliseconds from 0 to a cap: 1, 2, 4, 8, 16, then 32 s, for `attempt` 0, 1, 2 and so on. Random over the
 * whole range, so that many clients that lost the same server do not come back at the same moment.
 */
export function backoff(attempt: number, random: () => number): number {
  return random() * 1000 * 2 ** Math.min(attempt, longest);
}
