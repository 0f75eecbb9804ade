/** Functions that want to be told of something. */
import type { EventHandler } from "./events.js";
import type { Reset } from "./room.js";

/** What a listener can be told of, and with what. */
interface Kinds {
  /** An event; `again` as in ClientHandlerOptions. */
  event: [event: any, delivery: any, again?: boolean];
  reset: [Reset];
  /** Another state, of whatever has the listeners. */
  state: [state: any];
}

/** Listeners of a room, or of a client. */
export class Listeners {
  readonly #entries = new Set<readonly [kind: string, listener: (...args: any) => void]>();

  /** Adds a listener, once for each call, and returns what removes it. */
  add<Kind extends keyof Kinds>(kind: Kind, listener: (...args: Kinds[Kind]) => void): () => void {
    const entry = [kind, listener] as const;
    this.#entries.add(entry);
    return () => void this.#entries.delete(entry);
  }

  on(type: string, handler: EventHandler<any, any>, options?: { again?: boolean }): () => void {
    return this.add("event", (event, delivery, again) => {
      if ((type == "*" || type == event.type) && (!again || options?.again)) handler(event, delivery);
    });
  }

  onReset(handler: (reset: Reset) => void): () => void {
    return this.add("reset", handler);
  }

  /** Calls those that are there now and still are when it is their turn. An error of one is the page's, and stops no other. */
  emit<Kind extends keyof Kinds>(kind: Kind, ...args: Kinds[Kind]): void {
    for (const entry of [...this.#entries]) {
      if (entry[0] == kind && this.#entries.has(entry)) attempt(() => entry[1](...args));
    }
  }

  clear(): void {
    this.#entries.clear();
  }
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
