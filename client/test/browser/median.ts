/** Several measurements of one thing, in one number. */

/** The middle one; prints it with the best and the worst. */
export function median(what: string, unit: string, values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)]!;
  const range = `${sorted[0]!.toFixed(1)} to ${sorted.at(-1)!.toFixed(1)}`;
  console.log(`${what}: ${middle.toFixed(1)} ${unit}, the median of ${sorted.length} from ${range}`);
  return middle;
}
