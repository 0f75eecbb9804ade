/** The entities in an Apollo cache, and the queries that show them. */
import type { ApolloClient, ObservableQuery } from "@apollo/client";
import type { Cache } from "../refetch/follow.js";

/** What Apollo hands to a function that modifies a field. */
interface Field {
  fieldName: string;
  storeFieldName: string;
  readField(name: string, from?: unknown): any;
  DELETE: any;
}

type Fields = Record<string, any>;

/**
 * What a change leaves incomplete (a field that was cleared, or of which is not known what it is now) is kept from its watchers,
 * who would all send a request at once, in every client; their queries go into `stale` instead. Entities are not evicted but have
 * their fields cleared: lists lose an evicted one without anyone asking what became of it.
 */
export function entities(apollo: ApolloClient, stale: Set<ObservableQuery>): Cache<ObservableQuery> {
  const { cache } = apollo;
  const identify = (typename: string, fields: object): string | undefined => cache.identify({ ...fields, __typename: typename });

  /** Changes the fields that an entity has, or clears them when there are no changes. */
  function modify(id: string | undefined, changes?: Fields, version?: number): void {
    const change = (old: unknown, field: any): unknown => {
      const { fieldName, storeFieldName, readField, DELETE } = field as Field;
      if (!changes) return fieldName == "__typename" ? old : DELETE;
      if (version && readField("version") > version) return old;
      if (cache.getScalarTypeForField?.(readField("__typename"), fieldName)) return DELETE;
      return changed(storeFieldName, old, changes, field);
    };
    const fields: Fields = { __proto__: null };
    for (const name in changes) fields[name] = change;
    cache.modify({ id: id!, fields: changes ? fields : (change as any) });
  }

  /** The value of a field with the changes in it, or DELETE when they do not say what it is now. */
  function changed(storeName: string, old: any, changes: Fields, field: Field): unknown {
    const [name] = storeName.split(/\W/) as [string];
    if (!Object.hasOwn(changes, name)) return old;
    if (name != storeName) return field.DELETE; // it has arguments
    const change = changes[name];
    if (!isObject(change)) return change;
    const isList = Array.isArray(change);
    const sample = isList ? (change.some(isObject) ? old?.[0] : {}) : old;
    if (isObject(sample) && !sample.__typename && !sample.__ref) return change; // scalars
    if (isList || !isObject(old)) return field.DELETE;
    if (old.__ref) {
      const id = identify(field.readField("__typename", old), change);
      if (id && id != old.__ref) return field.DELETE;
      modify(old.__ref, change);
      return old;
    }
    const object: Fields = {};
    for (const key in old) {
      const value = changed(key, (old as Fields)[key], change, field);
      if (value !== field.DELETE) object[key] = value;
    }
    return object;
  }

  return {
    batch(update) {
      cache.batch({
        update,
        onWatchUpdated: ({ watcher }: { watcher?: any }, { complete }) => complete || !watcher?.refetch || !stale.add(watcher),
      });
    },
    loading: () => [...apollo.getObservableQueries()].filter((query) => query.getCurrentResult().loading),
    update(entity, changes) {
      const { entityType, id, version } = entity;
      if (id != null) return modify(identify(entityType, { ...changes, ...entity }), changes, version);
      for (const [key, { __typename }] of Object.entries(cache.extract() as Fields)) if (__typename == entityType) modify(key);
    },
    doubt(name) {
      if (name) cache.evict({ fieldName: name }); // of the type Query
      for (const query of apollo.getObservableQueries()) {
        if (
          !name ||
          query.queryName == name ||
          (query.getCurrentResult().loading && JSON.stringify(query.query).includes(`"${name}"`)) // may get the field
        ) stale.add(query);
      }
    },
    fetch: (query) => query.hasObservers() && query.options.fetchPolicy != "cache-only" && query.refetch(),
  };
}

const isObject = (value: unknown): value is Record<"__typename" | "__ref", string> => typeof value == "object" && !!value;
