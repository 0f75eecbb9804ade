/** The demo's own server: what the page asks of it, and what it breaks on request. */

/** An edge as the page is told to reach it. */
export interface EdgeAddress {
  readonly name: string;
  readonly url: string;
}

export interface Config {
  readonly room: string;
  readonly edges: readonly EdgeAddress[];
}

/** An edge's process as its parent sees it. */
export interface EdgeProcess extends EdgeAddress {
  readonly state: "up" | "starting" | "draining" | "down";
  readonly pid: number;
}

/** Numbers of events, both included. */
export interface Range {
  readonly first: number;
  readonly last: number;
}

type Fetch = typeof fetch;

/** Asks, and gives the answer's JSON. Rejects with what the server says is wrong. */
async function ask<Answer>(path: string, init?: RequestInit, through: Fetch = fetch): Promise<Answer> {
  const response = await through(path, init);
  const answer = response.status == 204 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `${path}: status ${response.status}`);
  return answer;
}

function post<Answer>(path: string, body: object = {}, init?: RequestInit, through?: Fetch): Promise<Answer> {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { ...init, method: "POST", headers, body: JSON.stringify(body) }, through);
}

export const getConfig = (): Promise<Config> => ask("demo/config");
export const getEdges = (): Promise<EdgeProcess[]> => ask("demo/edges");

/** A token of the pane, good for `ttl` seconds. */
export async function getToken(pane: string, ttl: number, through: Fetch, signal?: AbortSignal): Promise<string> {
  const { token } = await post<{ token: string }>("demo/token", { pane, ttl }, { signal: signal ?? null }, through);
  return token;
}

export const kill = (edge: string): Promise<unknown> => post(`demo/edges/${edge}/kill`);
export const drain = (edge: string): Promise<unknown> => post(`demo/edges/${edge}/drain`);
export const publish = (count: number): Promise<Range> => post("demo/burst", { count });
export const outlast = (pane: string): Promise<unknown> => post("demo/outlast", { pane });

/** Sets how many seconds of world time pass in one second. */
export const setRate = (rate: number): Promise<unknown> => post("demo/clock", { rate });
