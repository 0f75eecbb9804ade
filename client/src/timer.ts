/** Something to be done later, at most once at a time. */

const longest = 2 ** 31 - 1; // ms that setTimeout can wait

export class Timer {
  #id: ReturnType<typeof setTimeout> | undefined;

  get running(): boolean {
    return this.#id !== undefined;
  }

  /** Does it after so many milliseconds, and what was to be done before not at all. */
  start(ms: number, act: () => void): void {
    this.stop();
    this.#id = setTimeout(() => {
      this.#id = undefined;
      act();
    }, Math.min(ms, longest));
  }

  stop(): void {
    clearTimeout(this.#id);
    this.#id = undefined;
  }
}
