/** A fetch that answers as a test says, when it says so. */
import { expect, vi } from "vitest";
import type { RoomRef, ServerFrame } from "../../src/frames.js";
import { pass, welcome } from "../fake.js";

/** One request, parked until the test answers. */
export class FakePoll {
  readonly rooms: (RoomRef | string)[];
  readonly token: string | undefined;
  /** The client gave it up before it was answered. */
  aborted = false;
  #open = true;

  constructor(
    readonly url: string,
    readonly init: RequestInit,
    readonly settle: { resolve(response: Response): void; reject(error: unknown): void },
  ) {
    this.rooms = JSON.parse(init.body as string);
    this.token = /^Bearer (.*)$/.exec((init.headers as Record<string, string>)["authorization"]!)?.[1];
    init.signal!.addEventListener("abort", () => {
      this.aborted = this.#open;
      settle.reject(init.signal!.reason);
    });
  }

  /** Answers with frames behind a welcome, and lets the client take them. */
  async answer(...frames: ServerFrame[]): Promise<void> {
    await this.respond(200, JSON.stringify([welcome(), ...frames]));
  }

  async respond(status: number, body: string): Promise<void> {
    expect(this.aborted, "answered after it was given up").toBe(false);
    this.#open = false;
    this.settle.resolve(new Response(body, { status }));
    await pass();
  }

  async fail(): Promise<void> {
    this.#open = false;
    this.settle.reject(new TypeError("fetch failed"));
    await pass();
  }
}

/** Puts itself in the place of the global fetch. */
export function fakeFetch(): { polls: FakePoll[]; last(): FakePoll } {
  const polls: FakePoll[] = [];
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    return new Promise<Response>((resolve, reject) => polls.push(new FakePoll(url, init, { resolve, reject })));
  });
  return { polls, last: () => polls.at(-1)! };
}
