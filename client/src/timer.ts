/** Something to be done later, at most once at a time. */

const longest = 1e9; // ms: 11 days; setTimeout cannot wait for more than 24

export class Timer {
  #id: ReturnType<typeof setTimeout> | undefined;

  get running(): boolean {
    return !!this.#id;
  }

  /** Does it after so many milliseconds, 11 days at most, and what was to be done before not at all. */
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
