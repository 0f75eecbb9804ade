/** What is used of TanStack Query. */

/** The part of its QueryClient. */
export interface QueryClientLike {
  getQueryCache(): { findAll(filters: { queryKey?: any }): QueryLike[] };
}

/** The part of its Query. */
export interface QueryLike {
  readonly state: { readonly data: unknown; readonly fetchStatus: string };
  setState(state: { data: unknown }): void;
  invalidate(): void;
  isActive(): boolean;
  fetch(): Promise<unknown>;
}
