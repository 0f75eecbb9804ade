import { beforeEach, describe, expect, it, vi } from "vitest";
import { live, pass, start, withFakeTime } from "./fake.js";

withFakeTime();

type Callback = () => Promise<unknown>;

/** The locks of one origin: those of a name are held one after the other, until what the holder returned has settled. */
class Locks {
  readonly names = new Set<string>();
  /** Does not grant before it settles. */
  held: Promise<unknown> = Promise.resolve();

  request(name: string, callback: Callback): Promise<unknown> {
    this.names.add(name);
    const granted = this.held.then(callback);
    this.held = granted.catch(() => {});
    return granted;
  }
}

let locks: Locks;

beforeEach(() => {
  locks = new Locks();
  vi.stubGlobal("navigator", { locks });
});

/** A tab whose source answers when it is told to. */
function tab() {
  const answers: { resolve: (token: string) => void; reject: (cause: unknown) => void; signal: AbortSignal }[] = [];
  const started = start({ token: ({ signal }) => new Promise((resolve, reject) => answers.push({ resolve, reject, signal })) });
  started.client.connect();
  return { ...started, answers };
}

describe("tabs", () => {
  it("ask for tokens one after the other", async () => {
    const [a, b, c] = [tab(), tab(), tab()];
    await pass();
    expect([a, b, c].map(({ answers }) => answers.length)).toEqual([1, 0, 0]);
    a.answers[0]!.resolve("a");
    await pass();
    expect([a, b, c].map(({ answers }) => answers.length)).toEqual([1, 1, 0]);
    b.answers[0]!.reject(new Error("503"));
    await pass();
    expect([a, b, c].map(({ answers }) => answers.length), "a failure makes way, too").toEqual([1, 1, 1]);
    a.server.accept();
    expect(a.client.connection.state).toBe("connected");
    expect(b.client.connection).toMatchObject({ state: "waiting", error: { code: "token_unavailable" } });
    expect([...locks.names]).toEqual(["tidings-token"]);
  });

  it("wait 10 s for one that takes too long, and then ask all the same", async () => {
    locks.held = new Promise(() => {});
    const { client, server, answers } = tab();
    await pass(9_900);
    expect(answers).toHaveLength(0);
    await pass(100);
    expect(answers).toHaveLength(1);
    await pass(9_900);
    expect(client.connection.state).toBe("connecting");
    answers[0]!.resolve("late");
    await pass();
    server.accept();
    expect(client.connection.state).toBe("connected");
  });

  it("do not wait longer for a source that hangs than it is given", async () => {
    const [a, b] = [tab(), tab()];
    await pass(10_000);
    expect(a.client.connection).toMatchObject({ state: "waiting", error: { code: "token_timeout" } });
    expect(b.answers, "its turn").toHaveLength(1);
    b.answers[0]!.resolve("b");
    await pass();
    b.server.accept();
    expect(b.client.connection.state).toBe("connected");
  });

  it("ask once when the turn comes late", async () => {
    let free = (): void => {};
    locks.held = new Promise<void>((resolve) => (free = resolve));
    const { answers } = tab();
    const other = tab();
    await pass(10_000);
    free();
    await pass();
    expect(answers).toHaveLength(1);
    answers[0]!.resolve("a");
    other.answers[0]!.resolve("b");
    await pass();
    const third = tab();
    await pass();
    expect(third.answers, "nothing is held any more").toHaveLength(1);
  });

  it("that are closed while they wait ask no more, and hold nobody up", async () => {
    const [a, b, c] = [tab(), tab(), tab()];
    await pass();
    b.client.close();
    await pass();
    a.answers[0]!.resolve("a");
    await pass();
    expect(b.answers).toHaveLength(0);
    expect(c.answers).toHaveLength(1);
    c.client.close();
    expect(c.answers[0]!.signal.aborted).toBe(true);
  });
});

describe("a browser", () => {
  it.each([
    ["without locks", undefined],
    ["that denies them", { request: () => Promise.reject(new DOMException("no", "SecurityError")) }],
    ["whose locks throw", { request: () => { throw new Error("no"); } }],
  ])("%s asks at once", async (_, none) => {
    vi.stubGlobal("navigator", { locks: none });
    const { client, tokens } = await live();
    expect(tokens).toEqual(["connect"]);
    expect(client.connection.state).toBe("connected");
  });

  it("renews under the lock as well", async () => {
    const { answers, server } = tab();
    await pass();
    answers[0]!.resolve("a");
    await pass();
    server.accept(20);
    locks.held = new Promise(() => {});
    await pass(15_000);
    expect(answers).toHaveLength(1);
    await pass(10_000);
    expect(answers).toHaveLength(2);
  });
});
