/** What browsers tell of the life of a page and of its network. */

/**
 * Listens until the returned function is called. Where there is no page, nothing happens.
 *
 * `wake`: the page can be seen again, or the network is back. `offline`: the network is gone, says the browser. `leave`: the page
 * is being left, perhaps into the back/forward cache.
 */
export function watchPage(wake: () => void, offline: () => void, leave: () => void): () => void {
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
