import { beforeEach, describe, expect, it, vi } from "vitest";
import { joined, live, pass, position, ref, room, start, withFakeTime } from "./fake.js";

withFakeTime();

let page: EventTarget & { visibilityState: string };
let net: { onLine: boolean };

/** As a browser tells it: to the window, or to the document. */
const tell = (type: string, more: object = {}) => globalThis.dispatchEvent(Object.assign(new Event(type), more));
const show = (state: string) => {
  page.visibilityState = state;
  page.dispatchEvent(new Event("visibilitychange"));
};

beforeEach(() => {
  const browser = new EventTarget();
  for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"] as const) {
    vi.stubGlobal(name, browser[name].bind(browser));
  }
  page = Object.assign(new EventTarget(), { visibilityState: "visible" });
  page.dispatchEvent = (event) => browser.dispatchEvent(event); // its events rise to the window
  net = { onLine: true };
  vi.stubGlobal("document", page);
  vi.stubGlobal("navigator", net);
});

describe("a page", () => {
  it("that is left closes the connection itself, and connects at once when it comes back from the cache", async () => {
    const { client, connection, handle, server } = await live();
    tell("pagehide");
    expect(connection.closed).toBe(true);
    expect(client.connection.state).toBe("suspended");
    expect(handle.state).toBe("recovering");
    await pass(600_000);
    expect(server.connections).toHaveLength(1);
    tell("pageshow", { persisted: true });
    await pass();
    server.last.open();
    expect(server.last.news()).toMatchObject([{ op: "hello", rooms: [ref(room, position(7))] }]);
  });

  it("that is shown for the first time does nothing", async () => {
    const { client } = start();
    tell("pageshow", { persisted: false });
    tell("pagehide");
    show("visible");
    expect(client.connection.state).toBe("idle");
  });

  it.each(["visible", "resume", "online"])("that wakes connects at once, with the first attempt: %s", async (how) => {
    const { client, connection, server } = await live();
    connection.close();
    await pass(500);
    for (let i = 0; i < 4; i++) {
      server.last.close();
      await pass(client.connection.retryAt! - Date.now());
    }
    server.last.close();
    expect(client.connection.attempt).toBe(6);
    if (how == "visible") show("visible");
    else if (how == "online") tell("online");
    else page.dispatchEvent(new Event(how));
    await pass();
    expect(client.connection).toMatchObject({ state: "connecting", attempt: 0 });
    expect(server.connections).toHaveLength(7);
  });

  it("that is hidden does nothing", async () => {
    const { connection } = await live();
    show("hidden");
    expect(connection.news()).toEqual([]);
  });

  it("that wakes sees within 3 s whether its connection is dead", async () => {
    const { client, connection } = await live();
    show("visible");
    await pass(2_900);
    expect(client.connection.state).toBe("connected");
    await pass(100);
    expect(connection.closed).toBe(true);
    expect(client.connection).toMatchObject({ state: "waiting", error: { code: "silent" } });
  });

  it("that wakes stays on a connection that answers", async () => {
    const { client, connection } = await live();
    show("visible");
    connection.send({ op: "denied", room: "?", code: "bad_room", retryable: false, message: "" });
    await pass(10_000);
    expect(client.connection.state).toBe("connected");
  });

  it("respects a server that asked for time", async () => {
    const { client, connection, server } = await live();
    connection.close(4429, "retry_after=30;");
    tell("pagehide");
    await pass(1000);
    tell("pageshow", { persisted: true });
    expect(client.connection.state).toBe("waiting");
    await pass(28_900);
    expect(server.connections).toHaveLength(1);
    await pass(100);
    expect(server.connections).toHaveLength(2);
  });

  it("respects it for no longer when the clock is set back", async () => {
    const { connection, server } = await live();
    connection.close(4429, "retry_after=30;");
    vi.setSystemTime(Date.now() - 3_600_000);
    tell("online");
    await pass(30_000);
    expect(server.connections).toHaveLength(2);
  });

  it("can do nothing any more when the client is closed", async () => {
    const { client, server } = await live();
    client.close();
    tell("online");
    tell("pageshow", { persisted: true });
    show("visible");
    tell("pagehide");
    await pass(60_000);
    expect(client.connection.state).toBe("closed");
    expect(server.connections).toHaveLength(1);
  });

  it("can do nothing for a connection that failed", async () => {
    const { client, connection, server } = await live();
    connection.close(4403);
    tell("online");
    tell("pagehide");
    tell("pageshow", { persisted: true });
    await pass(60_000);
    expect(client.connection.state).toBe("failed");
    expect(server.connections).toHaveLength(1);
  });
});

describe("a network", () => {
  it("that goes has the connection looked at", async () => {
    const { client, server } = await live({ random: () => 0.999 });
    net.onLine = false;
    tell("offline");
    await pass(3_000);
    expect(client.connection).toMatchObject({ state: "offline", error: { code: "silent" } });
    await pass(31_000);
    expect(server.connections, "browsers err: there is a try now and then").toHaveLength(1);
    net.onLine = true;
    tell("online");
    await pass();
    server.accept().send(joined(7, { recovered: true, replay: 0 }));
    expect(client.connection.state).toBe("connected");
  });

  it("that was there all along, whatever the browser says, is used", async () => {
    const { client, server } = await live({ random: () => 0.999 });
    net.onLine = false;
    tell("offline");
    await pass(3_000 + 32_000);
    expect(server.connections).toHaveLength(2);
    server.accept();
    expect(client.connection.state).toBe("connected");
  });

  it("that goes while waiting is shown", async () => {
    const { client, connection } = await live();
    connection.close();
    net.onLine = false;
    tell("offline");
    expect(client.connection.state).toBe("offline");
    expect(client.connection.retryAt! - Date.now()).toBe(16_000);
  });
});
