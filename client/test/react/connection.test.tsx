// @vitest-environment happy-dom
import { type ReactNode } from "react";
import axe from "axe-core";
import { beforeEach, describe, expect, it, vi } from "vitest";
import {
  ConnectionIndicator,
  useConnectionNotice,
  useRoom,
  useTidings,
  useWebSocketConnection,
  type ConnectionNotice,
} from "../../src/react/index.js";
import { live, pass, room, start, withFakeTime } from "../fake.js";
import { act, mount, plain, withPage } from "./mount.js";

withFakeTime();
withPage();

const later = (ms: number) => act(() => pass(ms));

describe("the connection", () => {
  it("is rendered when it changes, and only then", async () => {
    const states: string[] = [];
    const App = () => {
      const { state, attempt } = useWebSocketConnection();
      states.push(`${state} ${attempt}`);
      return null;
    };
    const { client, server, connection } = await live();
    const { render } = await mount(client, <App />, plain);
    expect(states).toEqual(["connected 0"]);
    await act(() => connection.send({ op: "ping", ts: 1 }));
    await later(10_000);
    await act(() => connection.close());
    await later(500);
    await act(() => void server.accept());
    expect(states).toEqual(["connected 0", "waiting 1", "connecting 1", "connected 0"]);
    await render(null);
    await act(() => server.last.close());
    expect(states).toHaveLength(4);
  });

  it("is not made by a provider, but by who is in a room", async () => {
    const App = ({ name }: { name: string | null }) => `${useRoom(name).state} ${useWebSocketConnection().state}`;
    const { client, server } = start();
    const { page, render } = await mount(client, <App name={null} />);
    await later(5000);
    expect(page.textContent).toBe("idle idle");
    expect(server.connections).toEqual([]);
    await render(<App name={room} />);
    await later(20);
    expect(page.textContent).toBe("joining connecting");
  });
});

describe("a provider", () => {
  it("gives its own client", async () => {
    const seen: unknown[] = [];
    const App = () => void seen.push(useTidings());
    const { client } = start();
    await mount(client, <App />, plain);
    expect(seen).toEqual([client]);
  });

  it.each([
    ["that is missing", undefined],
    ["that got options", { url: "/ws", token: () => "t" }],
  ])("%s is an error that says what to do", async (_, client) => {
    const App = () => useWebSocketConnection().state;
    await expect(mount(client as never, <App />)).rejects.toThrow("No client of createClient: put <TidingsProvider client={client}> around this");
    vi.mocked(console.error).mockClear(); // React tells of it as well
    vi.mocked(console.warn).mockClear();
  });
});

