/** What an event means for the data that a program holds. */
import type { EntityUpdated, StateInvalidated } from "../catalogue.js";
import type { Delivery, TidingsEvent } from "../events.js";

/** An entity has changed, or something may have: told apart by `entityType`. */
export type Effect = EntityUpdated | StateInvalidated;

/**
 * Says for types of events what they mean: a function, which may return nothing; or the type of the entity that has changed, when
 * the data has the form of `settlement_updated`.
 */
export type Effects<Events extends object> = {
  readonly [Type in keyof Events & string]?:
    | string
    | ((event: TidingsEvent<Type, Events[Type]>, delivery: Delivery) => Effect | readonly Effect[] | null | undefined | void);
};
