/** The client that the components below share. */
import { createContext, createElement, useContext, type ReactElement, type ReactNode } from "react";
import type { Client } from "../client.js";
import type { EventMap } from "../events.js";

const Context = /* @__PURE__ */ createContext<Client<any> | undefined>(undefined);

/** Properties of `TidingsProvider`. */
export interface TidingsProviderProps {
  /** Who made it closes it; the provider neither connects nor closes. Another one has all rooms joined anew. */
  readonly client: Client<any>;
  readonly children?: ReactNode;
}

/**
 * Gives a client to the hooks below. It takes an instance, made once outside of components, and never options: those would make
 * two connections under StrictMode.
 *
 * ```tsx
 * const tidings = createClient({ url: "/ws", token: fetchToken });
 *
 * root.render(<TidingsProvider client={tidings}><App /></TidingsProvider>);
 * ```
 */
export function TidingsProvider({ client, children }: TidingsProviderProps): ReactElement {
  return createElement(Context.Provider, { value: client }, children);
}

/**
 * The client of the nearest `TidingsProvider`. Throws where there is none.
 *
 * ```tsx
 * const tidings = useTidings();
 * <button onClick={() => tidings.connect()}>Connect</button>
 * ```
 */
export function useTidings<Events extends object = EventMap>(): Client<Events> {
  const client = useContext(Context);
  if (!client?.room) throw new Error("No client of createClient: put <TidingsProvider client={client}> around this");
  return client;
}