describe("a notice", () => {
  let rendered: (ConnectionNotice | undefined)[];
  const App = (): ReactNode => {
    rendered.push(useConnectionNotice());
    return null;
  };
  const last = () => rendered.at(-1);
  const notices = () => rendered.map((notice) => notice && `${notice.kind} ${notice.state} ${notice.attempt}`);

  beforeEach(() => void (rendered = []));

  /** A connection that is stable, and a page that follows it. */
  async function connected() {
    const started = await live();
    const page = await mount(started.client, <App />, plain);
    await later(20_000);
    return { ...started, ...page };
  }

  it("is not given of what is over within 1.5 s, nor rendered for", async () => {
    const { connection, server } = await connected();
    await act(() => connection.close());
    await later(1499);
    await act(() => void server.accept());
    await later(10_000);
    expect(notices()).toEqual([undefined]);
  });

  it("is given after 1.5 s, with the attempt and the time of the next, and for 3 s when it is over", async () => {
    const { connection, server } = await connected();
    await act(() => connection.close());
    await later(500);
    await act(() => server.last.close());
    await later(999);
    expect(last()).toBeUndefined();
    await later(1);
    expect(last()).toMatchObject({ kind: "lost", state: "connecting", attempt: 2 });
    await act(() => server.last.close());
    const retryAt = Date.now() + 2000;
    expect(last()).toMatchObject({ kind: "lost", state: "waiting", attempt: 3, retryAt, error: { code: "unreachable" } });
    await later(2000);
    await act(() => void server.accept());
    expect(last()).toMatchObject({ kind: "restored", state: "connected", attempt: 0 });
    await later(2999);
    expect(last()).toMatchObject({ kind: "restored" });
    await later(1);
    const lost = ["lost connecting 2", "lost waiting 3", "lost connecting 3"];
    expect(notices()).toEqual([undefined, ...lost, "restored connected 0", undefined]);
  });

  it("of a restored connection ends when it is lost again", async () => {
    const { connection, server } = await connected();
    await act(() => connection.close());
    await later(1500);
    await act(() => void server.accept());
    await later(1000);
    await act(() => server.last.close());
    expect(last()).toBeUndefined();
    await later(1500);
    expect(last()).toMatchObject({ kind: "lost" });
  });

  it("is not given of a page's first connecting, but when that fails", async () => {
    const { client, server } = start();
    await mount(client, <App />, plain);
    await act(() => client.connect());
    await later(8000);
    expect(last()).toBeUndefined();
    await act(() => server.last.close());
    await later(1500);
    expect(last()).toMatchObject({ kind: "lost", attempt: 1 });
  });

  it("stays while somebody tries at once", async () => {
    const { client, connection } = await connected();
    await act(() => connection.close());
    await later(500);
    await later(1000);
    await act(() => client.connect());
    expect(last()).toMatchObject({ kind: "lost", state: "connecting" });
  });

  it("is given of a failure for good", async () => {
    const { connection } = await connected();
    await act(() => connection.close(4403));
    await later(1500);
    expect(last()).toMatchObject({ kind: "lost", state: "failed", error: { code: "disconnected" } });
  });

  it("is given to who comes when it is lost already", async () => {
    const { client, connection } = await live();
    connection.close();
    await mount(client, <App />, plain);
    await later(1500);
    expect(last()).toMatchObject({ kind: "lost" });
  });

  it.each([
    ["put into the back/forward cache", "suspended"],
    ["closed", "closed"],
  ])("ends with a connection that is %s", async (_, state) => {
    const { client, connection } = await connected();
    await act(() => connection.close());
    await later(1500);
    await act(() => void (state == "closed" ? client.close() : window.dispatchEvent(new Event("pagehide"))));
    expect(client.connection.state).toBe(state);
    expect(notices().slice(-2)).toEqual([expect.stringMatching("lost"), undefined]);
    await later(5000);
    expect(last()).toBeUndefined();
  });

  it("is not given when an edge is drained", async () => {
    const { connection, server } = await connected();
    await act(() => connection.send({ op: "drain", within: 1000 }));
    await later(1000);
    await act(() => void server.accept());
    await later(5000);
    expect(server.connections).toHaveLength(2);
    expect(notices()).toEqual([undefined]);
  });

  it("is about the client of now", async () => {
    const { connection, render } = await connected();
    await act(() => connection.close());
    await later(1500);
    expect(last()).toMatchObject({ kind: "lost" });
    await render(<App />, start().client);
    expect(last()).toBeUndefined();
    await later(5000);
    expect(last()).toBeUndefined();
  });
});

describe("the indicator", () => {
  async function shown() {
    const started = await live();
    const { page } = await mount(started.client, <ConnectionIndicator className="connection" title="network" />);
    return { ...started, page, status: page.querySelector("[role=status]")! };
  }

  it("says in words what there is to say, in a live region that is always there", async () => {
    const { connection, server, page, status } = await shown();
    expect(status.innerHTML).toBe("");
    await act(() => connection.close());
    await later(1499);
    expect(status.innerHTML).toBe("");
    await later(1);
    expect(status.innerHTML).toBe(
      '<div class="connection" title="network" data-state="connecting">No connection, attempt 1 ' +
        '<button type="button">Try now</button></div>',
    );
    await act(() => server.last.close());
    expect(status.textContent).toBe("No connection, attempt 2 Try now");
    await later(1000);
    await act(() => void server.accept());
    expect(status.innerHTML).toBe('<div class="connection" title="network" data-state="connected">Connected again</div>');
    await later(3000);
    expect(status.innerHTML).toBe("");
    expect(page.contains(status)).toBe(true);
  });

  it("tries at once, and keeps the place of who has pressed the button", async () => {
    const { connection, server, status } = await shown();
    await act(() => connection.close(4503, "retry_after=5"));
    await later(1500);
    const button = status.querySelector("button")!;
    button.focus();
    await later(4000);
    await act(() => server.last.close());
    const tries = server.connections.length;
    await act(() => button.click());
    expect(server.connections).toHaveLength(tries + 1);
    expect(status.textContent).toBe("No connection Try now");
    expect(document.activeElement).toBe(button);
    await act(() => button.click());
    expect(server.connections, "one try at a time").toHaveLength(tries + 1);
  });

  it("is accessible, says axe", async () => {
    const { connection, page } = await shown();
    await act(() => connection.close());
    await later(1500);
    vi.useRealTimers();
    const { violations, passes } = await axe.run(page, { rules: { "color-contrast": { enabled: false } } });
    vi.useFakeTimers();
    expect(violations).toEqual([]);
    expect(passes.map(({ id }) => id)).toContain("button-name");
  });
});
