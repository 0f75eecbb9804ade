import { describe, expect, it } from "vitest";
import type { TokenRequest } from "../src/index.js";
import { denied, joined, live, pass, ref, room, start, withFakeTime } from "./fake.js";

withFakeTime();

const token = (value: string) => ({ op: "token", token: value });

describe("a token", () => {
  it("is shown again while it is good for 30 s", async () => {
    const { connection, server, tokens } = await live();
    await pass(2000);
    connection.close();
    await pass(500);
    server.accept(40);
    expect(tokens).toEqual(["connect"]);
    await pass(9_500);
    server.last.close();
    await pass(2_000);
    expect(tokens, "less than 30 s were left").toEqual(["connect", "connect"]);
    server.last.open();
    expect(server.last.news()).toMatchObject([{ op: "hello", token: "token-2" }]);
  });

  it.each([
    [0, 28],
    [0.999_999, 32],
  ])("is renewed over the open socket at 70 to 80 %% of its life: random %d", async (random, seconds) => {
    const { client, server, tokens } = start({ random: () => random });
    client.connect();
    await pass();
    const connection = server.accept(40);
    connection.news();
    await pass(seconds * 1000 - 1000);
    expect(tokens).toEqual(["connect"]);
    await pass(1000);
    expect(tokens).toEqual(["connect", "refresh"]);
    expect(connection.news().filter(({ op }) => op == "token")).toEqual([token("token-2")]);
    connection.send({ op: "token_ok", ttl: 10, dropped: [] });
    await pass(8_000);
    expect(connection.news()).toEqual([token("token-3")]);
  });

  it("cannot be renewed for a while: it is tried again, ever more rarely", async () => {
    let down = false;
    let asked = 0;
    const { connection, server, observed } = await live({
      token: () => {
        asked++;
        if (down) throw new Error("the identity provider is down");
        return `token-${asked}`;
      },
    });
    down = true;
    for (let i = 0; i < 120; i++) {
      await pass(25_000);
      connection.send({ op: "ping", ts: 1 });
    }
    const failed = asked - 1;
    expect(failed).toBeGreaterThan(5);
    expect(failed).toBeLessThan(30);
    expect(observed).toContainEqual(expect.objectContaining({ type: "token", error: expect.objectContaining({ code: "token_unavailable" }) }));
    down = false;
    connection.news();
    await pass(25_000);
    connection.send({ op: "ping", ts: 1 });
    expect(connection.news().filter(({ op }) => op == "token")).toHaveLength(1);
    expect(server.connections).toHaveLength(1);
  });

  it("that is still the same is not sent again", async () => {
    const { client, server } = start({ token: () => "always" });
    client.connect();
    await pass();
    const connection = server.accept(60);
    connection.news();
    await pass(30_000);
    connection.send({ op: "ping", ts: 1 });
    await pass(29_000);
    expect(connection.news().filter(({ op }) => op == "token")).toEqual([]);
  });

  it("that is refused is replaced once", async () => {
    const { client, server, tokens, handle, connection } = await live();
    connection.close(4401, "expired");
    expect(client.connection.state).toBe("waiting");
    await pass(500);
    expect(tokens).toEqual(["connect", "rejected"]);
    server.accept().send(joined(7, { recovered: true, replay: 0 }));
    expect(handle.state).toBe("live");
    server.last.close(4401);
    await pass(1000);
    expect(tokens, "accepted in between: this is another first time").toEqual(["connect", "rejected", "rejected"]);
    server.last.open();
    server.last.close(4401, "the signature does not match");
    expect(client.connection).toMatchObject({ state: "failed", error: { code: "token_rejected", retryable: false } });
    expect(client.connection.error!.message, "what the edge said").toContain("the signature does not match");
    expect(handle.error).toMatchObject({ code: "token_rejected" });
    client.connect();
    await pass();
    expect(tokens.at(-1)).toBe("connect");
  });

  it("that is refused over the open socket is replaced, too", async () => {
    const { client, server, tokens } = start();
    client.connect();
    await pass();
    const connection = server.accept(100);
    await pass(30_000);
    connection.send({ op: "ping", ts: 1 });
    await pass(30_000);
    connection.send({ op: "ping", ts: 1 });
    await pass(15_000);
    expect(connection.news().at(-1)).toEqual(token("token-2"));
    connection.close(4401, "another sub");
    await pass(1000);
    expect(tokens).toEqual(["connect", "refresh", "rejected"]);
    server.accept();
    expect(client.connection.state).toBe("connected");
  });

  it("must be another one after it was refused", async () => {
    const { client, server } = start({ token: () => "always" });
    client.connect();
    await pass();
    server.last.open();
    server.last.close(4401);
    await pass(500);
    expect(client.connection).toMatchObject({ state: "failed", error: { code: "token_rejected" } });
    expect(server.connections).toHaveLength(1);
  });
});

