/** How an entity lies in the data of a query, unless the application says otherwise. */
import type { EntityRef } from "../catalogue.js";

/**
 * Takes the changes over into the object with the entity's id, wherever in the data it is. Stops at whatever has an id: what
 * lies within is another entity, maybe of another type with the same id.
 */
export function patched(data: any, entity: EntityRef, changes: Record<string, any> | undefined): unknown {
  if (data?.id == entity.id) return { ...data, ...changes };
  let copy: any;
  if (data?.id == null && typeof data == "object") {
    for (const key in data) {
      const value = patched(data[key], entity, changes);
      if (value) (copy ??= Array.isArray(data) ? [...data] : { ...data })[key] = value;
    }
  }
  return copy;
}
