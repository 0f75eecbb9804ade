/** What browsers tell of the life of a page and of its network. */

/**
 * Listens until the returned function is called. Where there is no page, nothing happens.
 *
 * `wake`: the page can be seen, perhaps again, or the network is back. `offline`: the network is gone, says the browser. `leave`: the page
 * is being left, perhaps into the back/forward cache.
 */
export function watchPage(wake: () => void, offline: () => void, leave: () => void): () => void {
  // Events of the document rise to the window.
  const acts = {
    online: wake,
    offline,
    pageshow: wake,
    pagehide: leave,
    resume: wake,
    visibilitychange: () => document.visibilityState == "visible" && wake(),
  };
  const abort = new AbortController();
  for (const [type, act] of Object.entries(acts)) globalThis.addEventListener?.(type, act, { signal: abort.signal });
  return () => abort.abort();
}

/** The browser says that there is no network. */
export function isOffline(): boolean {
  return globalThis.navigator?.onLine === false;
}