describe("token()", () => {
  it("that hangs is given up after 10 s, with its signal", async () => {
    const requests: TokenRequest[] = [];
    const { client, server } = start({
      token: (request) => {
        requests.push(request);
        return new Promise(() => {});
      },
    });
    client.connect();
    await pass(9_900);
    expect(requests[0]!.signal.aborted).toBe(false);
    await pass(100);
    expect(requests[0]!.signal.aborted).toBe(true);
    expect(client.connection).toMatchObject({ state: "waiting", error: { code: "token_timeout", retryable: true } });
    await pass(500);
    expect(requests).toHaveLength(2);
    expect(server.connections).toHaveLength(0);
    client.close();
    expect(requests[1]!.signal.aborted, "closed").toBe(true);
    await pass();
  });

  it.each([
    ["rejects", () => Promise.reject(new Error("503"))],
    ["throws", () => { throw new Error("503"); }],
  ])("that %s is asked again with backoff", async (_, source) => {
    const { client } = start({ token: source });
    client.connect();
    await pass();
    expect(client.connection).toMatchObject({ state: "waiting", attempt: 1, error: { code: "token_unavailable", cause: { message: "503" } } });
    await pass(500);
    expect(client.connection.attempt).toBe(2);
  });

  it("says by retryable: false that nobody is signed in", async () => {
    const { client } = start({ token: () => Promise.reject(Object.assign(new Error("signed out"), { retryable: false })) });
    client.connect();
    await pass();
    expect(client.connection).toMatchObject({ state: "failed", error: { code: "token_unavailable" } });
  });

  it.each([undefined, null, "", 7, {}, "<html>Bad gateway</html>", '{"token":"a.b.c"}'])("that gives rubbish is asked again with backoff: %j", async (rubbish) => {
    const { client, server } = start({ token: () => rubbish as string });
    client.connect();
    await pass();
    expect(client.connection).toMatchObject({ state: "waiting", error: { code: "token_invalid" } });
    expect(server.connections).toHaveLength(0);
  });

  it("is asked one at a time", async () => {
    const answers: ((token: string) => void)[] = [];
    const { client, server } = start({ token: () => new Promise((resolve) => answers.push(resolve)) });
    client.connect();
    await pass();
    answers[0]!("a");
    await pass();
    server.accept(100);
    await pass(32_000);
    server.last.send({ op: "ping", ts: 1 });
    await pass(32_000);
    server.last.send({ op: "ping", ts: 1 });
    await pass(12_000);
    expect(answers, "a renewal is on its way").toHaveLength(2);
    server.last.close();
    await pass(1000);
    expect(answers).toHaveLength(2);
    answers[1]!("b");
    await pass();
    server.last.open();
    expect(server.last.news()).toEqual([{ op: "hello", token: "b", rooms: [] }]);
  });
});

describe("another token", () => {
  it("has denied rooms asked for again, and only then", async () => {
    const { client, server } = start();
    const handle = client.room(room);
    await pass(20);
    const connection = server.accept(100);
    connection.send(denied("forbidden"));
    expect(handle).toMatchObject({ state: "denied", error: { code: "forbidden", retryable: false } });
    connection.news();
    connection.close();
    await pass(500);
    server.accept(100);
    await pass(20);
    expect(server.last.news(), "the same token").toEqual([{ op: "hello", token: "token-1", rooms: [] }]);
    for (let i = 0; i < 3; i++) {
      await pass(25_000);
      server.last.send({ op: "ping", ts: 1 });
    }
    expect(server.last.news().filter(({ op }) => op != "pong")).toEqual([token("token-2")]);
    server.last.send({ op: "token_ok", ttl: 100, dropped: [] });
    await pass(20);
    expect(server.last.news()).toEqual([{ op: "join", rooms: [ref(room)] }]);
    expect(handle.state).toBe("joining");
    server.last.send(joined(7));
    expect(handle.state).toBe("live");
  });

  it("may take rooms away", async () => {
    const { connection, handle } = await live();
    connection.send({ op: "token_ok", ttl: 3600, dropped: [room, "campaign:unknown"] });
    expect(handle).toMatchObject({ state: "denied", error: { code: "forbidden" } });
    await pass(100);
    expect(connection.news()).toEqual([]);
  });
});
