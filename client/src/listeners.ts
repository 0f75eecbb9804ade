/** Functions that want to be told of something. */
import type { EventHandler } from "./events.js";

/** Those that want to be told of one thing. */
export class Listeners<Args extends unknown[]> {
  readonly #entries = new Set<{ listener: (...args: Args) => void }>();

  /** Adds a listener, once for each call, and returns what removes it. */
  add(listener: (...args: Args) => void): () => void {
    const entry = { listener };
    this.#entries.add(entry);
    return () => void this.#entries.delete(entry);
  }

  clear(): void {
    this.#entries.clear();
  }

  /** Calls those that are there now and still are when it is their turn. An error of one is the page's, and stops no other. */
  emit(...args: Args): void {
    for (const entry of [...this.#entries]) {
      if (this.#entries.has(entry)) attempt(() => entry.listener(...args));
    }
  }
}

/** A listener to all events that passes on those of one type, or with `*` every one. */
export function ofType(type: string, handler: EventHandler<any, any>): EventHandler {
  return (event, delivery) => {
    if (type == "*" || type == event.type) handler(event, delivery);
  };
}

/** Runs a function of the application. What it throws surfaces like any uncaught error. */
export function attempt(run: () => void): void {
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
