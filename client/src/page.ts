/** What browsers tell of the life of a page and of its network. */

/** What to do about it. */
export interface PageEvents {
  /** The page can be seen again, or the network is back. */
  wake(): void;
  /** The network is gone, says the browser. */
  offline(): void;
  /** The page is being left, perhaps into the back/forward cache. */
  leave(): void;
}

/** Listens until the returned function is called. Where there is no page, nothing happens. */
export function watchPage({ wake, offline, leave }: PageEvents): () => void {
  const abort = new AbortController();
  const on = (target: Partial<EventTarget> | undefined, type: string, act: (event: any) => void): void =>
    target?.addEventListener?.(type, act, { signal: abort.signal });
  const page = globalThis.document as Document | undefined;
  on(globalThis, "online", wake);
  on(globalThis, "offline", offline);
  on(globalThis, "pagehide", leave);
  on(globalThis, "pageshow", ({ persisted }) => persisted && wake());
  on(page, "visibilitychange", () => page!.visibilityState == "visible" && wake());
  on(page, "resume", wake);
  return () => abort.abort();
}

/** The browser says that there is no network. */
export function isOffline(): boolean {
  return globalThis.navigator?.onLine === false;
}
