/** Components on a page, with a client whose server does what a test says. */
import * as React from "react";
import { StrictMode, type ReactNode } from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, vi } from "vitest";
import type { Client } from "../../src/index.js";
import { TidingsProvider } from "../../src/react/index.js";

/** Does something, and what React makes of it. In React 18.2 it has another name. */
export const act: (run: () => void | Promise<void>) => Promise<void> =
  React.act ?? (React as unknown as { unstable_act: typeof React.act }).unstable_act;

const roots: Root[] = [];

/** Takes the page down after each test, and expects that neither React nor anything else has complained. */
export function withPage(): void {
  beforeEach(() => {
    vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
    vi.spyOn(console, "error");
    vi.spyOn(console, "warn");
  });
  afterEach(async () => {
    await act(() => roots.splice(0).forEach((root) => root.unmount()));
    document.body.innerHTML = "";
    const complaints = [console.error, console.warn].flatMap((log) => vi.mocked(log).mock.calls);
    vi.restoreAllMocks();
    expect(complaints).toEqual([]);
  });
}

type Mode = (props: { children: ReactNode }) => ReactNode;

export const plain: Mode = ({ children }) => children;
export const strict: Mode = ({ children }) => <StrictMode>{children}</StrictMode>;

/** Puts components on the page; `render` puts others in their place. */
export async function mount(client: Client<any>, children: ReactNode, Mode = strict) {
  const page = document.body.appendChild(document.createElement("main"));
  const root = createRoot(page);
  roots.push(root);
  const render = (node: ReactNode, other = client) =>
    act(() => root.render(<Mode><TidingsProvider client={other}>{node}</TidingsProvider></Mode>));
  await render(children);
  return { page, render };
}

/** Hydrates what a server has made of the components. Returns what React had to mend. */
export async function hydrate(html: string, node: ReactNode) {
  const page = document.body.appendChild(document.createElement("main"));
  page.innerHTML = html;
  const mended: unknown[] = [];
  await act(() => void roots.push(hydrateRoot(page, node, { onRecoverableError: (error) => mended.push(error) })));
  return { page, mended };
}
