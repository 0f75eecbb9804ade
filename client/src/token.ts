/** Where tokens come from, and how long one is good. */
import { TidingsError } from "./errors.js";
import { Timer } from "./timer.js";

/** Why a token is asked for: for a connection, because the present one is nearly over, or because an edge refused it. */
export type TokenReason = "connect" | "refresh" | "rejected";

/** What is told to the function that gets tokens. */
export interface TokenRequest {
  readonly reason: TokenReason;
  /** Aborted when nobody waits for the token any more: after 10 s, or when the client is closed. */
  readonly signal: AbortSignal;
}

/**
 * Gets a token: a JWT in compact form. It is asked for at most one at a time. When it rejects, it is asked again with backoff,
 * unless the error has `retryable: false`: then the connection has failed.
 */
export type TokenSource = (request: TokenRequest) => string | PromiseLike<string>;

const patience = 10_000; // ms for one call of the source
const remainder = 30_000; // ms that a token must still be good for to be shown to an edge

/** Keeps the newest token. */
export class TokenKeeper {
  readonly #source: TokenSource;
  #token = "";
  #until = 0; // Date.now() until which it is good, as far as is known
  #rejected = ""; // the last one that was refused, until another is accepted
  #asking: Promise<string> | undefined;
  #abort: AbortController | undefined;

  constructor(source: TokenSource) {
    this.#source = source;
  }

  /** A token that is good for a while; with `refresh`, a newer one. Rejects with a TidingsError. */
  async get(reason: "connect" | "refresh"): Promise<string> {
    if (reason == "connect" && this.#until - Date.now() >= remainder) return this.#token;
    return (this.#asking ??= this.#ask(this.#rejected ? "rejected" : reason));
  }

  /** An edge has taken the token, for `ttl` seconds; 0 to begin anew. */
  welcome(ttl: number): void {
    this.#rejected = "";
    this.#until = Date.now() + ttl * 1000;
  }

  /** An edge has refused the token. False when it was the second one in a row: then there is no point in a third. */
  refused(token: string): boolean {
    const first = !this.#rejected;
    this.#rejected = token;
    this.#until = 0;
    return first;
  }

  /** Nobody waits for a token any more. */
  abort(): void {
    this.#abort?.abort();
  }

  async #ask(reason: TokenReason): Promise<string> {
    const abort = (this.#abort = new AbortController());
    const { signal } = abort;
    const timer = new Timer();
    const over = new Promise<never>((_, reject) => (signal.onabort = () => reject(new TidingsError("token_timeout", true))));
    try {
      // Until no other tab is asking, if the browser has locks, and if none of them takes too long.
      const turn = new Promise<void>((go) => {
        timer.start(patience, go);
        const locked = async () => navigator.locks.request("tidings-token", () => (go(), over));
        locked().catch(go);
      });
      await Promise.race([over, turn]);
      timer.start(patience, () => abort.abort());
      const token: any = await Promise.race([over, this.#source({ reason, signal })]);
      // No page of an error, no JSON around it: those would be refused for good.
      if (!token?.match?.(/^[\w.-]+$/)) throw new TidingsError("token_invalid", true);
      if (token == this.#rejected) throw new TidingsError("token_rejected");
      this.#token = token;
      this.#until = Date.now() + 2 * remainder; // until an edge says better
      return token;
    } catch (cause: any) {
      throw cause instanceof TidingsError ? cause : new TidingsError("token_unavailable", cause?.retryable !== false, cause);
    } finally {
      timer.stop();
      abort.abort(); // ends the turn
      this.#asking = undefined;
    }
  }
}
