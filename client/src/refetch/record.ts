/** Objects of JSON: neither scalars nor lists. */
export function isRecord(value: any): value is Record<string, any> {
  return value?.constructor == Object;
}
