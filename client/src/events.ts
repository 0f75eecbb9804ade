/** What an event is, and which types of events there are. */
import type { Catalogue } from "./catalogue.js";
import type { Position } from "./position.js";

/** A CloudEvent 1.0 in structured JSON (https://github.com/cloudevents/spec), with its `data` typed by the event map. */
export interface TidingsEvent<Type extends string = string, Data = unknown> {
  readonly specversion: "1.0";
  readonly id: string;
  /** Who made the event, a URI reference. */
  readonly source: string;
  readonly type: Type;
  /** When it happened, RFC 3339. */
  readonly time: string;
  /** What in `source` the event is about. */
  readonly subject?: string;
  readonly datacontenttype?: string;
  readonly dataschema?: string;
  readonly data: Data;
  /** Data that is not JSON; `data` is absent then. */
  readonly data_base64?: string;
}

/**
 * The data of each event type, by its name. It holds the built-in catalogue; an application adds its own types:
 *
 * ```ts
 * declare module "@tidings/client" {
 *   interface EventMap {
 *     settlement_founded: { id: string; name: string };
 *   }
 * }
 * ```
 *
 * A program that wants no other types than its own gives them to `createClient<MyEvents>()` instead.
 */
export interface EventMap extends Catalogue {}

/** How an event came. */
export interface Delivery {
  readonly room: string;
  /** The room's position with this event; already committed. */
  readonly position: Position;
  /** The event happened while this client was away, or was asked for by `since`. */
  readonly replayed: boolean;
}

/** Gets the events of one type. What it throws is reported as an uncaught error, and other handlers still run. */
export type EventHandler<Type extends string = string, Data = unknown> = (
  event: TidingsEvent<Type, Data>,
  delivery: Delivery,
) => void;
